"""Every expectation is a row: PASS, FAIL or UNKNOWN with the reason, and never left out, whatever could not be seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_texts
from chaoskit.errors import BadInput
from chaoskit.events import Notice, Poll, Steady, Watch
from chaoskit.gate.coverage import proven_by
from chaoskit.history import History
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Plan, PlannedAlert
from chaoskit.run.planning import Asked, plan_for
from chaoskit.scenario.catalog import scenario_names
from chaoskit.verify import verify as judging
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.check import Check
from chaoskit.verify.checks import CHECKS
from chaoskit.verify.verdict import Result, Row, Verdict
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import failed, mapped, recorded, results, with_events

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
ALERTMANAGER, PROMISE, SCENARIO = "alertmanager:", "promise:", "scenario:"
ABOUT = "WorkerUnhealthy worker-1"
NOTIFIES = "    notifies: [critical-alerts, worker-alerts]\n"
BOTH = (
    PROMISE,
    lambda old: old.replace("  critical-alerts: {", "  critical-alerts: {integrations: [email, webhook], ", 1),
)
"""What is promised to critical-alerts today; the recorded promise is an older one."""
INTEGRATIONS = [
    (receiver["name"], key)
    for receiver in yaml.safe_load((bundle.folder() / "alertmanager.yml").read_text())["receivers"]
    for key in receiver
    if key.endswith("_configs")
]


def kept(*changes: tuple[str, Callable[[str], str]]) -> History:
    """The run in which everything was kept, as if these texts had been other ones."""
    history = recorded("kept")
    sources = dict(history.header.sources)
    for role, change in changes:
        key = next(key for key in sources if key.startswith(role))
        new = change(sources[key])
        assert new != sources[key]
        sources[key] = new
    header = msgspec.structs.replace(history.header, sources=sources)
    return dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)


def notifying(text: str) -> tuple[str, Callable[[str], str]]:
    """The scenario with these receivers."""
    return SCENARIO, lambda old: old.replace(NOTIFIES, f"    notifies: {text}\n")


def promising(text: str) -> tuple[str, Callable[[str], str]]:
    """The promise with this line below its first key."""
    return PROMISE, lambda old: old.replace("chaoskit: 1\n", f"chaoskit: 1\n{text}\n")


def without(receiver: str, key: str) -> Callable[[str], str]:
    """The Alertmanager configuration without this list of integrations."""

    def change(text: str) -> str:
        document: Any = yaml.safe_load(text)
        del next(one for one in document["receivers"] if one["name"] == receiver)[key]
        return yaml.safe_dump(document, sort_keys=False)

    return change


def row(verdict: Verdict, hop: str, to: str = "") -> Row:
    [found] = [row for row in verdict.rows if (row.hop, row.to) == (hop, to)]
    return found


@pytest.mark.parametrize(
    ("receiver", "key"),
    [("critical-alerts", "email_configs"), ("critical-alerts", "webhook_configs"), ("worker-alerts", "email_configs")],
)
def test_a_run_without_one_of_its_integrations_fails_and_names_it(receiver: str, key: str) -> None:
    """What the receiver's other integrations delivered is no evidence of this one."""
    assert verify(kept(BOTH)).result is PASS
    history = kept((ALERTMANAGER, without(receiver, key)), BOTH)
    verdict = verify(history)
    assert verdict.result is FAIL
    assert verdict.exit_code == 1
    assert {to.split(" ")[0] for _, hop, to in failed(verdict) if hop == "notify"} == {receiver}
    assert "has no" in " ".join(row.reason for row in verdict.rows if row.result is FAIL)
    assert not any(proven_by(plan_of(history.header), verdict).values())


@pytest.mark.parametrize(("receiver", "key"), INTEGRATIONS)
def test_no_scenario_that_needs_an_integration_can_pass_without_it(receiver: str, key: str) -> None:
    """Whatever its history shows: each integration of the shipped configuration, in every scenario of the gate."""
    asked = [name for name in scenario_names() if _tells(name, receiver)]
    assert asked
    for name in asked:
        for before, after in zip(_plan(name).alerts, _plan(name, without(receiver, key)).alerts, strict=True):
            if _needs(before, receiver):
                [one] = [each for each in after.unproved if each.broken]
                assert one.to.startswith(receiver)


