"""Transitions come from samples and finished evaluations: exact where that is certain, wide where it is not."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.events import AlertState
from chaoskit.observe.alert_states import Active, AlertStates, Group, Labels, State, labels_of, seen_to

A = labels_of({"alertname": "A", "severity": "critical"})
B = labels_of({"alertname": "B"})
T = 1_795_477_500.123  # some grid instant
I_S = 15.0


def group(
    evaluated: float | None,
    active: dict[Labels, float] | None = None,
    *,
    interval_s: float = I_S,
    rules: tuple[tuple[str, Labels], ...] = (("A", (("severity", "critical"),)), ("B", ())),
    key: str = "rules.yml;g",
) -> Group:
    listed = {labels: Active(at, "1e+00") for labels, at in (active or {}).items()}
    return Group(key, interval_s, evaluated, rules, listed)


def brief(events: list[AlertState]) -> list[tuple[str, str, float, float | None]]:
    """Name, state, at and previous, counted in seconds from T."""
    return [
        (
            e.labels["alertname"],
            e.state,
            round(e.at - T, 3),
            None if e.previous is None else round(e.previous - T, 3),
        )
        for e in events
    ]


def points(*seen: tuple[float, State]) -> list[tuple[float, State]]:
    return [(round(T + at, 3), state) for at, state in seen]


def test_pending_firing_and_inactive_are_exact_when_each_evaluation_was_looked_at() -> None:
    states = AlertStates()
    assert states.look(T + 1, [group(T + 0.004)], {}) == []
    seen = states.look(T + 16, [group(T + 15.003, {A: T + 15.0002})], {A: points((15, "pending"))})
    assert brief(seen) == [("A", "pending", 15, 0)]
    assert seen[0].active_at == T + 15.0002
    assert seen[0].value == "1e+00"
    seen = states.look(T + 31, [group(T + 30.002, {A: T + 15.0002})], {A: points((15, "pending"), (30, "firing"))})
    assert brief(seen) == [("A", "firing", 30, 15)]
    assert seen[0].active_at == T + 15.0002
    seen = states.look(T + 46, [group(T + 45.010)], {A: points((15, "pending"), (30, "firing"))})
    assert brief(seen) == [("A", "inactive", 45, 30)]
    assert states.look(T + 47, [group(T + 45.010)], {A: points((30, "firing"))}) == []


def test_an_alert_without_for_fires_without_having_been_pending() -> None:
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004)], {})
    seen = states.look(T + 16, [group(T + 15.003, {B: T + 15})], {B: points((15, "firing"))})
    assert brief(seen) == [("B", "firing", 15, 0)]


def test_what_is_active_at_the_first_look_has_no_previous_and_keeps_its_own_beginning() -> None:
    seen = AlertStates().look(T + 31, [group(T + 30.01, {A: T - 600})], {A: points((15, "firing"), (30, "firing"))})
    assert brief(seen) == [("A", "firing", 15, None)]
    assert seen[0].active_at == T - 600


def test_an_evaluation_that_is_not_known_to_be_over_proves_no_absence() -> None:
    """B's sample of an evaluation in progress does not mean that A is gone, and waits itself."""
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T, B: T})], {A: points((0, "firing")), B: points((0, "firing"))})
    both = {A: points((0, "firing")), B: points((0, "firing"), (15, "firing"))}
    assert states.look(T + 15.001, [group(T + 0.004, {A: T, B: T})], both) == []
    assert brief(states.look(T + 16, [group(T + 15.003, {B: T})], both)) == [("A", "inactive", 15, 0)]


def test_a_late_evaluation_is_not_taken_for_the_next_one() -> None:
    """Evaluated 14.9 s late, on a grid of 15 s: still the evaluation that the sample is from."""
    states = AlertStates()
    assert len(states.look(T + 14.95, [group(T + 14.9, {A: T})], {A: points((0, "firing"))})) == 1
    assert states.look(T + 14.97, [group(T + 14.9)], {A: points((0, "firing"))}) == []


def test_evaluations_nobody_looked_at_make_the_interval_wide() -> None:
    """A delayed poll knows the last evaluation only: the alert ended somewhere in (last sample, that one]."""
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T})], {A: points((0, "firing"))})
    seen = states.look(T + 61, [group(T + 60.004)], {A: points((0, "firing"))})
    assert brief(seen) == [("A", "inactive", 60, 0)]


def test_another_alert_of_the_group_witnesses_the_evaluations_in_between() -> None:
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T, B: T})], {A: points((0, "firing")), B: points((0, "firing"))})
    witness = points((0, "firing"), (15, "firing"), (30, "firing"), (45, "firing"))
    seen = states.look(
        T + 46,
        [group(T + 45.004, {B: T, A: T + 45})],
        {A: points((0, "firing"), (45, "pending")), B: witness},
    )
    assert brief(seen) == [("A", "inactive", 15, 0), ("A", "pending", 45, 30)]


