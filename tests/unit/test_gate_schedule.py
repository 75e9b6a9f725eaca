"""Who runs with whom: no conflict in a wave, no alert twice in a stack, and not slower than one by one."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import ExitCode
from chaoskit.gate import gate as gate_module
from chaoskit.gate.candidate import Candidate, conflict
from chaoskit.gate.choose import stacks_side_by_side
from chaoskit.gate.gate import Gate, Outcome, _Running
from chaoskit.gate.record import Record, load_record, save_record
from chaoskit.gate.schedule import APART_S, START_S, STOP_S, WAVE_S, Schedule, StackPlan, Wave, make_schedule, merged
from chaoskit.host import process
from chaoskit.observe.pressure import Busy, Idle
from chaoskit.run.planning import Asked


def one(
    name: str, takes_s: float = 10.0, expects: str = "", needs: str = "", allows: str = "", alone: str = ""
) -> Candidate:
    return Candidate(
        name=name,
        file=f"{name}.yml",
        plan=cast(Any, None),
        expects=frozenset(expects.split()),
        allows=frozenset(allows.split()),
        needs=frozenset(needs.split()),
        alone=alone,
        estimate_s=takes_s,
    )


def clash(a: Candidate, b: Candidate) -> str:
    if a.alone or b.alone:
        return "alone"
    return " ".join(a.expects & b.expects | a.needs & b.needs | a.allows & b.expects | b.allows & a.expects)


def test_what_does_not_clash_runs_at_the_same_time() -> None:
    schedule = make_schedule([one("a", expects="A"), one("b", expects="B"), one("c", expects="C")], clash, 1)
    assert [[len(wave.members) for wave in stack.waves] for stack in schedule.stacks] == [[3]]
    assert schedule.bound_s == START_S + WAVE_S + 10 + STOP_S


def test_what_acts_on_one_thing_runs_one_after_the_other_and_says_why() -> None:
    schedule = make_schedule([one("a", expects="A", needs="link"), one("b", expects="B", needs="link")], clash, 1)
    assert [len(stack.waves) for stack in schedule.stacks] == [2]
    assert schedule.why == ("link: a, b",)


def test_one_alert_is_never_expected_twice_in_one_stack() -> None:
    schedule = make_schedule([one("a", expects="A"), one("b", expects="A")], clash, 1)
    assert [len(stack.waves) for stack in schedule.stacks] == [1, 1]


def test_what_may_bring_an_alert_about_comes_after_what_promises_it() -> None:
    """However long it is: once its group has notified, it would tell of the promised alert at its next tick only."""
    a, b = one("long", 90.0, expects="B", allows="A"), one("short", 10.0, expects="A")
    waves = make_schedule([a, b], clash, 1).stacks[0].waves
    assert [wave.members for wave in waves] == [[b], [a]]


@pytest.mark.parametrize("turned", [False, True])
def test_what_may_bring_an_alert_about_never_runs_beside_what_promises_it(
    monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    monkeypatch.setattr("chaoskit.gate.candidate._mutes", lambda *_: "")
    pair = [one("a", expects="A"), one("b", expects="B", allows="A")]
    assert conflict(cast(Any, None), *(reversed(pair) if turned else pair)) == (
        "a expects A, which b may bring about too"
    )


@pytest.mark.parametrize("b", [one("b", expects="A"), one("b", allows="A")])
def test_what_must_stay_quiet_never_runs_beside_what_may_raise_it(
    monkeypatch: pytest.MonkeyPatch, b: Candidate
) -> None:
    monkeypatch.setattr("chaoskit.gate.candidate._mutes", lambda *_: "")
    quiet = dataclasses.replace(one("a"), controls=frozenset({"A"}))
    said = "a expects that A stays quiet, and b may raise it"
    assert [conflict(cast(Any, None), *pair) for pair in ((quiet, b), (b, quiet))] == [said, said]


def test_two_that_may_bring_about_each_others_alerts_never_share_a_stack() -> None:
    a, b = one("a", expects="A", allows="B"), one("b", expects="B", allows="A")
    assert [stack.members for stack in make_schedule([a, b], clash, 1).stacks] == [[a], [b]]


def test_in_a_slot_the_next_stack_starts_while_the_one_before_it_ends() -> None:
    """Three that share nothing, 20 s each: of two slots the second begins later, and a single one has all in turn."""
    every = [one(name, expects="A") for name in "abc"]
    assert make_schedule(every, clash, 2).bound_s == 20.0 + 20.0 - START_S
    assert make_schedule(every, clash, 1).bound_s == 60.0


def test_further_orders_find_a_shorter_schedule_and_the_same_one_each_time() -> None:
    """Longest first, 30 + 20 + 20 beside 30 + 20 s; better 30 + 30 beside 20 + 20 + 20, a little later."""
    every = [one(str(n), takes_s, needs="link") for n, takes_s in enumerate((30.0, 30.0, 20.0, 20.0, 20.0))]
    three = START_S + 3 * WAVE_S + STOP_S
    assert make_schedule(every, clash, 2).bound_s == three + 70.0
    assert [make_schedule(every, clash, 2, 64).bound_s for _ in range(2)] == [three + 60.0 - WAVE_S + APART_S] * 2


@pytest.mark.parametrize(("idle", "since_s", "begins"), [(0.9, 3.0, True), (0.7, 3.0, False), (0.9, 1.0, False)])
def test_soon_after_a_stack_another_one_begins_only_where_enough_is_idle_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idle: float, since_s: float, begins: bool
) -> None:
    """A stack takes 0.4 cores here; how busy the machine is shows only five seconds after its beginning."""
    gate = Gate(
        tmp_path, Asked("", "local", tmp_path), lambda outcome: None, lambda: False, idle=lambda: idle, cores=0.4
    )
    monkeypatch.setattr(gate, "_running", [_running(since_s)])
    monkeypatch.setattr(gate, "_begun_at", time.monotonic() - since_s)
    assert gate._room(make_schedule([], clash, 2)) is begins


@pytest.mark.parametrize(
    ("since_s", "idle", "begins"),
    [([13.0, 3.0], 0.0, False), ([13.0, 3.0], 0.4, True), ([13.0, 13.0, 3.0], 0.0, True), ([3.0], 0.7, False)],
)
def test_soon_after_a_stack_the_successor_of_one_that_ends_needs_no_cores_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since_s: list[float], idle: float, begins: bool
) -> None:
    """A stack takes 0.4 cores here, and is about to end from its 12th second on; the last one began 3 s ago."""
    gate = Gate(
        tmp_path, Asked("", "local", tmp_path), lambda outcome: None, lambda: False, idle=lambda: idle, cores=0.4
    )
    monkeypatch.setattr(gate, "_running", [_running(for_s) for for_s in since_s])
    monkeypatch.setattr(gate, "_begun_at", time.monotonic() - 3.0)
    assert gate._room(make_schedule([], clash, 2)) is begins


@given(st.lists(st.tuples(st.floats(5, 40), st.booleans(), st.sampled_from("ABC")), max_size=9), st.integers(1, 5))
def test_scenarios_that_burn_processor_time_share_a_stack_and_never_meet(
    given_: list[tuple[float, bool, str]], side_by_side: int
) -> None:
    """All stacks share the machine: two burns at once take what neither of them can have then."""
    every = [
        dataclasses.replace(one(str(number), takes_s, expects=f"{alert}{number if burns else ''}"), burns=burns)
        for number, (takes_s, burns, alert) in enumerate(given_)
    ]

    def apart(a: Candidate, b: Candidate) -> str:
        return conflict(cast(Any, None), a, b) if a.burns and b.burns else clash(a, b)

    stacks = make_schedule(every, apart, side_by_side, 8).stacks
    assert sum(any(member.burns for member in stack.members) for stack in stacks) <= 1
    waves = [wave for stack in stacks for wave in stack.waves]
    assert all(sum(member.burns for member in wave.members) <= 1 for wave in waves)


def test_slots_that_no_stack_needs_lengthen_no_schedule() -> None:
    """However many stacks may stand side by side: the whole lasts as long as its one stack."""
    for side_by_side in (1, 2, 24):
        assert make_schedule([one("a")], clash, side_by_side).bound_s == START_S + WAVE_S + 10 + STOP_S


def test_the_others_alerts_are_allowed_and_ones_own_are_not_among_them() -> None:
    a, b = one("a", expects="A", allows="X"), one("b", expects="B")
    stack = make_schedule([a, b], clash, 1).stacks[0]
    assert stack.beside(a) == {"B"}
    assert stack.beside(b) == {"A", "X"}


def test_a_wave_begins_while_the_one_before_it_only_looks_on() -> None:
    """10 s of which 4 are a tail, then 3 s of quiet and 5 s: the bound is what both take on one axis of time."""
    first = dataclasses.replace(one("a", 10.0), tail_s=4.0)
    second = dataclasses.replace(one("b", 5.0), tail_s=4.0, quiet_s=3.0)
    stack = StackPlan([Wave([first]), Wave([second])])
    assert stack.length_s == START_S + WAVE_S + 6 + WAVE_S + 3 + 5 + STOP_S
    assert StackPlan([Wave([first, second])]).length_s == START_S + WAVE_S + 3 + 10 + STOP_S


candidates = st.lists(
    st.tuples(
        st.floats(1, 100),
        st.sampled_from("ABCDE"),
        st.sampled_from(["link", "queue", "role", ""]),
        st.sampled_from(["A", "B C", "E", "", ""]),
        st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


@given(candidates, st.integers(1, 4), st.sampled_from([1, 5]))
def test_any_schedule_is_whole_free_of_clashes_and_no_longer_than_one_after_the_other(
    drawn: list[tuple[float, str, str, str, bool]], side_by_side: int, tries: int
) -> None:
    every = [
        one(str(n), takes_s, expects, needs, allows, alone)
        for n, (takes_s, expects, needs, allows, alone) in enumerate(drawn)
    ]
    schedule = make_schedule(every, clash, side_by_side, tries)
    members = [member for stack in schedule.stacks for member in stack.members]
    assert sorted(member.name for member in members) == sorted(member.name for member in every)
    for stack in schedule.stacks:
        alerts = [alert for member in stack.members for alert in member.expects]
        assert len(alerts) == len(set(alerts))
        for number, wave in enumerate(stack.waves):
            assert not any(wave.allows & later.expects for later in stack.waves[number + 1 :])
            assert not any(clash(a, b) for a in wave.members for b in wave.members if a is not b)
    assert schedule.bound_s <= make_schedule(every, clash, side_by_side).bound_s + 1e-6, "more orders end no later"
    assert schedule.bound_s <= sum(START_S + WAVE_S + STOP_S + member.estimate_s for member in every) + 1e-6


def test_as_many_stacks_stand_side_by_side_as_the_idle_cores_bear_and_one_a_core_where_others_have_them() -> None:
    assert [stacks_side_by_side(2, idle, 0.42) for idle in (0.0, 1.0, 1.6, 1.7, 2.0)] == [2, 2, 2, 3, 3]
    assert [stacks_side_by_side(2, 2.0, stack_cores) for stack_cores in (0.8, 0.34, 0.27, 0.01)] == [2, 4, 5, 6]
    assert [stacks_side_by_side(1, idle, 0.46) for idle in (0.0, 1.0)] == [1, 1]


def test_a_machine_is_busy_where_somebody_waited_for_a_core_most_of_the_last_seconds() -> None:
    """As the kernel counts it; before it was asked for so long, and where nobody knows, it is not."""
    now, stalled = 0.0, 0.0
    busy = Busy(lambda: stalled, lambda: now)
    said = []
    for second in range(20):
        now += 1.0
        stalled += 0.9 if 5 <= second < 12 else 0.3
        said.append(busy())
    assert said == [5 + 3 <= second < 12 + 1 for second in range(20)]
    assert not Busy(lambda: None)()


def test_cores_are_idle_as_they_were_in_the_last_seconds_and_none_is_before_that_is_known() -> None:
    now, idle_s = 0.0, 100.0
    idle = Idle(lambda: idle_s, lambda: now)
    said = []
    for second in range(20):
        now += 1.0
        idle_s += 1.5 if second >= 10 else 0.5
        said.append(round(idle(), 1))
    assert said[:2] == [0.0] * 2
    assert said[2:10] == [0.5] * 8
    assert said[10:15] == [0.7, 0.9, 1.1, 1.3, 1.5]


@pytest.mark.parametrize(("busy", "beside"), [(False, True), (True, False)])
def test_a_further_stack_begins_only_where_the_machine_has_room_and_the_first_one_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool, beside: bool
) -> None:
    settings = Asked("", "local", ConfigFiles(tmp_path))
    gate = Gate(tmp_path, settings, lambda outcome: None, busy=lambda: busy)
    schedule = make_schedule([], clash, 2)
    assert gate._room(schedule)
    monkeypatch.setattr(gate, "_running", [_running(0.0)])
    assert gate._room(schedule) is beside
    monkeypatch.setattr(gate, "_running", [_running(0.0), _running(0.0)])
    assert not gate._room(schedule)


def _running(since_s: float) -> _Running:
    """A stack of one wave of 10 s that began so long ago."""
    plan = StackPlan([Wave([one("a", 10.0)])])
    return _Running(plan, 1, cast(Any, None), {}, begun_at=time.monotonic() - since_s)


@pytest.mark.parametrize(
    ("side_by_side", "since_s", "begins"),
    [
        (2, [0.0, 11.0], False),
        (2, [0.0, 13.0], True),
        (2, [0.0, 13.0, 0.0], False),
        (2, [13.0, 13.0, 0.0], True),
        (2, [13.0, 13.0, 0.0, 0.0], False),
        (2, [99.0, 99.0], False),
        (1, [99.0], False),
    ],
)
def test_a_stack_starts_while_another_ends_but_not_where_that_overran_its_plan_or_one_at_a_time_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side_by_side: int, since_s: list[float], begins: bool
) -> None:
    """A stack of 20 s (8 to start, 1 for the wave, 10, 1 to stop) is about to end from its 12th second on."""
    gate = Gate(tmp_path, Asked("", "local", ConfigFiles(tmp_path)), lambda outcome: None, busy=lambda: False)
    monkeypatch.setattr(gate, "_running", [_running(ago_s) for ago_s in since_s])
    assert gate._room(make_schedule([], clash, side_by_side)) is begins


@pytest.mark.parametrize(("unknown", "attempt", "begins"), [(0, 1, True), (1, 1, True), (2, 1, False), (0, 2, False)])
def test_after_each_stack_with_an_unknown_one_fewer_runs_at_a_time_and_a_second_attempt_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown: int, attempt: int, begins: bool
) -> None:
    gate = Gate(tmp_path, Asked("", "local", tmp_path), lambda outcome: None, busy=lambda: False)
    schedule = make_schedule([], clash, 3)
    for _ in range(unknown):
        schedule = schedule.calmer()
    assert gate._room(schedule, attempt)
    monkeypatch.setattr(gate, "_begun_at", time.monotonic() - 60.0)
    monkeypatch.setattr(gate, "_running", [_running(60.0)])
    assert gate._room(schedule, attempt) is begins


@pytest.mark.parametrize(
    ("idle", "running", "begins"), [(0.3, 1, False), (0.5, 1, True), (0.5, 2, True), (2.0, 3, False)]
)
def test_after_two_stacks_with_an_unknown_as_many_as_planned_run_again_once_enough_is_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idle: float, running: int, begins: bool
) -> None:
    """A stack takes 0.4 cores here: the neighbour that took them has left, or not."""
    gate = Gate(
        tmp_path, Asked("", "local", tmp_path), lambda outcome: None, lambda: False, idle=lambda: idle, cores=0.4
    )
    monkeypatch.setattr(gate, "_running", [_running(0.0)] * running)
    monkeypatch.setattr(gate, "_planned", 3)
    assert gate._room(make_schedule([], clash, 3).calmer().calmer()) is begins
    assert not gate._room(make_schedule([], clash, 3).calmer().calmer(), attempt=2)


def test_a_gate_tells_how_many_cores_a_stack_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel counted it for its children, over the seconds of all stacks; the next gate plans by it."""
    used_s = iter([10.0, 10.5])
    monkeypatch.setattr(gate_module, "_TOLD_S", 0.0)
    monkeypatch.setattr(gate_module, "_used_s", lambda: next(used_s))
    monkeypatch.setattr(gate_module, "play_job", lambda _: 0)
    monkeypatch.setattr(Gate, "_answer", lambda *_: None)
    gate = Gate(tmp_path, Asked("", "local", ConfigFiles(tmp_path)), lambda outcome: None, busy=lambda: False)
    gate.run(make_schedule([one("a")], clash, 1))
    assert gate.took_cores == 0.5 / gate._stacks_s
    record = Record()
    record.at(60.0).cores = gate.took_cores
    save_record(tmp_path, record)
    assert load_record(tmp_path).at(60.0).cores == gate.took_cores


