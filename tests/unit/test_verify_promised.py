"""Each key of a promise has a row of its own, judged from what was observed: kept, broken, or not known and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache

import msgspec
import pytest

from chaoskit.events import (
    AlertState,
    Event,
    FaultOk,
    Notice,
    NoticedAlert,
    Phase,
    Poll,
    Suppression,
    UndoBegin,
    UndoOk,
    Watch,
)
from chaoskit.history import History
from chaoskit.verify.verdict import Result, Row, Verdict
from chaoskit.verify.verify import verify
from tests.golden.doctored import Change, mapped, recorded, with_events
from tests.unit.test_receivers_histories import RECORDER, far
from tests.unit.test_receivers_histories import recorded as recorder
from tests.unit.test_verify_processor import BUSY, SCALE, fault_of, merged, running

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
ABOUT = "WorkerUnhealthy worker-1"

CRITICAL, WEB, WORKERS = "critical-alerts (email)", "critical-alerts (webhook)", "worker-alerts (email)"
BESIDE = """    labels: {severity: critical, component: worker}
    phone: {critical-alerts: 2m, worker-alerts: 2m30s}
    all_clear: {critical-alerts: 3m15s, worker-alerts: 6m15s}
    muted_by: [MultipleWorkersDown]
"""
NOTICE = "worker-alerts: {for: 1m, group_wait: 30s, repeat: 2h"
GROUPS = {
    "critical-alerts": {"alertname": "WorkerUnhealthy", "component": "worker", "severity": "critical"},
    "worker-alerts": {"alertname": "WorkerUnhealthy", "worker_name": "worker-1"},
}


@cache
def promised(beside: str = BESIDE, more: str = ", grouped_by: [alertname, worker_name]") -> History:
    """The recorded run in which all was kept, as if this had been promised, with groups that notices tell."""
    history = recorded("kept")
    key = next(key for key in history.header.sources if key.startswith("promise:"))
    text = history.header.sources[key].replace("  WorkerUnhealthy:\n", f"  WorkerUnhealthy:\n{beside}")
    sources = {**history.header.sources, key: text.replace(NOTICE, NOTICE + more)}
    header = msgspec.structs.replace(history.header, sources=sources)
    told = [header, *history.events[1:]]
    return mapped(dataclasses.replace(with_events(history, told), header=header), grouped(GROUPS))


def grouped(groups: dict[str, dict[str, str]]) -> Change:
    """Notices that tell the labels of their groups."""
    return changed(Notice, lambda notice: msgspec.structs.replace(notice, group_labels=groups[notice.receiver]))


def changed(kind: type[Event], change: Callable[..., Event | None]) -> Change:
    return lambda event: change(event) if isinstance(event, kind) else event  # type: ignore[return-value]


def rows(verdict: Verdict, hop: str) -> dict[str, Row]:
    """The rows of a hop about the dead worker, by door."""
    return {row.to: row for row in verdict.rows if row.hop == hop and row.about == ABOUT}


def judged(history: History, hop: str) -> dict[str, Result]:
    return {to: row.result for to, row in rows(verify(history), hop).items()}


def test_every_key_has_a_row_that_says_what_it_rests_on() -> None:
    verdict = verify(promised())
    assert verdict.result is PASS
    assert rows(verdict, "labels")[""].rests_on == "shown with severity=critical, component=worker"
    assert rows(verdict, "muted-by")[""].rests_on == "nothing muted it"
    phone, end = rows(verdict, "fault-to-phone"), rows(verdict, "undo-to-all-clear")
    assert {to: row.allowed for to, row in phone.items()} == {CRITICAL: (0, 125), WEB: (0, 125), WORKERS: (0, 155)}
    assert {to: row.allowed for to, row in end.items()} == {CRITICAL: (0, 200), WEB: (0, 200), WORKERS: (0, 380)}
    assert all(row.observed and row.observed[1] < 155 for row in phone.values())
    assert rows(verdict, "grouped-by")[WORKERS].rests_on == "by alertname, worker_name"
    assert {to: row.rests_on for to, row in rows(verdict, "recipients").items()} == {
        CRITICAL: "2 mails to w.aroca@insaing.com", WORKERS: "2 mails to w.aroca@insaing.com",
    }  # fmt: skip
    assert {row.rests_on for row in rows(verdict, "resolved").values()} == {"the end was told"}
    assert {row.rests_on.partition(", due")[2] for row in rows(verdict, "repeat").values()} == {
        " again after 1h", " again after 2h",
    }  # fmt: skip


def test_without_the_keys_there_is_no_such_row_and_the_verdict_is_the_same_as_ever() -> None:
    assert verify(recorded("kept")).rows == verify(promised("", "")).rows


def test_a_promised_group_alone_is_judged() -> None:
    verdict = verify(promised(""))
    assert rows(verdict, "grouped-by")[WORKERS].result is PASS
    assert not rows(verdict, "repeat")


COARSE = GROUPS | {"worker-alerts": {"alertname": "WorkerUnhealthy"}}
FINE = GROUPS | {"worker-alerts": GROUPS["worker-alerts"] | {"job": "x"}}
# What happened instead, the row, and where it is broken.
BROKEN: list[tuple[Change, str, set[str]]] = [
    (changed(Suppression, lambda e: muted(e, "CircuitBreakerOpen")), "muted-by", {""}),
    (grouped(COARSE), "grouped-by", {WORKERS}),
    (grouped(FINE), "grouped-by", {WORKERS}),
    (changed(Notice, lambda e: to_others(e)), "recipients", {CRITICAL, WORKERS}),
    (changed(Notice, lambda e: e if e.status == "firing" else None), "resolved", {CRITICAL, WEB, WORKERS}),
]  # fmt: skip


def muted(event: Suppression, by: str) -> Suppression:
    return msgspec.structs.replace(event, inhibited_by=[{"alertname": by}]) if event.state != "gone" else event


def to_others(event: Notice) -> Notice:
    return msgspec.structs.replace(event, recipients=[*event.recipients, "x@example.com"] if event.recipients else [])


@pytest.mark.parametrize(("change", "hop", "where"), BROKEN, ids=[case[1] for case in BROKEN])
def test_a_broken_promise_is_a_failure_at_its_own_row(change: Change, hop: str, where: set[str]) -> None:
    verdict = verify(mapped(promised(), change))
    assert {to for to, row in rows(verdict, hop).items() if row.result is FAIL} == where
    place = "notification_windows.yml:"
    assert all(place in row.reason for row in rows(verdict, hop).values() if row.result is FAIL)


@pytest.mark.parametrize("wrong", ["{severity: warning}", "{severity: critical, shift: night}"])
def test_labels_that_alertmanager_does_not_show_are_a_failure(wrong: str) -> None:
    row = rows(verify(promised(BESIDE.replace("{severity: critical, component: worker}", wrong))), "labels")[""]
    assert row.result is FAIL
    assert "is promised" in row.reason


def test_who_may_mute_it_and_does_keeps_the_promise() -> None:
    verdict = verify(mapped(promised(), changed(Suppression, lambda e: muted(e, "MultipleWorkersDown"))))
    assert rows(verdict, "muted-by")[""].rests_on == "MultipleWorkersDown muted it"


@pytest.mark.parametrize(("may", "result"), [("[MultipleWorkersDown]", UNKNOWN), ("[]", FAIL)])
def test_of_a_mute_by_an_alert_that_has_no_name_it_is_not_known_whether_it_may(may: str, result: Result) -> None:
    """Where none may, it may not."""

    def nameless(event: Suppression) -> Suppression:
        return msgspec.structs.replace(event, inhibited_by=[{"fingerprint": "ab12"}])

    history = mapped(promised(BESIDE.replace("[MultipleWorkersDown]", may)), changed(Suppression, nameless))
    row = rows(verify(history), "muted-by")[""]
    assert row.result is result
    assert NAMELESS in row.reason


def test_a_mute_by_an_alert_that_has_no_name_may_be_the_expected_one() -> None:
    history = recorded("suppressed")
    assert {row.result for row in verify(history).rows if row.hop == "suppressed"} == {PASS}
    bare = changed(
        Suppression,
        lambda e: msgspec.structs.replace(e, inhibited_by=[{"fingerprint": "ab12"}]) if e.inhibited_by else e,
    )
    (row,) = (row for row in verify(mapped(history, bare)).rows if row.hop == "suppressed")
    assert row.result is UNKNOWN
    assert "an alert without a name (fingerprint ab12) muted the alert, which may be " in row.reason


OTHER = {"alertname": "WorkerFrequentRestarts", "severity": "warning", "component": "worker"}
WRONG = "MultipleWorkersDown muted WorkerFrequentRestarts, of WorkerUnhealthy that may"
NAMELESS = "an alert without a name (fingerprint ab12)"


@pytest.mark.parametrize(
    ("by", "beside", "at", "found"),
    [
        ("MultipleWorkersDown", [], 0.5, {WRONG: FAIL}),
        ("WorkerUnhealthy", [], 0.5, {}),
        ("MultipleWorkersDown", ["WorkerFrequentRestarts"], 0.5, {}),
        ("MultipleWorkersDown", [], -1.0, {}),
        ("", [], 0.5, {f"{NAMELESS} muted WorkerFrequentRestarts, of WorkerUnhealthy that may": UNKNOWN}),
    ],
    ids=["another one", "one that may", "of a scenario beside", "before the first step", "one without a name"],
)  # fmt: skip
def test_another_alert_that_is_muted_by_what_may_not_mute_it_is_a_finding(
    by: str, beside: list[str], at: float, found: dict[str, Result]
) -> None:
    """No expectation names it, so it has no row of its own."""
    assert mutes_found(by, at, beside) == found


def test_a_nameless_alert_that_mutes_what_none_may_mute_is_a_failure() -> None:
    what = f"{NAMELESS} muted WorkerFrequentRestarts, of none that may"
    assert mutes_found("", 0.5, may="[]") == {what: FAIL}


@pytest.mark.parametrize(("by", "result"), [("MultipleWorkersDown", {}), ("WorkerUnhealthy", {FAIL}), ("", {})])
def test_an_alert_from_before_the_run_that_others_begin_to_mute_is_none_of_its_doing(
    by: str, result: set[Result]
) -> None:
    """Where the run's own alert mutes it, it is."""
    assert {*mutes_found(by, 0.5, fired=-1.0, may="[WorkerHighQueueDepth]").values()} == {*result}
    assert len(mutes_found(by, 0.5, fired=0.2, may="[WorkerHighQueueDepth]")) == 2


