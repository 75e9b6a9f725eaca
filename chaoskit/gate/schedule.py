"""Which scenarios run together, in which order, in how many stacks side by side. Pure.

In a stack, waves follow one another; in a wave, scenarios run at the same time. A group that has notified before
tells at its next tick, not after group_wait. So an alert that two scenarios expect is never put twice into one stack,
and what may bring an alert about without promising it comes after what promises it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

from chaoskit.gate.candidate import Candidate

START_S = 8.0
"""Real seconds until a stack is up: Prometheus publishes its targets 5 s after its start at every scale."""
WAVE_S = 1.0
"""Real seconds that the beginning of a wave takes besides its quiet."""
STOP_S = 1.0
APART_S = 2.0
"""Real seconds between the beginnings of two stacks: most of what one does at first is done by then."""

Conflict = Callable[[Candidate, Candidate], str]


@dataclass(slots=True)
class Wave:
    """Scenarios that run at the same time."""

    members: list[Candidate] = field(default_factory=list)

    @property
    def expects(self) -> frozenset[str]:
        """The alerts promised in it."""
        return frozenset().union(*(one.expects for one in self.members))

    @property
    def allows(self) -> frozenset[str]:
        """The alerts that it may bring about besides."""
        return frozenset().union(*(one.allows for one in self.members))

    @property
    def length_s(self) -> float:
        """Real seconds that the wave lasts: as long as its longest scenario."""
        return max((one.estimate_s for one in self.members), default=0.0)

    @property
    def burns(self) -> bool:
        """Whether one of them takes processor time of the machine."""
        return any(one.burns for one in self.members)

    @property
    def harm(self) -> int:
        """How many things its faults hit, one after the other or at once."""
        return sum(one.harm for one in self.members)

    @property
    def busy_s(self) -> float:
        """Real seconds until each of the wave's scenarios only watches, which is when the next wave may begin to wait
        for quiet.
        """
        return max((one.estimate_s - one.tail_s for one in self.members), default=0.0)

    @property
    def quiet_s(self) -> float:
        """The quiet before it."""
        return max((one.quiet_s for one in self.members), default=0.0)


@dataclass(slots=True)
class StackPlan:
    """The waves of one stack."""

    waves: list[Wave] = field(default_factory=list)

    @property
    def length_s(self) -> float:
        """Real seconds from start to end: a wave watches while those after it wait for quiet and play."""
        now = ended = START_S
        for wave in self.waves:
            now += WAVE_S + wave.quiet_s
            ended = max(ended, now + wave.length_s)
            now += wave.busy_s
        return ended + STOP_S

    @property
    def members(self) -> list[Candidate]:
        """All scenarios that the stack plays."""
        return [one for wave in self.waves for one in wave.members]

    def beside(self, one: Candidate) -> frozenset[str]:
        """Names of alerts that the wave's other scenarios expect or allow."""
        others = [other for other in self.members if other is not one]
        return frozenset(name for other in others for name in other.expects | other.allows)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stacks, `side_by_side` of them at a time; `why` says which scenarios run apart, and why."""

    stacks: tuple[StackPlan, ...]
    side_by_side: int
    why: tuple[str, ...]
    overlaps: bool = True
    """Whether a stack may start while another one ends."""

    def calmer(self) -> Schedule:
        """The same with one stack fewer at a time, each started only after another one has ended."""
        return replace(self, side_by_side=max(1, self.side_by_side - 1), overlaps=False)

    @property
    def bound_s(self) -> float:
        """Real seconds that it should take: in each slot the next stack starts while the one before it ends."""
        slots = [self.lead_s + number * APART_S for number in range(max(1, min(self.side_by_side, len(self.stacks))))]
        for stack in self.stacks:
            first = min(range(len(slots)), key=slots.__getitem__)
            slots[first] += stack.length_s - self.lead_s
        return max(slots)

    @property
    def lead_s(self) -> float:
        """How long before a stack's end the next one in its slot may start; no time where one at a time is asked."""
        return START_S if self.overlaps and self.side_by_side > 1 else 0.0