def _tells(name: str, receiver: str) -> bool:
    return any(_needs(alert, receiver) for alert in _plan(name).alerts)


def _needs(alert: PlannedAlert, receiver: str) -> bool:
    return any(notice.receiver == receiver and notice.ask.mode != "never" for notice in alert.notices)


@cache
def _sources(name: str) -> tuple[Plan, dict[str, str], str, str]:
    """In real time, in which every fault is faithful."""
    limits = ("limits.fault=9h", "limits.run=90h")
    return plan_for(Asked(name, "local", ConfigFiles(bundle.folder()), limits, time_scale=1))


def _plan(name: str, change: Callable[[str], str] | None = None) -> Plan:
    plan, sources, _, _ = _sources(name)
    if change is None:
        return plan
    key = next(key for key in sources if key.startswith(ALERTMANAGER))
    texts = {role: text for role, text in sources.items() if not role.startswith(("scenario:", "profile:"))}
    config = load_texts({**texts, key: change(sources[key])})
    return make_plan(plan.scenario, plan.profile, config, plan.inventory, time_scale=1, seed=0)


def test_a_receiver_without_any_integration_is_told_by_nobody() -> None:
    """By the promise and by the scenario alike; a receiver that must hear nothing has nothing that could show it."""
    verdict = verify(kept((ALERTMANAGER, without("worker-alerts", "email_configs"))))
    assert row(verdict, "notify", "worker-alerts").result is FAIL
    assert (
        "no notification is sent: receiver worker-alerts has no integration (alertmanager.yml:"
        in row(verdict, "notify", "worker-alerts").reason
    )
    never = kept(
        (ALERTMANAGER, without("worker-alerts", "email_configs")),
        notifying("{critical-alerts: promised, worker-alerts: never}"),
    )
    assert row(verify(never), "notify", "worker-alerts").result is UNKNOWN


def test_content_is_unknown_where_no_mail_was_seen_and_where_the_all_clear_was_not() -> None:
    blind = verify(mapped(recorded("kept"), lambda e: None if _mail(e) or getattr(e, "sink", "") == "mail-sink" else e))
    assert results(blind, "content", "email") == {UNKNOWN}
    assert results(blind, "content", "webhook") == {PASS}
    deaf = verify(mapped(recorded("kept"), lambda e: None if _mail(e) and e.status == "resolved" else e))
    assert row(deaf, "content", "worker-alerts (email)").reason.endswith("no resolved notice was seen")


def _mail(event: Any) -> bool:
    return isinstance(event, Notice) and event.integration == "email"


def test_before_the_steady_state_every_expectation_is_unknown() -> None:
    history = mapped(
        recorded("kept"),
        lambda e: (
            msgspec.structs.replace(e, reached=False, missing=["an alert is firing"]) if isinstance(e, Steady) else e
        ),
    )
    verdict = verify(history)
    rows = {(row.hop, row.to) for row in verdict.rows}
    assert rows >= {(row.hop, row.to) for row in verify(recorded("kept")).rows}
    assert {row.result for row in verdict.rows} == {UNKNOWN}