def mutes_found(
    by: str, at: float, beside: Sequence[str] = (), may: str = "[WorkerUnhealthy]", fired: float | None = None
) -> dict[str, Result]:
    """The findings of a run in which an alert that no expectation names is muted, by one of no name where none is
    given; instants are seconds after the first step."""
    history = promised("")
    key = next(key for key in history.header.sources if key.startswith("promise:"))
    text = history.header.sources[key].replace(
        "  WorkerFrequentRestarts:\n", f"  WorkerFrequentRestarts:\n    muted_by: {may}\n"
    )
    texts = {**history.header.sources, key: text}
    header = msgspec.structs.replace(history.header, sources=texts, beside=[*beside])
    first = next(e.t for e in history.of(Phase) if e.name == "steps")
    begun = first + at
    one = next(history.of(Suppression))
    other = msgspec.structs.replace(
        one, labels=OTHER, state="suppressed", seen=(begun, begun), t=begun,
        inhibited_by=[{"alertname": by} if by else {"fingerprint": "ab12"}],
    )  # fmt: skip
    states = [e for e in history.of(AlertState) if e.state == "firing"][:1] if fired is not None else []
    moved = [msgspec.structs.replace(e, labels=OTHER, t=t, at=t, previous=t) for e in states for t in [first + fired]]
    events = sorted([header, *history.events[1:], other, *moved], key=lambda event: event.t)
    rows_ = verify(dataclasses.replace(with_events(history, events), header=header)).rows
    told = [row for row in rows_ if row.hop == "finding" and row.result is not PASS]
    assert all("notification_windows.yml:" in row.reason for row in told if " muted " in row.reason)
    return {row.reason.partition("; promised at ")[0]: row.result for row in told}


