"""Chats are read as Slack and PagerDuty document it, from strict stubs of their APIs; a token is never shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from chaoskit.errors import BadInput, EquipmentError, Place
from chaoskit.events import Equipment, Notice, Watch
from chaoskit.plan.witnesses import chat, mailbox, sink_key_of
from chaoskit.scenario.model import Chat, Secret
from chaoskit.verify.verify import verify
from chaoskit.witness.asking import OtherClock
from chaoskit.witness.chat import ChatFollower, open_chat
from tests import http_stub
from tests.golden.doctored import Truth, results, told
from tests.receivers_examples import Seen
from tests.unit.test_attached_histories import WAIVED, WITNESS, attached, reasons, with_event, with_header

TOKEN = "xoxb-the-token-of-the-chat"


class Api:
    """What a service has, and how it answers to what is documented; anything else is an error of the client's."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.incidents: list[dict[str, Any]] = []
        self.entries: dict[str, list[dict[str, Any]]] = {}
        self.page = ""
        self.limited = 0
        self.dated = True
        self.wrong: list[str] = []

    def answer(self, path: str, query: dict[str, list[str]], headers: Any) -> tuple[int, Any]:
        if self.limited:
            self.limited -= 1
            return 429, {}
        if path == "/page":
            return 200, self.page
        if path.startswith("/conversations."):
            return 200, self._slack(path, query, headers)
        if headers["Authorization"] != f"Token token={TOKEN}":
            return 401, {"error": {"code": 2006}}
        if headers["Accept"] != "application/vnd.pagerduty+json;version=2":
            self.wrong.append(f"Accept: {headers['Accept']}")
        what, found = "incidents", self.incidents
        if path.endswith("/log_entries"):
            what, found = "log_entries", self.entries[path.split("/")[2]]
        elif query["service_ids[]"] != ["P1"] or ("since" in query) == ("date_range" in query):
            self.wrong.append(f"{query}")
        begin = int(query["offset"][0])
        return 200, {what: found[begin : begin + 1], "more": begin + 1 < len(found), "limit": 1, "offset": begin}

    def _slack(self, path: str, query: dict[str, list[str]], headers: Any) -> dict[str, Any]:
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        if query["channel"] != ["C1"] or path != "/conversations.history":
            self.wrong.append(f"{path} {query}")
        begin = int(query.get("cursor", ["0"])[0])
        found = [one for one in self.messages if float(one["ts"]) > float(query["oldest"][0])]
        after = str(begin + 1) if begin + 1 < len(found) else ""
        return {"ok": True, "messages": found[begin : begin + 1], "response_metadata": {"next_cursor": after}}


