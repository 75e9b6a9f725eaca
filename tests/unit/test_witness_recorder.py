"""Alertmanager's event recorder as versions write it, read leniently, from a file that is rotated too."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from chaoskit.observe.payload import instant
from chaoskit.witness.client import WitnessClient
from chaoskit.witness.config import additions, patched, recorder_outputs, senders_of
from chaoskit.witness.deliveries import Alertmanager, RecorderFollower
from chaoskit.witness.follower import Unseen
from chaoskit.witness.recorder import Tail, read_event
from tests.receivers_examples import Seen
from tests.witness_examples import bearing, witness

AT = 1795961451.3285127
STAMP = "2026-11-29T14:10:51.328512614Z"


def pairs(**labels: str) -> dict[str, Any]:
    return {"labels": [{"key": key, "value": value} for key, value in labels.items()]}


V1 = {
    "@timestamp": STAMP,
    "instance": "vm",
    "data": {
        "notification": {
            "alerts": [
                {"hash": "8", "details": {"labels": pairs(alertname="A"), "annotations": pairs(summary="s"),
                                          "startsAt": "2026-11-29T14:10:50.5Z", "endsAt": "0001-01-01T00:00:00Z"}},
                {"hash": "9", "details": {"name": "B", "labels": pairs(alertname="B"), "annotations": {},
                                          "endsAt": "2026-11-29T14:10:51Z", "resolved": True}},
            ],
            "firingAlerts": [{"hash": "8"}],
            "groupInfo": {
                "groupKey": "{}:{alertname=\"A\"}", "groupLabels": pairs(alertname="A"), "receiverName": "crew"
            },
            "reason": "NOTIFY_REASON_FIRST_NOTIFICATION",
            "flushId": "1",
            "integration": {"name": "email", "index": "1"},
        }
    },
}  # fmt: skip
V2 = {
    "timestamp": STAMP,
    "data": {
        "notification": {
            "alerts": [
                {"fingerprint": "8", "labels": {"alertname": "A"}, "annotations": {"summary": "s"}},
                {"fingerprint": "9", "labels": {"alertname": "B"}},
                {"fingerprint": "7", "labels": {"alertname": "Muted"}},
            ],
            "resolved_alerts": [{"fingerprint": "9"}],
            "muted_alerts": [{"fingerprint": "7"}],
            "group_info": {
                "group_key": '{}:{alertname="A"}',
                "group_labels": {"alertname": "A"},
                "receiver_name": "crew",
            },
            "integration": {"name": "email", "index": "1"},
            "a_field_of_later": {"x": []},
        }
    },
}


@pytest.mark.parametrize("event", [V1, V2], ids=["0.33", "events/v2"])
def test_a_delivery_is_read_from_each_schema(event: dict[str, Any]) -> None:
    notice = read_event(json.dumps(event).encode(), (0.25, 0.5))
    assert notice is not None
    assert (notice.sink_key, notice.by, notice.status) == (("crew", "email", 1), "recorder", "mixed")
    assert notice.sent == pytest.approx((AT - 0.5, AT - 0.25), abs=1e-6)
    assert [(one.status, one.labels, one.annotations) for one in notice.alerts] == [
        ("firing", {"alertname": "A"}, {"summary": "s"}),
        ("resolved", {"alertname": "B"}, {}),
    ]
    assert notice.group_key == '{}:{alertname="A"}'
    assert notice.group_labels == {"alertname": "A"}


def test_other_events_say_nothing_and_what_is_none_is_refused() -> None:
    other = {"@timestamp": STAMP, "data": {"alertCreated": {"alert": {}}}}
    assert read_event(json.dumps(other).encode()) is None
    for line in (b"{", b"[]", b'{"data": {}}', b'{"@timestamp": "x", "data": {"notification": {}}}'):
        with pytest.raises(ValueError, match="it is no"):
            read_event(line)


def test_a_file_is_read_from_now_on_and_across_its_rotation(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"old\n")
    tail = Tail(file)
    with file.open("ab") as written:
        written.write(b"one\ntw")
        written.flush()
        assert list(tail.lines()) == [b"one"]
        written.write(b"o\nthree\n")
    file.rename(tmp_path / "events.jsonl.1")
    file.write_bytes(b"four\n")
    assert list(tail.lines()) == [b"two", b"three", b"four"]
    file.write_bytes(b"")
    assert list(tail.lines()) == []
    file.unlink()
    with pytest.raises(FileNotFoundError):
        list(tail.lines())
    tail.close()


CONFIG = """# ours
route: {receiver: crew}
receivers:
- name: crew
  email_configs: [{to: a@b.c, from: 'Alerts <am@b.c>'}]