def test_a_stack_that_lasts_longer_than_planned_counts_as_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine gives it the same processor time later: by what it lasted, more stacks would seem to fit."""
    monkeypatch.setattr(gate_module, "play_job", lambda _: 0)
    monkeypatch.setattr(Gate, "_answer", lambda *_: None)
    monkeypatch.setattr(StackPlan, "length_s", 0.125)
    gate = Gate(tmp_path, Asked("", "local", ConfigFiles(tmp_path)), lambda outcome: None, busy=lambda: False)
    gate.run(make_schedule([one("a")], clash, 1))
    assert gate._stacks_s == 0.125


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_stack_that_is_killed_or_stands_still_says_nothing_and_is_no_bug_of_ours(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for for ever."""
    monkeypatch.setattr(gate_module, "play_job", lambda _: os.kill(os.getpid(), number))
    monkeypatch.setattr(Gate, "_answer", lambda *_: None)
    monkeypatch.setattr(process.Child.stands_still, "__defaults__", (0.2,))
    heard: list[Outcome] = []
    gate = Gate(
        tmp_path, Asked("", "local", ConfigFiles(tmp_path)), heard.append, busy=lambda: False, stop_at_first=True
    )
    gate.run(make_schedule([one("a")], clash, 1))
    assert heard[0].exit_code == ExitCode.UNKNOWN
    assert "its stack ended with -9" in heard[0].trouble