@contextmanager
def serving(api: Api) -> Iterator[str]:
    class Handler(http_stub.Handler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, said = api.answer(parts.path, parse_qs(parts.query), self.headers)
            self.answer(said, status, more={"Retry-After": "0"} if status == 429 else None)

        def send_response(self, code: int, message: str | None = None) -> None:
            (super().send_response if api.dated else self.send_response_only)(code, message)

    with http_stub.serving(Handler) as server:
        yield server.url


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    return Secret(file=str(file))


@contextmanager
def followed(chat: Chat, by: str) -> Iterator[Seen]:
    seen = Seen()
    follower = ChatFollower(by, open_chat(chat), seen, every_s=0.05)
    follower.begin("mend it")
    yield seen
    follower.end()


def slack(ts: float, text: str, color: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "message", "ts": f"{ts:.6f}", "text": "", "attachments": [{"title": text, "color": color}], **more}


def test_a_slack_channel_is_read_at_the_instants_of_its_messages(secret: Secret) -> None:
    api, by = Api(), "chat team/slack"
    api.messages.append(slack(time.time() - 1, "[FIRING:1] Before", "danger"))
    with serving(api) as url, followed(Chat(channel="C1", token=secret, api=url), by) as seen:
        at = time.time()
        api.messages.insert(0, slack(at, "[FIRING:1] Trouble w-1", "danger"))
        api.messages.insert(0, slack(at + 0.01, "all is well again: Trouble", "good"))
        seen.wait(lambda: len(seen.notices(by)) == 2, "two messages")
        api.messages[1] |= {"edited": {"ts": f"{at + 0.02:.6f}"}, "attachments": [{"title": "[RESOLVED] Trouble w-1"}]}
        seen.wait(lambda: len(seen.notices(by)) == 3, "the edited message")
    found = seen.notices(by)
    assert [(one.sink_key, one.status) for one in found] == [
        (("team", "slack", 0), status) for status in ("firing", "resolved", "resolved")
    ]
    assert all(one.sent[0] - 1.1 <= at <= one.sent[1] + 1.1 for one in found)
    assert "Trouble w-1" in found[0].text
    assert api.wrong == []


def pagerduty(number: str, kind: str, at: float, **more: Any) -> dict[str, Any]:
    created = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": number, "type": kind, "created_at": created, "channel": {"details": {"firing": "w-1"}}, **more}


def test_a_pagerduty_service_is_read_by_its_log_entries_and_what_people_did_is_left_out(secret: Secret) -> None:
    api, by, at = Api(), "chat on-call/pagerduty/1", time.time()
    api.incidents = [{"id": "Q1", "title": "[FIRING:1] Trouble"}, {"id": "Q2", "title": "Other"}]
    api.entries = {"Q1": [], "Q2": []}
    with serving(api) as url, followed(Chat(service="P1", token=secret, api=url), by) as seen:
        api.entries["Q1"] += [pagerduty("R1", "trigger_log_entry", at), pagerduty("R2", "notify_log_entry", at)]
        by_hand = {"agent": {"type": "user_reference"}}
        api.entries["Q1"] += [pagerduty("R3", "resolve_log_entry", at, **by_hand)]
        api.entries["Q1"] += [pagerduty("R4", "resolve_log_entry", at + 2)]
        seen.wait(lambda: len(seen.notices(by)) == 2, "two entries")
    assert [one.status for one in seen.notices(by)] == ["firing", "resolved"]
    assert [one.sink_key for one in seen.notices(by)] == [("on-call", "pagerduty", 1)] * 2
    assert "[FIRING:1] Trouble" in seen.notices(by)[0].text
    assert "w-1" in seen.notices(by)[0].text
    assert api.wrong == []


def test_a_page_of_ones_own_is_searched(secret: Secret) -> None:
    api, by = Api(), "chat other/webhook"
    find = r"(?P<time>\S+) (?P<status>\w+) (?P<text>.*)"
    with serving(api) as url, followed(Chat(http=f"{url}/page", find=find), by) as seen:
        stamp = datetime.now(UTC).isoformat()
        api.page = f"1000000000 FIRING long ago\n{stamp} FIRING Trouble w-1\n{time.time()} RESOLVED Trouble w-1\n"
        seen.wait(lambda: len(seen.notices(by)) == 2, "two lines")
    assert [(one.status, one.text) for one in seen.notices(by)] == [
        ("firing", "Trouble w-1"),
        ("resolved", "Trouble w-1"),
    ]


def test_a_service_that_wants_to_be_left_alone_is_and_loses_nothing(secret: Secret) -> None:
    api, by = Api(), "chat team/slack"
    with serving(api) as url, followed(Chat(channel="C1", token=secret, api=url), by) as seen:
        api.limited = 2
        seen.wait(lambda: [e for e in seen.of(Equipment) if e.state == "down"], "it is missed")
        api.messages.append(slack(time.time(), "[FIRING:1] Trouble"))
        seen.wait(lambda: seen.notices(by), "the message")
    assert "429" in next(e.detail for e in seen.of(Equipment) if e.state == "down")


def test_a_token_that_is_refused_ends_it_at_once_and_is_never_shown(secret: Secret) -> None:
    Path(secret.file).write_text("xoxb-another")
    api = Api()
    with serving(api) as url:
        for chat, said in ((Chat(channel="C1", token=secret, api=url), "invalid_auth"),
                           (Chat(service="P1", token=secret, api=url), "answers 401")):  # fmt: skip
            with pytest.raises(EquipmentError, match=said) as raised:
                ChatFollower("chat a/slack", open_chat(chat), Seen()).begin("mend it")
            assert "xoxb" not in str(raised.value)


def test_a_token_that_others_may_write_is_refused(secret: Secret) -> None:
    Path(secret.file).chmod(0o622)
    with pytest.raises(BadInput, match="other users may write to it"):
        open_chat(Chat(channel="C1", token=secret, place=Place("profile.yml", 3)))


PAGE_OF = {
    "slack": "    slack_configs: [{api_url: 'http://127.0.0.1:1/x', channel: c, send_resolved: true}]\n",
    "pagerduty": "    pagerduty_configs: [{routing_key: x, send_resolved: true}]\n",
}


@pytest.mark.parametrize("kind", ["slack", "pagerduty"])
@pytest.mark.parametrize(
    ("late_s", "times", "result"), [(0.1, 1, "PASS"), (3.0, 1, "FAIL"), (0.1, 2, "FAIL"), (0.1, 0, "FAIL")],
    ids=["told", "told late", "told twice", "not told"],
)  # fmt: skip
def test_what_a_service_has_is_judged(secret: Secret, kind: str, late_s: float, times: int, result: str) -> None:
    """A recorded run whose receiver has this integration too, read from the service with the run's instants."""
    api, by = Api(), f"chat worker-alerts/{kind}"
    api.dated = False  # the run is of another day
    api.incidents, api.entries = [{"id": "Q1", "title": "[FIRING:1] WorkerUnhealthy worker-1"}], {"Q1": []}
    key = "channel: C1" if kind == "slack" else "service: P1"
    chats = f"chats: {{worker-alerts/{kind}: {{{key}, token_file: {secret.file}, delay: 1s}}}}"
    history = attached(told(Truth(undo_vs=400.0)), f"{WITNESS}{WAIVED}, {chats}")
    sources = dict(history.header.sources)
    [routes] = [name for name in sources if name.startswith("alertmanager:")]
    receiver = "  - name: worker-alerts\n"
    sources[routes] = sources[routes].replace(receiver, receiver + PAGE_OF[kind])
    history = with_header(history, msgspec.structs.replace(history.header, sources=sources))
    heard = {n.status: n.sent[1] for n in history.of(Notice) if n.receiver == "worker-alerts"}
    settings = Chat(
        channel="C1" if kind == "slack" else "",
        service="P1" if kind == "pagerduty" else "",
        token=secret,
    )
    with serving(api) as url:
        follower = ChatFollower(by, open_chat(replace(settings, api=url)), Seen())
        assert not list(follower.look(history.events[0].t))
        for number in range(times):
            put(api, kind, "firing", heard["firing"] + late_s + 0.3 * number)
        put(api, kind, "resolved", heard["resolved"] + 0.1)
        found = list(follower.look(history.last_t))
    came = [msgspec.structs.replace(one, t=one.sent[1]) for one in found]  # type: ignore[attr-defined]
    spans = [msgspec.structs.replace(one, sink=by) for one in history.of(Watch)]
    verdict = verify(with_event(history, *came, *spans))
    assert verdict.result == result, [row for row in verdict.rows if row.result != "PASS"]
    if times == 2:
        assert "was notified of the same again" in reasons(verdict, "finding")
    else:
        assert {str(one) for one in results(verdict, "notify", f"worker-alerts ({kind})")} == {result}
    assert api.wrong == []


def test_another_clock_is_known_the_better_the_more_parts_of_a_second_were_seen() -> None:
    clock = OtherClock()
    assert clock.skew == (0.0, 0.0)
    for tenth in range(10):
        asked = 1000.0 + tenth * 1.1
        clock.take(float(int(asked + 3.25)), asked, asked + 0.01)
    low, high = clock.skew
    assert low <= 3.25 <= high
    assert high - low < 0.25
    clock.take(5000.0, 1020.0, 1020.01)  # it was set
    assert clock.skew[0] > 3900


def put(api: Api, kind: str, status: str, at: float) -> None:
    """The service has heard of it at this instant."""
    if kind == "slack":
        api.messages.append(slack(at, f"[{status.upper()}:1] WorkerUnhealthy worker-1"))
        return
    entry = pagerduty(f"R{at}", {"firing": "trigger", "resolved": "resolve"}[status] + "_log_entry", at)
    api.entries["Q1"].append(entry | {"created_at": datetime.fromtimestamp(at, UTC).isoformat()})


@pytest.mark.parametrize(
    ("by", "door"),
    [
        (mailbox("crew/email"), ("crew", "email", 0)),
        (chat("crew/slack/2"), ("crew", "slack", 2)),
        (chat("team/night 1/slack"), ("team/night 1", "slack", 0)),
        (mailbox("team/2/email/1"), ("team/2", "email", 1)),
    ],
)
def test_a_receiver_may_have_slashes_in_its_name(by: str, door: tuple[str, str, int]) -> None:
    assert sink_key_of(by) == door