_MOVED = 0.15
"""The share of scenarios that a further order moves."""


def make_schedule(candidates: Sequence[Candidate], conflict: Conflict, side_by_side: int, tries: int = 1) -> Schedule:
    """Longest first, each where it makes the whole end soonest; a further stack where no stack may take it.

    That is not always the best there is: `tries` further orders are tried, the same each time. Each changes the best
    one so far in a few places, and takes its place where the whole ends no later, and then takes no more in sum.
    """
    chance = random.Random(0)
    whole = sorted(candidates, key=lambda one: (-one.estimate_s, one.name))
    weights = {one.name: one.estimate_s for one in whole}
    best = _placed(map(_alone, whole), conflict, side_by_side)
    for _ in range(tries - 1):
        moved = {name: w * chance.uniform(0.1, 3) if chance.random() < _MOVED else w for name, w in weights.items()}
        other = _placed(map(_alone, sorted(whole, key=lambda each: -moved[each.name])), conflict, side_by_side)
        if _cost(other, side_by_side) <= _cost(best, side_by_side):
            best, weights = other, moved
    return Schedule(best, side_by_side, _explained(best, conflict))


def merged(stacks: Iterable[StackPlan], conflict: Conflict) -> tuple[StackPlan, ...]:
    """The waves of these stacks in as few as can be: side by side in a stack, or else after one another.

    No wave is taken apart: scenarios that disturbed one another meet again.
    """
    return _placed(sorted((wave for stack in stacks for wave in stack.waves), key=_longest_first), conflict, 1)


def shared_out(candidates: Iterable[Candidate], conflict: Conflict, count: int) -> list[list[Candidate]]:
    """The scenarios of each of `count` machines: the same on all of them, in whichever order the candidates come.

    Longest first, each to the part that would end soonest with it if it played one stack at a time: how many a machine
    plays side by side is its own affair. None is empty where there are as many scenarios, and none takes longer than
    the shortest and one scenario's own stack together.
    """
    parts: list[list[StackPlan]] = [[] for _ in range(count)]
    for one in sorted(map(_alone, candidates), key=_longest_first):
        choices = [(stacks, _best(stacks, one, conflict, 1)) for stacks in parts]
        stacks, choice = min(choices, key=lambda each: _ends(*each))
        _take(stacks, one, choice)
        _settle(stacks)
    return [[one for stack in stacks for one in stack.members] for stacks in parts]


def _ends(stacks: list[StackPlan], choice: _Choice) -> tuple[float, int]:
    """How long a part takes with this choice, one stack at a time; then how many scenarios it has."""
    length_s, _, _, stack, _ = choice
    others_s = sum(each.length_s for each in stacks if each is not stack)
    return round(length_s + others_s, 6), sum(len(each.members) for each in stacks)


def _alone(one: Candidate) -> Wave:
    return Wave([one])


def _longest_first(wave: Wave) -> tuple[float, list[str]]:
    return -wave.length_s, [one.name for one in wave.members]


def _cost(stacks: tuple[StackPlan, ...], side_by_side: int) -> tuple[float, float]:
    return Schedule(stacks, side_by_side, ()).bound_s, sum(stack.length_s for stack in stacks)


def _placed(waves: Iterable[Wave], conflict: Conflict, side_by_side: int) -> tuple[StackPlan, ...]:
    """Stacks that play these waves, none of them taken apart; the longest stack first."""
    stacks: list[StackPlan] = []
    for wave in waves:
        _take(stacks, wave, _best(stacks, wave, conflict, side_by_side))
    _settle(stacks)
    return tuple(sorted(stacks, key=lambda each: -each.length_s))