def test_the_waves_of_second_attempts_share_a_stack_whole_unless_one_alert_is_expected_twice() -> None:
    a, b = one("a", 20.0, expects="A"), one("b", 10.0, expects="B")
    beside, after, apart = one("c", expects="C"), one("d", expects="D", needs="link"), one("e", 5.0, expects="A B")
    link = one("f", 30.0, expects="F", needs="link")
    stacks = [
        StackPlan([Wave([a, b]), Wave([apart])]),
        StackPlan([Wave([beside]), Wave([after])]),
        StackPlan([Wave([link])]),
    ]
    found = merged(stacks, clash)
    assert [[wave.members for wave in stack.waves] for stack in found] == [[[link, a, b, beside], [after]], [[apart]]]


def test_what_says_nothing_in_two_stacks_is_tried_again_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a folder of its own, as in a stack of its own."""
    heard: list[Outcome] = []
    monkeypatch.setattr(gate_module, "play_job", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    monkeypatch.setattr(gate_module, "apart_in", lambda _: clash)
    monkeypatch.setattr(Gate, "_answer", lambda *_: None)
    local = cast(Any, SimpleNamespace(attached=False))
    a, b = (dataclasses.replace(one(name, expects=name), plan=local) for name in "ab")
    gate = Gate(tmp_path, Asked("", "local", ConfigFiles(tmp_path)), heard.append, busy=lambda: False)
    gate.run(Schedule((StackPlan([Wave([a])]), StackPlan([Wave([b])])), 1, ()))
    assert gate.took_cores is None, "stacks of a moment tell nothing of what one takes"
    assert [(each.candidate.name, each.attempt) for each in heard] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert sorted(each.name for each in tmp_path.glob("*.log")) == ["stack-1.log", "stack-2.log", "stack-3.log"]
