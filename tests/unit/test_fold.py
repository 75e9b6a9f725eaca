"""One account of a run, event by event: the verifier, waits, the metrics page and healing all read it."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from chaoskit.events import (
    AlertState,
    Equipment,
    FaultOk,
    Notice,
    NoticedAlert,
    Phase,
    Poll,
    StepBegin,
    StepEnd,
    UndoOk,
)
from chaoskit.fold import Episode, Faults, Fold
from chaoskit.history import read_history
from chaoskit.host.ports import reserve
from chaoskit.run.metrics import RunMetrics
from chaoskit.run.progress import Progress
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verify import plan_of
from tests.golden.doctored import recorded, with_events

KEPT = read_history(Path(__file__).parents[1] / "golden" / "kept.jsonl")
ALERT = "WorkerUnhealthy"


def folded(*types: type) -> list[Fold]:
    """The account as it stands before each event of these types, and at the end."""
    found = []
    fold = Fold()
    for event in KEPT.events:
        if isinstance(event, types):
            found.append(fold_copy(event.n))
        fold.take(event)
    return [*found, fold]


def fold_copy(until: int) -> Fold:
    fold = Fold()
    for event in KEPT.events[:until]:
        fold.take(event)
    return fold


def test_it_says_at_each_moment_what_is_in_force_and_what_fires() -> None:
    before, at_work, end = folded(FaultOk, UndoOk)
    assert list(before.faults.standing) == list(at_work.faults.standing) == ["kill#0"]
    assert (before.faults.effects.keys(), at_work.faults.effects.keys()) == (set(), {"kill#0"})
    assert not before.firing(ALERT)
    assert at_work.firing(ALERT)
    assert (end.faults.standing, end.firing(ALERT), end.live) == ({}, False, [])
    (episode,) = end.named(ALERT)
    assert episode.state == "resolved"
    assert episode.told == episode.cleared == {(n.receiver, n.integration, n.index) for n in end.notices}


def test_what_a_run_waits_for_and_what_is_judged_are_the_same_episodes() -> None:
    plan = plan_of(KEPT.header)
    progress = Progress(plan)
    for event in KEPT.events:
        progress.feed(event)
    judged = Evidence(KEPT, plan)
    assert [(e.labels, e.own) for e in progress.fold.episodes] == [(e.labels, e.own) for e in judged.episodes]
    assert progress.fold.faults.effects == judged.faults.effects
    assert progress.fold.outages == judged.outages


def test_alerts_that_a_message_names_are_read_in_the_order_of_the_rules() -> None:
    """And in no order of a set, which another process has otherwise."""
    history = recorded("silenced")
    plan = plan_of(history.header)
    names = list(plan.every_s)
    said = {"by": "mailbox on-call/email", "alerts": [], "subject": "Firing", "html": "", "text": " ".join(names[::-1])}
    mail = msgspec.structs.replace(next(history.of(Notice)), **said)
    evidence = Evidence(with_events(history, [*history.events[:-1], mail, history.events[-1]]), plan)
    [read] = [notice for notice in evidence.notices if notice.by]
    assert list(dict.fromkeys(alert.labels["alertname"] for alert in read.alerts)) == names
    assert len(names) > 10


def test_what_is_pending_since_before_its_step_is_waited_for_where_its_fault_began_before_that() -> None:
    """As where Prometheus restores it; what was pending before a fault that begins with its step is not of it."""
    plan = plan_of(KEPT.header)
    (alert,) = [one for one in plan.alerts if one.rule.alert == ALERT]

    def waited_for(fault_earlier_s: float) -> int:
        progress = Progress(plan)
        for event in KEPT.events:
            if isinstance(event, AlertState) and event.active_at is not None:
                event = msgspec.structs.replace(event, active_at=event.active_at - 500)
            elif isinstance(event, FaultOk):
                begun, seen = event.effect
                event = msgspec.structs.replace(event, effect=(begun - fault_earlier_s, seen - fault_earlier_s))
            progress.feed(event)
        return len(progress.episodes_of(alert))

    assert [waited_for(1000.0), waited_for(0.0)] == [1, 0]


@pytest.mark.parametrize("state", ["firing", "inactive"])
def test_an_allowed_alert_is_not_waited_for_in_what_ended_before_the_first_step(state: str) -> None:
    """Its earlier episode was another scenario's of the same stack; one that still fires is as good as a new one."""
    progress = Progress(replace(plan_of(KEPT.header), alerts=()))
    for one, at in (("firing", 1.0), (state, 5.0)):
        progress.feed(AlertState(labels={"alertname": "A"}, state=one, at=at, previous=at - 1, t=at))  # type: ignore[arg-type]
    progress.feed(StepBegin(step="outage", verb="inject", t=9.0))
    assert progress.reached("A", "firing") is (state == "firing")
    for one, at in (("inactive", 12.0), ("firing", 15.0)):
        progress.feed(AlertState(labels={"alertname": "A"}, state=one, at=at, previous=at - 1, t=at))  # type: ignore[arg-type]
    assert progress.reached("A", "firing")