def _best(stacks: list[StackPlan], wave: Wave, conflict: Conflict, side_by_side: int) -> _Choice:
    """Where a wave makes its stack end soonest; what burns processor time, in the stack that does so already, for in
    two stacks it could be at the same time.
    """
    burning = [stack for stack in stacks if wave.burns and any(each.burns for each in stack.waves)]
    some = [stack for stack in stacks if not burning or any(stack is each for each in burning)]
    choices = [*_together(some, wave, conflict), *_after(some, wave)]
    if (len(stacks) < side_by_side and not burning) or not choices:
        choices.append((StackPlan([wave]).length_s, 2, len(stacks), StackPlan(), Wave()))
    return min(choices, key=lambda choice: choice[:3])


def _take(stacks: list[StackPlan], wave: Wave, choice: _Choice) -> None:
    *_, stack, host = choice
    if not any(stack is each for each in stacks):
        stacks.append(stack)
    if not any(host is each for each in stack.waves):
        stack.waves.append(host)
    host.members.extend(wave.members)


def _settle(stacks: list[StackPlan]) -> None:
    for stack in stacks:
        stack.waves = _in_order(stack.waves) or stack.waves


_Choice = tuple[float, int, int, StackPlan, Wave]


def _together(stacks: list[StackPlan], wave: Wave, conflict: Conflict) -> list[_Choice]:
    return [
        (length_s, 0, number, stack, host)
        for number, stack in enumerate(stacks)
        for host in stack.waves
        if not any(conflict(one, other) for one in wave.members for other in host.members)
        and (length_s := _length_s(stack, _with(stack, host, wave), wave)) is not None
    ]


def _after(stacks: list[StackPlan], wave: Wave) -> list[_Choice]:
    return [
        (length_s, 1, number, stack, Wave())
        for number, stack in enumerate(stacks)
        if (length_s := _length_s(stack, [*stack.waves, wave], wave)) is not None
    ]


def _with(stack: StackPlan, host: Wave, wave: Wave) -> list[Wave]:
    return [Wave([*each.members, *wave.members]) if each is host else each for each in stack.waves]


def _length_s(stack: StackPlan, waves: list[Wave], wave: Wave) -> float | None:
    """Of the stack with these waves, this one more among them; None where that one cannot join it."""
    if any(wave.expects & other.expects for other in stack.members):
        return None
    ordered = _in_order(waves)
    return StackPlan(ordered).length_s if ordered else None


def gentlest_first(schedule: Schedule) -> Schedule:
    """The same stacks with what breaks the fewest things first, as far as what the scenarios allow lets it be so."""
    for stack in schedule.stacks:
        stack.waves = _in_order(stack.waves, lambda wave: (wave.harm, wave.length_s)) or stack.waves
    return replace(schedule, stacks=tuple(sorted(schedule.stacks, key=lambda stack: stack.waves[0].harm)))


def _in_order(waves: Sequence[Wave], order: Callable[[Wave], Any] = lambda wave: -wave.length_s) -> list[Wave] | None:
    """Longest first, but none before another that expects what it allows; None where no order will do."""
    left = sorted(waves, key=order)
    ordered: list[Wave] = []
    while left:
        free = (
            number
            for number, wave in enumerate(left)
            if not any(wave.allows & other.expects for other in left if other is not wave)
        )
        if (first := next(free, None)) is None:
            return None
        ordered.append(left.pop(first))
    return ordered


def _explained(stacks: Sequence[StackPlan], conflict: Conflict) -> tuple[str, ...]:
    """Each reason once, with all scenarios that it keeps apart."""
    waves = [wave for stack in stacks for wave in stack.waves]
    apart: dict[str, set[str]] = {}
    for wave, other in combinations(waves, 2):
        for one, two in product(wave.members, other.members):
            if reason := conflict(one, two):
                apart.setdefault(reason, set()).update((one.name, two.name))
    return tuple(
        reason if len(names) > 2 and "alone" in reason else f"{reason}: {', '.join(sorted(names))}"
        for reason, names in sorted(apart.items())
    )
