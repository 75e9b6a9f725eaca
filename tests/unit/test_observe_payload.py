"""An HTTP notification is read as far as is certain, and not beyond."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.events import Notice, NoticedAlert
from chaoskit.localize.sink_addresses import SinkAddress
from chaoskit.observe.http_server import Answer, Request
from chaoskit.observe.payload import NO_JSON, instant, read_payload, unread
from chaoskit.observe.webhook_sink import Config, Desk

ALERT = {
    "status": "firing",
    "labels": {"alertname": "A"},
    "annotations": {"summary": "s"},
    "startsAt": "2026-11-24T00:05:00.25Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://x",
    "fingerprint": "f",
}
ENDED = {**ALERT, "status": "resolved", "endsAt": "2026-11-24T01:05:01.000000001+01:00"}


def message(*alerts: dict[str, object], **more: object) -> bytes:
    whole = {"version": "4", "groupKey": '{}:{alertname="A"}', "status": "firing", "alerts": alerts, **more}
    return json.dumps(whole).encode()


def read(speaks: str, path: str, body: bytes) -> Notice:
    return read_payload(speaks, path, body, unread(("r", speaks, 0), (0.0, 0.0)))


def test_a_webhook_tells_the_labels_of_its_group_or_they_are_not_known() -> None:
    body = message(ALERT, groupLabels={"alertname": "A"})
    assert read("webhook", "/", body).group_labels == {"alertname": "A"}
    assert read("webhook", "/", message(ALERT)).group_labels is None


def test_a_webhook_message_is_read_whole() -> None:
    contents = read("webhook", "/door/0", message(ALERT, ENDED))
    start = 1795478700.25
    assert contents.alerts == [
        NoticedAlert(status="firing", labels={"alertname": "A"}, annotations={"summary": "s"}, starts_at=start),
        NoticedAlert(
            status="resolved",
            labels={"alertname": "A"},
            annotations={"summary": "s"},
            starts_at=start,
            ends_at=1795478701.0,
        ),
    ]
    assert (contents.status, contents.group_key) == ("mixed", '{}:{alertname="A"}')
    assert contents.problems == []


def test_what_is_no_json_is_malformed_and_what_is_no_message_is_a_problem() -> None:
    malformed = read("webhook", "/", b"{")
    assert malformed.problems[0].startswith(NO_JSON)
    assert malformed.text == "{"
    for body in (b"[]", b'{"status": 1}', message({**ALERT, "status": "late"}), message({**ALERT, "startsAt": "x"})):
        contents = read("webhook", "/", body)
        assert not contents.problems[0].startswith(NO_JSON)
        assert (contents.status, contents.alerts) == ("unknown", [])


def test_left_out_alerts_and_another_version_are_said() -> None:
    contents = read("webhook", "/", message(ALERT, truncatedAlerts=3))
    assert contents.status == "unknown"
    assert "3 alerts" in contents.problems[0]
    assert "version '5'" in read("webhook", "/", message(ALERT, version="5")).problems[0]


@pytest.mark.parametrize(
    ("speaks", "path", "body", "status"),
    [
        ("pagerduty", "/v2/enqueue", b'{"event_action": "trigger"}', "firing"),
        ("pagerduty", "/v2/enqueue", b'{"event_action": "resolve"}', "resolved"),
        ("pagerduty", "/v2/enqueue", b'{"event_action": "acknowledge"}', "unknown"),
        ("pagerduty", "/v2/enqueue", b"no json", "unknown"),
        ("opsgenie", "/door/1/v2/alerts", b"{}", "firing"),
        ("opsgenie", "/door/1/v2/alerts/abc/close?identifierType=alias", b"{}", "resolved"),
        ("victorops", "/k/r", b'{"message_type": "CRITICAL"}', "firing"),
        ("victorops", "/k/r", b'{"message_type": "RECOVERY"}', "resolved"),
        ("slack", "/", b'{"text": "[RESOLVED] all is well"}', "unknown"),
        ("telegram", "/", b'{"text": "firing"}', "unknown"),
    ],
)
def test_another_service_is_believed_only_in_its_own_protocol(speaks: str, path: str, body: bytes, status: str) -> None:
    contents = read(speaks, path, body)
    assert (contents.status, contents.alerts, contents.text) == (status, [], body.decode())


@given(st.integers(-(10**18), 4 * 10**18))
def test_times_are_read_to_the_nearest_float(nanos: int) -> None:
    """A time that Prometheus's API tells as a number and another that it writes out are the same float."""
    seconds, rest = divmod(nanos, 10**9)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    assert instant(f"{text}.{rest:09d}Z") == float(f"{seconds}.{rest:09d}" if nanos >= 0 else nanos / 10**9)


def desk() -> tuple[Desk, list[Notice]]:
    found: list[Notice] = []
    doors = [
        SinkAddress(receiver="one", integration="webhook", path="/door/1/alerts/critical", speaks="webhook"),
        SinkAddress(receiver="ten", integration="pushover", index=2, path="/door/10", speaks="webhook"),
        SinkAddress(receiver="chat", integration="wechat", path="/door/3", speaks="wechat"),
    ]
    return Desk(Config(port=1, doors=doors), found.append), found  # type: ignore[arg-type]


def ask(method: str, path: str, body: bytes = b"{}", refused: str = "") -> tuple[Answer, list[Notice]]:
    at, found = desk()
    return at.answer(Request(method, path, body, (1.0, 2.0), refused)), found


@pytest.mark.parametrize(
    ("path", "receiver", "integration", "index"),
    [
        ("/door/1/alerts/critical", "one", "webhook", 0),
        ("/door/1?x=1", "one", "webhook", 0),
        ("/door/10/anything", "ten", "pushover", 2),
        ("/door/100", "", "webhook", 0),
        ("/alerts/critical", "", "webhook", 0),
    ],
)
def test_the_path_names_the_door_and_any_other_is_nobodys(
    path: str, receiver: str, integration: str, index: int
) -> None:
    answer, (notice,) = ask("POST", path, message(ALERT))
    assert answer.status == 200
    assert (notice.receiver, notice.integration, notice.index) == (receiver, integration, index)
    assert (notice.status, notice.sent) == ("firing", (1.0, 2.0))


def test_what_is_malformed_or_refused_is_reported_and_answered_as_an_error() -> None:
    answer, (notice,) = ask("POST", "/door/1", b"{")
    assert answer.status == 400
    assert notice.problems
    answer, (notice,) = ask("POST", "/door/1", b"", refused="too long")
    assert answer.status == 413
    assert notice.problems == ["refused: too long"]


def test_what_is_no_notice_is_not_reported() -> None:
    """A look at the page, or the token that WeChat's client fetches before it sends."""
    assert ask("GET", "/door/1") == (Answer(405, body=b"notifications are sent with POST\n"), [])
    answer, found = ask("GET", "/door/3/gettoken?corpid=x", b"")
    assert (answer.status, found) == (200, [])
    assert "access_token" in json.loads(answer.body)
    assert len(ask("POST", "/door/3/message/send?access_token=x")[1]) == 1