def test_an_alert_of_another_group_is_no_witness() -> None:
    states = AlertStates()
    a = [group(T + 0.004, {A: T}, rules=(("A", ()),), key="one")]
    other = group(T + 7.1, {B: T + 7}, rules=(("B", ()),), key="two")
    states.look(T + 8, [*a, other], {A: points((0, "firing")), B: points((7, "firing"))})
    other = group(T + 22.1, {B: T + 7}, rules=(("B", ()),), key="two")
    assert states.look(T + 23, [*a, other], {A: points((0, "firing")), B: points((7, "firing"), (22, "firing"))}) == []


def test_resolved_and_fired_again_between_two_looks_are_two_lives() -> None:
    """Without `for` nothing but ActiveAt tells, where no evaluation in between is known."""
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {B: T})], {B: points((0, "firing"))})
    seen = states.look(T + 31, [group(T + 30.004, {B: T + 30})], {B: points((0, "firing"), (30, "firing"))})
    assert brief(seen) == [("B", "inactive", 15, 0), ("B", "firing", 30, 15)]


def test_missed_evaluations_do_not_end_an_alert() -> None:
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {B: T})], {B: points((0, "firing"))})
    same = states.look(T + 46, [group(T + 45.004, {B: T})], {B: points((0, "firing"), (45, "firing"))})
    assert same == []
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T})], {A: points((0, "pending"))})
    wide = states.look(T + 46, [group(T + 45.004, {A: T})], {A: points((0, "pending"), (45, "firing"))})
    assert brief(wide) == [("A", "firing", 45, 0)]


def test_a_rule_that_fails_to_evaluate_does_not_resolve_its_alert() -> None:
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T})], {A: points((0, "firing"))})
    assert states.look(T + 16, [group(T + 15.004, {A: T})], {A: points((0, "firing"))}) == []
    back = {A: points((0, "firing"), (30, "firing"))}
    assert states.look(T + 31, [group(T + 30.004, {A: T})], back) == []
    assert brief(states.look(T + 46, [group(T + 45.004)], back)) == [("A", "inactive", 45, 30)]


def test_a_restart_starts_the_alert_anew() -> None:
    """No evaluation while it was down: the old life ends before the first one after, which has a new life."""
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T - 60})], {A: points((0, "firing"))})
    assert states.look(T + 40, [group(None)], {A: points((0, "firing"))}) == []
    seen = states.look(T + 46, [group(T + 45.002, {A: T + 45})], {A: points((0, "firing"), (45, "pending"))})
    assert brief(seen) == [("A", "inactive", 30, 0), ("A", "pending", 45, 0)]
    assert seen[1].active_at == T + 45


def test_the_first_evaluations_after_a_start_leave_no_samples_and_active_at_tells_of_them() -> None:
    """Evaluated at 45 and 60 without a sample, active since 45: it began at 45, not at its first sample."""
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {B: T})], {B: points((0, "firing"))})
    began = {B: T + 45.0001}
    seen = states.look(T + 46, [group(T + 45.002, began)], {B: points((0, "firing"))})
    assert brief(seen) == [("B", "inactive", 45, 0)]
    assert states.look(T + 61, [group(T + 60.002, began)], {B: points((0, "firing"))}) == []
    seen = states.look(T + 76, [group(T + 75.002, began)], {B: points((0, "firing"), (75, "firing"))})
    assert brief(seen) == [("B", "firing", 75, 0)]
    assert seen[0].active_at == T + 45.0001


def test_an_older_active_at_that_prometheus_remembers_over_a_restart_is_believed() -> None:
    states = AlertStates()
    states.look(T + 46, [group(T + 45.002, {A: T + 45})], {})
    seen = states.look(T + 76, [group(T + 75.002, {A: T - 600})], {A: points((75, "pending"))})
    assert brief(seen) == [("A", "pending", 75, None)]
    assert seen[0].active_at == T - 600


def test_a_rule_taken_away_by_a_reload_takes_its_alerts_along() -> None:
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T})], {A: points((0, "firing"))})
    seen = states.look(T + 7, [group(T + 0.004, rules=(("B", ()),))], {A: points((0, "firing"))})
    assert brief(seen) == [("A", "inactive", 7, 0)]


def test_a_reload_that_changes_the_interval_ends_nothing() -> None:
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004, {A: T})], {A: points((0, "firing"))})
    seen = {A: points((0, "firing"), (7, "firing"))}
    assert states.look(T + 8, [group(T + 7.004, {A: T}, interval_s=5)], seen) == []
    assert brief(states.look(T + 13, [group(T + 12.004, interval_s=5)], seen)) == [("A", "inactive", 12, 7)]


def test_instances_of_one_rule_are_told_apart() -> None:
    one, two = (labels_of({"alertname": "B", "instance": name}) for name in "12")
    states = AlertStates()
    states.look(T + 1, [group(T + 0.004)], {})
    seen = states.look(
        T + 31,
        [group(T + 30.004, {two: T + 30})],
        {one: points((15, "firing")), two: points((30, "firing"))},
    )
    assert [(e.labels["instance"], e.state, round(e.at - T, 3)) for e in seen] == [
        ("1", "firing", 15),
        ("1", "inactive", 30),
        ("2", "firing", 30),
    ]