def test_a_whole_way_that_takes_longer_than_promised_fails_though_each_hop_is_in_time() -> None:
    verdict = verify(promised(BESIDE.replace("critical-alerts: 2m,", "critical-alerts: 30s,")))
    assert {to: row.result for to, row in rows(verdict, "fault-to-phone").items()} == {
        CRITICAL: FAIL, WEB: FAIL, WORKERS: PASS,
    }  # fmt: skip
    assert {row.result for row in verdict.rows if row.hop in ("detect", "hold", "notify")} == {PASS}
    reason = rows(verdict, "fault-to-phone")[CRITICAL].reason
    assert "too late (at most 35.0 s promised); governed by promised fault-to-phone 30s" in reason
    end = judged(promised(BESIDE.replace("critical-alerts: 3m15s", "critical-alerts: 10s")), "undo-to-all-clear")
    assert end == {CRITICAL: FAIL, WEB: FAIL, WORKERS: PASS}


def test_an_end_told_before_the_undo_fails_unless_the_scrapes_just_before_the_alert_ended_were_starved() -> None:
    """What makes the end of an alert UNKNOWN makes what tells of that end UNKNOWN as well, and nothing else does."""
    history = promised()
    undo = next(history.of(UndoBegin)).t
    told = max(notice.sent[1] for notice in history.of(Notice) if notice.status == "firing")
    ended, heard = told + (undo - told) / 3, undo - (undo - told) / 3

    def earlier(event: Event) -> Event:
        if isinstance(event, AlertState) and event.state == "inactive":
            return msgspec.structs.replace(event, t=ended, at=ended, previous=ended)
        if isinstance(event, Notice) and event.status == "resolved":
            return msgspec.structs.replace(event, t=heard, sent=(heard, heard))
        return event

    moved = merged(mapped(history, earlier), [])  # type: ignore[arg-type]
    begun = fault_of(moved)
    before, after = (((at - begun) * SCALE - 60, (at - begun) * SCALE + 40) for at in (ended - 1, undo + 2))

    def ends(*busy: tuple[float, float]) -> dict[str, Result]:
        return judged(running(moved, iter(busy), BUSY, "target"), "undo-to-all-clear")

    assert ends() == ends(after) == {CRITICAL: FAIL, WEB: FAIL, WORKERS: FAIL}
    assert ends(before) == {CRITICAL: UNKNOWN, WEB: UNKNOWN, WORKERS: UNKNOWN}