@pytest.mark.parametrize("forgetful", CHECKS, ids=lambda check: check.name)
def test_what_no_check_gave_a_row_is_unknown(forgetful: Check[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that forgets its rows leaves as many behind as one that does not."""
    history = kept(
        notifying("{critical-alerts: {within: 3m, notices: 2}, worker-alerts: promised}"),
        (ALERTMANAGER, without("critical-alerts", "webhook_configs")),
        BOTH,
        promising("subject_contains: [Worker]"),
    )
    owed = {(row.about, row.hop, row.to) for row in verify(history).rows if row.hop != "finding"}
    silent = [replace(check, judge=lambda _: []) if check is forgetful else check for check in CHECKS]
    monkeypatch.setattr(judging, "CHECKS", silent)
    verdict = verify(history)
    assert {(row.about, row.hop, row.to) for row in verdict.rows if row.hop != "finding"} == owed
    assert results(verdict, "finding")
    lost = [
        row for row in verdict.rows if row.reason.startswith("not judged: ") and "no event that shows it" in row.reason
    ]
    case = Case(history, plan_of(history.header))
    subjects: list[Any] = list(case.instances) if forgetful.of is Instance else [case]
    owes = [one for subject in subjects for one in forgetful.owes(subject)]
    assert len(lost) == len(owes)


CHOICES = [
    "promised",
    "never",
    "{within: 4m}",
    "{not_before: 61s}",
    "{notices: 2}",
    "{notices: ..9, contains: {subject: Worker}}",
    "{contains: {runbook: worker}}",
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_each_receiver_of_an_expectation_has_its_rows_whatever_was_seen(data: st.DataObject) -> None:
    """Random receivers and bounds, integrations taken away, and any of the looks and notices lost."""
    critical, worker = data.draw(st.sampled_from(CHOICES)), data.draw(st.sampled_from(CHOICES))
    changes = [notifying(f"{{critical-alerts: {critical}, worker-alerts: {worker}}}")]
    gone = data.draw(st.sets(st.sampled_from(INTEGRATIONS)))
    changes += [(ALERTMANAGER, without(receiver, key)) for receiver, key in gone]
    history = kept(*changes)
    looks = [e.n for e in history.events if isinstance(e, Poll | Watch | Notice)]
    lost = data.draw(st.sets(st.sampled_from(looks), max_size=40))
    verdict = verify(with_events(history, [e for e in history.events if e.n not in lost]))
    for receiver, how in (("critical-alerts", critical), ("worker-alerts", worker)):
        rows = [row for row in verdict.rows if row.about == ABOUT and row.to.split(" ")[0] == receiver]
        assert any(row.hop == "notify" for row in rows)
        silent = all((receiver, key) in gone for name, key in INTEGRATIONS if name == receiver)
        for hop, wanted in (("notices", "notices" in how), ("content", how != "never"), ("all-clear", how != "never")):
            assert silent or not wanted or any(row.hop == hop for row in rows), hop
        if silent:
            assert {row.result for row in rows} == {UNKNOWN if how == "never" else FAIL}
    assert all(row.reason for row in verdict.rows if row.result is not PASS)


@pytest.mark.parametrize(
    ("bounds", "wanted"), [("2", PASS), ("1..2", PASS), ("2..", PASS), ("9", FAIL), ("0..1", FAIL), ("3..", FAIL)]
)
def test_how_many_notices_one_receiver_gets_is_judged(bounds: str, wanted: Result) -> None:
    """The first notice and the all-clear are two, at each of its integrations."""
    history = kept(notifying(f"{{critical-alerts: promised, worker-alerts: {{notices: {bounds}}}}}"))
    found = row(verify(history), "notices", "worker-alerts (email)")
    assert found.result is wanted
    if wanted is FAIL:
        assert f"it got 2 notices, the scenario says {bounds}; governed by the scenario's notices:" in found.reason


@pytest.mark.parametrize(("bounds", "wanted"), [("2", UNKNOWN), ("2..", PASS), ("9", UNKNOWN), ("..1", FAIL)])
def test_how_many_notices_came_is_unknown_where_a_sink_may_have_missed_some(bounds: str, wanted: Result) -> None:
    """More than there may be are too many all the same, and enough are enough."""
    history = kept(notifying(f"{{critical-alerts: promised, worker-alerts: {{notices: {bounds}}}}}"))
    last = max(e.t for e in history.of(Notice))
    blind = mapped(history, lambda e: None if isinstance(e, Watch) and e.sink == "mail-sink" and e.t > last else e)
    assert row(verify(blind), "notices", "worker-alerts (email)").result is wanted


@pytest.mark.parametrize(
    ("how", "wanted"),
    [("{not_before: 80s}", PASS), ("{not_before: 94s}", FAIL), ("{within: 4m, not_before: 80s}", PASS)],
)
def test_not_before_is_judged_with_and_without_within(how: str, wanted: Result) -> None:
    """It fires 60 s after pending and is told 30 s later."""
    found = row(
        verify(kept(notifying(f"{{critical-alerts: promised, worker-alerts: {how}}}"))),
        "notify",
        "worker-alerts (email)",
    )
    assert found.result is wanted
    assert found.allowed is not None
    assert found.allowed[0] == pytest.approx(20.0 if "80" in how else 34.0)
    assert wanted is PASS or "not_before: 94 s" in found.reason


def test_a_not_before_that_is_later_than_the_promise_is_refused() -> None:
    with pytest.raises(BadInput, match="must not come before 140 s after firing"):
        verify(kept(notifying("{critical-alerts: promised, worker-alerts: {not_before: 200s}}")))


def test_the_promised_words_of_subjects_are_looked_for() -> None:
    assert results(verify(kept(promising("subject_contains: [WorkerUnhealthy]"))), "content") == {PASS}
    verdict = verify(kept(promising("subject_contains: [WorkerUnhealthy, ALERT]")))
    assert results(verdict, "content", "email") == {FAIL}
    assert results(verdict, "content", "webhook") == {PASS}
    assert "'ALERT' is missing in the subject" in row(verdict, "content", "worker-alerts (email)").reason


def test_a_subject_that_no_mail_of_the_receiver_can_show_is_unknown() -> None:
    """A webhook has none, which is no failure of it."""
    how = "{critical-alerts: {contains: {subject: Worker}}, worker-alerts: promised}"
    assert results(verify(kept(notifying(how))), "content", "critical-alerts") == {PASS}
    verdict = verify(kept(notifying(how), (ALERTMANAGER, without("critical-alerts", "email_configs"))))
    assert row(verdict, "content", "critical-alerts (webhook)").result is UNKNOWN


def test_an_all_clear_that_is_promised_not_to_come_is_judged() -> None:
    """A machine that only counts heartbeats is told no end."""
    line = "  worker-alerts: {recipients: [w.aroca@insaing.com], resolved: "
    no_end = (PROMISE, lambda old: old.replace(f"{line}true", f"{line}false"))
    told_all_the_same = kept(no_end)
    found = row(verify(told_all_the_same), "all-clear", "worker-alerts (email)")
    assert found.result is FAIL
    assert "the promise's resolved: false (notification_windows.yml:" in found.reason
    quiet = mapped(told_all_the_same, lambda e: None if _mail(e) and e.status == "resolved" else e)
    kept_quiet = row(verify(quiet), "all-clear", "worker-alerts (email)")
    assert kept_quiet.result is PASS
    assert kept_quiet.rests_on.startswith("nothing in ")
    blind = mapped(quiet, lambda e: None if getattr(e, "sink", "") == "mail-sink" else e)
    assert row(verify(blind), "all-clear", "worker-alerts (email)").result is UNKNOWN


def test_what_is_told_again_before_the_promise_says_so_is_a_finding_though_the_route_allows_it() -> None:
    """Two hours are promised to worker-alerts; the route says one minute, and the same mail comes twice."""
    first = next(e for e in recorded("kept").of(Notice) if e.receiver == "worker-alerts" and e.status == "firing")
    again = msgspec.structs.replace(first, t=first.t + 2.0, sent=(first.sent[0] + 2.0, first.sent[1] + 2.0))
    often = (ALERTMANAGER, lambda old: old.replace("repeat_interval: 2h", "repeat_interval: 1m"))
    twice = kept(often)
    twice = with_events(twice, sorted([*twice.events, again], key=lambda e: e.t))
    verdict = verify(twice)
    assert results(verdict, "finding") == {FAIL}
    assert "governed by the promise's repeat: 2h (notification_windows.yml:" in " ".join(r.reason for r in verdict.rows)