global: {smtp_from: other@b.c}
"""


def test_the_recorders_block_takes_the_place_of_the_receivers_entries() -> None:
    found = additions(CONFIG, "http://127.0.0.1:9765", recorder="/var/lib/events.jsonl")
    assert not [one for one in found if "crew" in one.what]
    whole = patched(CONFIG, "http://127.0.0.1:9765", recorder="/var/lib/events.jsonl")
    assert recorder_outputs(whole) == {"file"}
    assert patched(whole, "http://127.0.0.1:9765", recorder="/var/lib/events.jsonl") == whole
    both = patched(whole, "http://127.0.0.1:9765", "/etc/token", recorder="witness")
    assert recorder_outputs(both) == {"file", "webhook"}
    assert "http://127.0.0.1:9765/recorder" in both
    assert "/etc/token" in both


@pytest.mark.parametrize(("block", "outputs"), [
    ("", set()),
    ("event_recorder: {file_outputs: [{path: x}]}", {"file"}),
    ("event_recorder: {outputs: [{name: a, type: webhook}, {name: b, type: file, path: x}]}", {"file", "webhook"}),
    ("event_recorder: {webhook_outputs: {witness: {url: x}}}", {"webhook"}),
    ("event_recorder: {file_outputs: []}", set()),
])  # fmt: skip
def test_outputs_are_known_however_a_version_names_them(block: str, outputs: set[str]) -> None:
    assert recorder_outputs(CONFIG + block) == outputs


def test_the_senders_of_mails_are_those_of_the_running_configuration() -> None:
    assert senders_of(CONFIG) == {"am@b.c", "other@b.c"}
    for text in ("receivers: 3", "- x", "a: [", ""):
        with pytest.raises(ValueError, match="no Alertmanager configuration"):
            senders_of(text)


def test_a_witness_that_is_the_recorders_output_hands_its_deliveries_on(tmp_path: Path) -> None:
    """On our clock, and never later than their events arrived; other events are taken and not kept."""
    created = {"@timestamp": STAMP, "data": {"alertCreated": {"alert": {}}}}
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    delivered = {**V1, "@timestamp": now}
    with witness() as server, bearing() as session:
        seen = Seen()
        client = WitnessClient(server.url, session, lambda: (-0.5, 0.5), seen)
        client.begin()
        with bearing() as alertmanager:
            for body, status in ((created, 200), (delivered, 200), ({"x": 1}, 400)):
                assert alertmanager.post(f"{server.url}/recorder", json=body, timeout=5).status_code == status
        seen.wait(lambda: seen.notices("recorder"), "the delivery")
        assert client.next(0.0) == []  # no webhook of a receiver
        client.end()
    [notice] = seen.notices("recorder")
    assert notice.sink_key == ("crew", "email", 1)
    begin, end = notice.sent
    assert begin <= instant(now) <= end <= time.time()  # type: ignore[operator]
    assert server.store.refused == {"malformed": 1}


def test_without_the_token_no_event_is_taken() -> None:
    with witness() as server, bearing("another-token-of-its-own") as session:
        assert session.post(f"{server.url}/recorder", json=V1, timeout=5).status_code == 401
        assert server.store.last == 0


PAGE = """# TYPE alertmanager_notifications_failed_total counter
alertmanager_notifications_failed_total{integration="email",reason="other"} 2
alertmanager_notifications_failed_total{integration="email",reason="clientError"} 1
alertmanager_notifications_failed_total{integration="slack",receiver_name="chat",reason="other"} 4
alertmanager_event_recorder_queue_length %(queue)s
alertmanager_events_recorded_total{event_type="notification",output="file:x",result="success"} 9
alertmanager_events_recorded_total{event_type="notification",output="file:x",result="error"} %(errors)s
alertmanager_events_dropped_total{event_type="notification"} %(dropped)s
alertmanager_event_output_drops_total{output="webhook:x"} 0
alertmanager_event_recorder_bytes_written_total{output="file:x"} 5000
alertmanager_config_last_reload_success_timestamp_seconds %(loaded)s
process_start_time_seconds 1
"""


class Pages:
    """An Alertmanager whose pages a test writes, in place of a session."""

    def __init__(self, file: Path) -> None:
        self.values = {"queue": "0", "errors": "0", "dropped": "0", "loaded": "5"}
        self.metrics = PAGE
        self.config = f"receivers: []\nevent_recorder: {{file_outputs: [{{path: {file}}}]}}\n"

    def get(self, url: str, params: object, timeout: float) -> requests.Response:
        response = requests.Response()
        status = {"config": {"original": self.config}}
        text = self.metrics % self.values if url.endswith("/metrics") else json.dumps(status)
        response.status_code, response._content = 200, text.encode()
        return response


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    (tmp_path / "events.jsonl").touch()
    return Pages(tmp_path / "events.jsonl")


def look(follower: RecorderFollower) -> str:
    """What keeps it from being sure, and whether what came meanwhile is lost."""
    try:
        list(follower.look(0.0))
    except Unseen as error:
        return f"{error} lost" if error.lost else f"{error}"
    return ""


def test_failures_are_counted_by_integration_and_by_receiver_where_that_is_told(pages: Pages) -> None:
    counters = Alertmanager("http://a", pages).counters()  # type: ignore[arg-type]
    assert counters.failed == {"email": 3.0, "slack/chat": 4.0}
    assert (counters.queue, counters.lost) == (0.0, 0.0)


@pytest.mark.parametrize(("change", "said"), [
    ({"dropped": "3"}, "Alertmanager lost 3 of its events lost"),
    ({"errors": "1"}, "Alertmanager lost 1 of its events lost"),
    ({"loaded": "6"}, "Alertmanager was started, or loaded its configuration, anew meanwhile lost"),
    ({"queue": "2"}, "2 events wait to be written"),
])  # fmt: skip
def test_whatever_may_have_been_lost_ends_the_watch(
    tmp_path: Path, pages: Pages, change: dict[str, str], said: str
) -> None:
    alertmanager = Alertmanager("http://a", pages)  # type: ignore[arg-type]
    follower = RecorderFollower(alertmanager, tmp_path / "events.jsonl", Seen())
    assert look(follower) == look(follower) == ""
    before = dict(pages.values)
    pages.values |= change
    assert look(follower) == said
    pages.values |= {"queue": before["queue"]}
    assert look(follower) == ""
    follower.close()


def test_a_recorder_that_is_not_there_is_off(tmp_path: Path, pages: Pages) -> None:
    alertmanager = Alertmanager("http://a", pages)  # type: ignore[arg-type]
    follower = RecorderFollower(alertmanager, tmp_path / "events.jsonl", Seen())
    pages.config = "receivers: []\n"
    assert look(follower) == "it is off: the loaded configuration gives its events to no file lost"
    pages.metrics = "process_start_time_seconds 1\n"
    assert look(follower) == "this Alertmanager has no event recorder: see `chaoskit witness config` lost"
    pages.metrics = "go_goroutines 1\n"
    assert look(follower) == "http://a/metrics shows none of Alertmanager's counters: is this URL Alertmanager's?"
    (tmp_path / "events.jsonl").unlink()
    assert look(follower).endswith("No such file or directory lost")
    follower.close()