def test_that_no_end_is_told_is_promised_too() -> None:
    text = "  worker-alerts: {recipients: [w.aroca@insaing.com], resolved: "
    history = promised()
    key = next(key for key in history.header.sources if key.startswith("promise:"))
    sources = {**history.header.sources, key: history.header.sources[key].replace(f"{text}true", f"{text}false")}
    header = msgspec.structs.replace(history.header, sources=sources)
    silent = dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)
    assert judged(silent, "resolved")[WORKERS] is FAIL
    assert judged(mapped(silent, changed(Notice, end_of_workers)), "resolved")[WORKERS] is PASS


def end_of_workers(event: Notice) -> Notice | None:
    return None if event.receiver == "worker-alerts" and event.status == "resolved" else event


def again_after(virtual_s: float) -> History:
    """The workers' notice comes twice."""
    history = promised()
    first = next(e for e in history.of(Notice) if e.receiver == "worker-alerts")
    at = virtual_s / history.header.time_scale
    second = msgspec.structs.replace(first, sent=(first.sent[0] + at, first.sent[1] + at), t=first.t + at)
    return with_events(history, sorted([*history.events, second], key=lambda event: event.t))


def test_a_notice_that_comes_again_too_early_breaks_the_repeat_and_one_of_something_new_does_not() -> None:
    early = rows(verify(again_after(30)), "repeat")[WORKERS]
    assert early.result is FAIL
    assert "the receiver was told the same again after 30" in early.reason
    more = NoticedAlert(status="firing", labels={"alertname": "WorkerUnhealthy", "worker_name": "worker-2"})
    second = max((e for e in again_after(30).of(Notice) if e.receiver == "worker-alerts" and e.status == "firing"),
                 key=lambda e: e.t)  # fmt: skip
    news = mapped(
        again_after(30),
        lambda e: (
            msgspec.structs.replace(e, alerts=[*e.alerts, more]) if e.t == second.t and isinstance(e, Notice) else e
        ),
    )
    assert judged(news, "repeat")[WORKERS] is PASS


