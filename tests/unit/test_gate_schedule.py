"""Who runs with whom: no conflict in a wave, no alert twice in a stack, and not slower than one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.cli.gate import _side_by_side
from chaoskit.gate.candidate import Candidate
from chaoskit.gate.gate import Gate, Settings
from chaoskit.gate.schedule import START_S, STOP_S, WAVE_S, StackPlan, Wave, make_schedule
from chaoskit.observe.pressure import Busy


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
    return "alone" if a.alone or b.alone else " ".join(a.expects & b.expects | a.needs & b.needs)


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
        st.floats(1, 100), st.sampled_from("ABCDE"), st.sampled_from(["link", "queue", "role", ""]), st.booleans()
    ),
    min_size=1,
    max_size=14,
)


@given(candidates, st.integers(1, 4))
def test_any_schedule_is_whole_free_of_clashes_and_no_longer_than_one_after_the_other(
    drawn: list[tuple[float, str, str, bool]], side_by_side: int
) -> None:
    every = [
        one(str(n), takes_s, expects, needs, alone=alone) for n, (takes_s, expects, needs, alone) in enumerate(drawn)
    ]
    schedule = make_schedule(every, clash, side_by_side)
    members = [member for stack in schedule.stacks for member in stack.members]
    assert sorted(member.name for member in members) == sorted(member.name for member in every)
    for stack in schedule.stacks:
        alerts = [alert for member in stack.members for alert in member.expects]
        assert len(alerts) == len(set(alerts))
        for wave in stack.waves:
            assert not any(clash(a, b) for a in wave.members for b in wave.members if a is not b)
    assert schedule.bound_s <= sum(START_S + WAVE_S + STOP_S + member.estimate_s for member in every) + 1e-6


def test_fewer_stacks_stand_side_by_side_where_others_have_the_cores_already() -> None:
    assert [_side_by_side(2, idle) for idle in (0.0, 0.4, 0.6, 2.0)] == [2, 2, 3, 3]
    assert [_side_by_side(1, idle) for idle in (0.0, 1.0)] == [1, 1]


def test_a_machine_is_busy_where_somebody_waited_for_a_core_most_of_the_last_seconds() -> None:
    """As the kernel counts it; before it was asked for so long, and where nobody knows, it is not."""
    now, stalled = 0.0, 0.0
    busy = Busy(lambda: stalled, lambda: now)
    said = []
    for second in range(20):
        now += 1.0
        stalled += 0.9 if 5 <= second < 12 else 0.3
        said.append(busy())
    assert said == [5 + 2 <= second < 12 + 2 for second in range(20)]
    assert not Busy(lambda: None)()


@pytest.mark.parametrize(("busy", "beside"), [(False, True), (True, False)])
def test_a_further_stack_begins_only_where_the_machine_has_room_and_the_first_one_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool, beside: bool
) -> None:
    settings = Settings("local", tmp_path, (), None, 0)
    gate = Gate(tmp_path, settings, lambda outcome: None, busy=lambda: busy)
    assert gate._room(2)
    monkeypatch.setattr(gate, "_running", [object()])
    assert gate._room(2) is beside
    monkeypatch.setattr(gate, "_running", [object(), object()])
    assert not gate._room(2)