def test_coverage_reaches_as_far_as_the_slowest_group() -> None:
    assert seen_to([group(T + 15), group(T + 3)]) == T + 3
    assert seen_to([group(T + 15), group(None)]) is None
    assert seen_to([]) is None


@dataclass
class Simulated:
    """A rule group as Prometheus runs it: planned instants on a grid, late, sometimes skipped, one rule by one."""

    rng: random.Random
    interval_ms: int
    hold: dict[Labels, int]
    skip: float
    evaluations: list[tuple[int, float, dict[Labels, tuple[State, int]]]] = field(default_factory=list)

    def run(self, count: int) -> None:
        begun: dict[Labels, int] = {}
        truth = dict.fromkeys(self.hold, False)
        for number in range(count):
            at = round(T * 1000) + number * self.interval_ms
            for labels in self.hold:
                if self.rng.random() < 0.3:
                    truth[labels] = not truth[labels]
            if number and self.rng.random() < self.skip:
                continue
            shown: dict[Labels, tuple[State, int]] = {}
            for labels, hold in self.hold.items():
                if not truth[labels]:
                    begun.pop(labels, None)
                    continue
                since = begun.setdefault(labels, at)
                shown[labels] = ("firing" if at - since >= hold * self.interval_ms else "pending", since)
            # Late by less than an interval, but over before the next one begins.
            lateness = self.rng.choice([0.0001, 0.003, 0.3, 0.6]) * self.interval_ms
            self.evaluations.append((at, (at + lateness) / 1000 + 0.0001, shown))

    def seen_by(self, now: float) -> tuple[Group, dict[Labels, list[tuple[float, State]]]]:
        """Rules as of `now`; samples a little later, when half of the next evaluation may be written."""
        over = [e for e in self.evaluations if e[1] <= now]
        samples: dict[Labels, list[tuple[float, State]]] = {}
        for at, _, shown in self.evaluations[max(0, len(over) - 12) : len(over) + 1]:
            partial = at > (over[-1][0] if over else 0)
            for labels, (state, _) in shown.items():
                if not partial or self.rng.random() < 0.5:
                    samples.setdefault(labels, []).append((at / 1000, state))
        active = {labels: Active(since / 1000, "1") for labels, (_, since) in over[-1][2].items()} if over else {}
        return (
            Group("g", self.interval_ms / 1000, over[-1][1] if over else None, (("A", ()), ("B", ())), active),
            samples,
        )

    def transitions(self, labels: Labels) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        last, life = "inactive", 0
        for at, _, shown in self.evaluations:
            state, since = shown.get(labels, ("inactive", 0))
            if last != "inactive" and since != life and state != "inactive":
                # It ended at a skipped evaluation; as Prometheus sees it, it never did. Not simulated.
                raise AssertionError("a life cannot change without an evaluation in between")
            if state != last:
                found.append((state, at))
            last, life = state, since
        return found


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**9),
    interval_ms=st.sampled_from([250, 1000, 15_000]),
    holds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    skip=st.sampled_from([0.0, 0.2]),
    pace=st.sampled_from([0.2, 0.39, 1.7, 5.0]),
)
def test_no_transition_is_wrong_and_with_a_look_after_each_evaluation_none_is_wide(
    seed: int, interval_ms: int, holds: tuple[int, int], skip: float, pace: float
) -> None:
    rng = random.Random(seed)
    simulated = Simulated(rng, interval_ms, dict(zip((A, B), holds, strict=True)), skip)
    simulated.run(40)
    states, found = AlertStates(), []
    now, end = T - interval_ms / 1000, simulated.evaluations[-1][1]
    while now < end:
        now = min(end, now + pace * interval_ms / 1000 * rng.uniform(0.5, 1.0))
        look = simulated.seen_by(now)
        found += states.look(now, [look[0]], look[1])
    instants = [at for at, _, _ in simulated.evaluations]
    for labels in (A, B):
        mine = [e for e in found if labels_of(e.labels) == labels]
        truth = simulated.transitions(labels)
        for one, next_one in pairwise(mine):
            assert one.at <= next_one.at
        for event in mine:
            at = round(event.at * 1000)
            previous = round(event.previous * 1000) if event.previous is not None else instants[0] - interval_ms
            held = [t for state, t in truth if state == event.state and previous < t <= at]
            assert held, (event, truth)
            if event.state != "inactive":
                assert (event.state, at) in truth
            if event.state == "pending" and event.previous is not None:
                assert event.active_at == pytest.approx(event.at, abs=0.001)
        if pace < 0.4:
            # One that is late by 0.6 of an interval is the last for the other 0.4 only.
            assert [(e.state, round(e.at * 1000)) for e in mine] == truth
            for event in mine:
                before = [t for t in instants if t < round(event.at * 1000)]
                if before and event.previous is not None:
                    assert round(event.previous * 1000) == before[-1]