def test_a_repeat_that_is_due_and_does_not_come_breaks_the_promise() -> None:
    """Promised after a minute at a tick of a second, and it went on for longer."""
    more = ", group_interval: 1s, grouped_by: [alertname, worker_name]"
    history = promised(BESIDE, more)
    key = next(key for key in history.header.sources if key.startswith("promise:"))
    text = history.header.sources[key].replace("repeat: 2h", "repeat: 5s")
    header = msgspec.structs.replace(history.header, sources={**history.header.sources, key: text})
    due = dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)
    row = rows(verify(due), "repeat")[WORKERS]
    assert row.result is FAIL
    assert "was not told again, where again after 5s is promised" in row.reason


def blind(*kinds: type[Event], source: str = "") -> Change:
    """Without these events, or without an observer's word that it looked."""
    return lambda e: (
        None if isinstance(e, kinds) and source in ("", getattr(e, "source", getattr(e, "sink", ""))) else e
    )


@pytest.mark.parametrize(
    ("change", "hop", "why"),
    [
        (blind(Suppression), "labels", "no look at Alertmanager showed the alert"),
        (blind(Suppression), "muted-by", "no look at Alertmanager showed the alert"),
        (blind(Poll, source="alertmanager"), "muted-by", "alertmanager was not watched all the time"),
        (blind(FaultOk), "fault-to-phone", "the fault's effect was not seen"),
        (blind(UndoOk), "undo-to-all-clear", "not judged"),
        (blind(Notice), "grouped-by", "no notice that lists the alert was seen at the receiver"),
        (changed(Notice, lambda e: msgspec.structs.replace(e, group_labels=None)), "grouped-by", "do not tell"),
        (blind(Notice), "recipients", "no notice that lists the alert was seen at the receiver"),
        (blind(Notice), "resolved", "no notice that lists the alert was seen at the receiver"),
        (blind(Notice), "repeat", "no notice that lists the alert was seen at the receiver"),
        (blind(Watch), "repeat", "was not watched all the time"),
    ],
)
def test_what_was_not_seen_is_unknown_with_the_reason(change: Change, hop: str, why: str) -> None:
    found = rows(verify(mapped(promised(), change)), hop)
    assert {row.result for row in found.values()} == {UNKNOWN}, found
    assert all(why in row.reason for row in found.values()), [row.reason for row in found.values()]


def test_a_notice_that_a_blind_sink_may_have_taken_is_unknown() -> None:
    """Of the whole ways, as of their parts."""
    silent = mapped(mapped(promised(), blind(Notice)), blind(Watch))
    for hop in ("fault-to-phone", "undo-to-all-clear"):
        assert set(judged(silent, hop).values()) == {UNKNOWN}
    soon = BESIDE.replace("critical-alerts: 2m,", "critical-alerts: 1m30s,")
    assert judged(mapped(promised(soon), blind(Notice)), "fault-to-phone")[WEB] is FAIL