def test_a_step_runs_until_its_end() -> None:
    *moments, end = folded(StepEnd)
    assert [fold.step for fold in moments] == [e.step for e in KEPT.of(StepEnd)]
    assert (end.step, end.phase) == ("", [e.name for e in KEPT.of(Phase)][-1])


def test_an_alert_that_is_told_of_twice_has_one_episode() -> None:
    fold = Fold()
    for state in ("firing", "inactive", "firing"):
        fold.take(AlertState(labels={"alertname": "A"}, state=state, at=1.0, previous=0.5))  # type: ignore[arg-type]
    assert [(e.state, e.firing) for e in fold.episodes] == [("resolved", (0.5, 1.001))]


def test_equipment_that_is_down_is_trouble_until_it_is_up_and_an_outage_for_good() -> None:
    fold = Fold()
    fold.take(Equipment(name="prometheus", state="down", detail="it ended\nlong story", t=5.0))
    assert fold.trouble == ["prometheus is down: it ended"]
    assert [(o.begin, o.end) for o in fold.outages] == [(5.0, None)]
    fold.take(Equipment(name="prometheus", state="up", t=7.0))
    assert (fold.trouble, [(o.begin, o.end) for o in fold.outages]) == ([], [(5.0, 7.0)])


def test_no_answer_is_a_silence_unless_the_scenario_took_it_down() -> None:
    def look(at: float, ok: bool) -> Poll:
        return Poll(source="prometheus", asked=at, ok=ok, t=at)

    blind, excused = Fold(), Fold()
    excused.take(Equipment(name="prometheus", state="down", invited=True, t=1.5))
    for fold in (blind, excused):
        for event in (look(1.0, True), look(2.0, False), look(3.0, True)):
            fold.take(event)
    assert [(o.begin, o.end) for o in blind.unanswered] == [(1.0, 3.0)]
    assert (excused.unanswered, excused.outages) == ([], [])


def test_the_episodes_that_a_notice_lists_are_found_without_a_look_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    fold, door = Fold(), next(KEPT.of(Notice))
    for number in range(50):
        for state, at in (("firing", 1.0), ("inactive", 2.0), ("firing", 3.0)):
            labels = {"alertname": "Many", "host": f"h{number}", **({"zone": "a"} if number % 2 else {})}
            fold.take(AlertState(labels=labels, state=state, at=at, previous=None))  # type: ignore[arg-type]
    told = {"alertname": "Many", "host": "h7", "zone": "a", "added": "by Alertmanager"}
    for labels in (told, {**told, "host": "h8"}, {"alertname": "Many", "host": "h7"}, {"host": "h7"}, {}):
        assert list(fold.within(labels)) == [one for one in fold.episodes if one.is_in(labels)]
    monkeypatch.setattr(Episode, "is_in", None)
    item = NoticedAlert(status="firing", labels=told)
    fold.take(msgspec.structs.replace(door, alerts=[item]))
    assert [one.labels["host"] for one in fold.episodes if one.told] == ["h7", "h7"]


def test_healing_needs_no_more_than_the_faults() -> None:
    faults = Faults()
    for event in KEPT.events:
        if not isinstance(event, UndoOk):
            faults.take(event)
    assert list(faults.standing) == ["kill#0"]


def test_the_page_of_metrics_shows_two_runs_of_a_stack_as_they_stand() -> None:
    _, at_work, end = folded(FaultOk, UndoOk)
    page = RunMetrics((port := reserve(1)[0]), [end, at_work])
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    finally:
        page.close()
    told = sum(1 for n in KEPT.of(Notice) if n.integration == "webhook")
    finished = sum(w.finished - w.failed for w in end.windows)
    for line in (
        'chaoskit_fault_in_force{fault="kill#0",kind="process.kill"} 1.0',
        'chaoskit_step_running{step="kill"} 0.0',
        f'chaoskit_notices_total{{integration="webhook",receiver="critical-alerts"}} {told:.1f}',
        f'chaoskit_load_requests_total{{outcome="ok"}} {finished:.1f}',
        f"chaoskit_load_in_flight {end.windows[-1].in_flight:.1f}",
    ):
        assert line in text, text
    assert text.count("chaoskit_fault_in_force{") == 1