def test_a_scenario_that_disturbs_the_way_says_how_late_the_notice_may_come_and_the_bound_gives_as_much() -> None:
    history = promised()
    key = next(key for key in history.header.sources if key.startswith("scenario:"))
    text = history.header.sources[key]
    asked = "    notifies: [critical-alerts, worker-alerts]\n"
    assert asked in text
    later = text.replace(asked, "    notifies: {critical-alerts: {within: 12m}, worker-alerts: promised}\n")
    header = msgspec.structs.replace(history.header, sources={**history.header.sources, key: later})
    disturbed = dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)
    allowed = {to: row.allowed for to, row in rows(verify(disturbed), "fault-to-phone").items()}
    # Twelve minutes from pending, less the minute of `for`, in place of a group_wait of 10 s.
    assert allowed == {CRITICAL: (0, 125 + 720 - 60 - 10), WEB: (0, 125 + 720 - 60 - 10), WORKERS: (0, 155)}


@pytest.mark.parametrize(
    ("told_by_the_recorder", "expected"), [(None, UNKNOWN), ({}, FAIL), (GROUPS["worker-alerts"], PASS)]
)
def test_the_group_of_a_mail_is_what_the_recorder_says(
    told_by_the_recorder: dict[str, str] | None, expected: Result
) -> None:
    """A mailbox shows no group, so the row rests on the nearer witness."""
    more = f"{RECORDER}, mailboxes: {{worker-alerts/email: {{maildir: /var/mail, delay: 1s}}}}"
    both = far(recorder(promised(), more), "mailbox worker-alerts/email", ("worker-alerts", "email"))

    def said(notice: Notice) -> Notice:
        return msgspec.structs.replace(notice, group_labels=told_by_the_recorder if notice.by == "recorder" else None)

    assert judged(mapped(both, changed(Notice, said)), "grouped-by")[WORKERS] is expected


def test_a_group_is_judged_where_one_integration_of_the_receiver_tells_it() -> None:
    """All integrations of a receiver are told of one group at once: a Slack message beside a webhook is no gap."""

    def silent(notice: Notice) -> Notice:
        return msgspec.structs.replace(notice, group_labels=None) if notice.integration == "email" else notice

    key = "critical-alerts: {for: 1m, group_wait: 10s, repeat: 1h"
    history = promised()
    name = next(name for name in history.header.sources if name.startswith("promise:"))
    text = history.header.sources[name].replace(key, f"{key}, grouped_by: [alertname, severity, component]")
    header = msgspec.structs.replace(history.header, sources={**history.header.sources, name: text})
    both = dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)
    assert judged(both, "grouped-by")[CRITICAL] is PASS
    told = judged(mapped(both, changed(Notice, silent)), "grouped-by")
    assert told == {WEB: PASS, WORKERS: UNKNOWN}


def test_a_notice_that_no_route_leads_there_names_where_it_goes_and_what_each_route_there_asks_for() -> None:
    history = recorded("never-notified")
    routes = history.header.sources["alertmanager:alertmanager.yml"]
    other = '    - {receiver: worker-alerts, matchers: [component=~"work"]}\n    # 3. Database.'
    sources = {**history.header.sources, "alertmanager:alertmanager.yml": routes.replace("    # 3. Database.", other)}
    header = msgspec.structs.replace(history.header, sources=sources)
    changed_route = dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)
    reason = rows(verify(changed_route), "notify")[WORKERS].reason
    assert "leads this alert to worker-alerts, but to critical-alerts (alertmanager.yml:26); the route to " in reason
    assert reason.endswith('the route to worker-alerts asks for component=~"work" (alertmanager.yml:36)')
