"""The steps of a scenario, read in order: what each does, what it is called, and whether it can be done then.

Reading order is time order, so one pass knows at every step what has been injected and what is still in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaoskit.errors import Place
from chaoskit.scenario.fields import Fields, Problems, name, settings, text
from chaoskit.scenario.model import Change, Do, FaultSpec, Inject, Step, Undo, Wait
from chaoskit.scenario.targets import target
from chaoskit.scenario.waits import read_wait
from chaoskit.yaml_source import Node, nearest

VERBS = ("inject", "change", "undo", "do", "wait")
RESERVED = ("end", "never", "all", "load")
"""Words with a meaning of their own where a step's name is expected."""
MAX_STEPS = 250
FAULT_KEYS = ("kind", "target", "with")
KEYS = {
    "inject": ("inject", "as", "target", "with"),
    "change": ("change", "as", "with"),
    "undo": ("undo", "as"),
    "do": ("do", "as", "target", "with"),
    "wait": ("wait", "as"),
}


@dataclass(slots=True)
class Steps:
    """What was read: the steps by name in order, and the names of steps too broken to say more about."""

    by_name: dict[str, Step] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    incomplete: bool = False
    """An unnamed step could not be read: nobody knows what it would have been called."""

    @property
    def injects(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.by_name.values() if isinstance(step, Inject))

    def position(self, step: str) -> int:
        """Where in the order the step of this name stands."""
        return list(self.by_name).index(step)


def read_steps(node: Node, what: str, problems: Problems) -> Steps:
    """All steps; what is wrong with them goes to `problems`."""
    if node.kind != "sequence" or not node.items:
        found = "an empty list" if node.kind == "sequence" else node.described()
        problems.say(node.place, f"{what} must be a list of steps, found {found}", "write - inject: KIND, - wait: 5m")
        return Steps(incomplete=True)
    if len(node.items) > MAX_STEPS:
        problems.say(node.place, f"{what} has more than {MAX_STEPS} steps", "split it into several scenarios")
        return Steps(incomplete=True)
    reader = _StepReader(problems, node.items)
    for item in node.items:
        reader.read(item)
    return reader.steps


class _StepReader:
    """One pass over the steps; `_in_force` is what an undo or a change can act on at this moment."""

    def __init__(self, problems: Problems, items: tuple[Node, ...]) -> None:
        self.steps = Steps()
        self._problems = problems
        self._given = {
            str(given.value).strip(): given.place
            for item in reversed(items)
            if (given := item.get("as")) and given.kind == "scalar"
        }
        """Names written with `as` and where first, so that no generated one takes them."""
        self._in_force: dict[str, Inject] = {}
        self._changed_load = False

    def read(self, node: Node) -> None:
        """Read one step, name it, check what it refers to, and add it."""
        verb = self._verb(node)
        if verb is None:
            given = node.get("as")
            self.steps.broken |= {str(given.value).strip()} if given else set()
            self.steps.incomplete |= given is None
            return
        article = "an" if verb == "inject" else "a"
        fields = Fields(node, f"{article} {verb} step", KEYS[verb], self._problems)
        makers: dict[str, Callable[[Fields], Step]] = {
            "inject": self._inject,
            "change": self._change,
            "undo": self._undo,
            "do": self._do,
            "wait": self._wait,
        }
        step = makers[verb](fields)
        self.steps.by_name.setdefault(step.name, step)

    def _verb(self, node: Node) -> str | None:
        found = [key for key in node.keys if key in VERBS]
        if node.kind != "mapping":
            message, hint = f"a step is a mapping, found {node.described()}", "write - wait: 5m"
        elif len(found) > 1:
            message = f"a step does one thing, found {' and '.join(repr(verb) for verb in found)}"
            hint = "write two steps, each with its own dash"
        elif found:
            return found[0]
        else:
            message, hint = "a step without a verb", f"write one of {', '.join(VERBS)}"
            for key in node.keys:
                if near := nearest(key, VERBS):
                    message, hint = f"'{key}' is not a step's verb", near
                    break
        self._problems.say(node.place, message, hint)
        return None

    def _name(self, fields: Fields, base: str) -> str:
        """The step's name: as written, else the base with the first free number."""
        given = fields.take("as", name, None)
        node = fields.node.get("as")
        if given is None or node is None:
            taken = {*self.steps.by_name, *self._given, *RESERVED}
            count = 1
            while (made := base if count == 1 else f"{base}-{count}") in taken:
                count += 1
            return made
        if given in RESERVED:
            self._problems.say(
                node.place, f"'{given}' cannot name a step", "it has a meaning of its own; choose another"
            )
        elif given in self.steps.by_name or ((first := self._given.get(given)) and first != node.place):
            line = self._given[given].line
            self._problems.say(
                node.place, f"two steps are called '{given}'", f"the first is on line {line}; rename one"
            )
        return given

    def _inject(self, fields: Fields) -> Inject:
        node = fields.get("inject")
        faults: tuple[FaultSpec, ...] = ()
        if node is None:
            pass
        elif node.kind == "sequence":
            faults = self._several(fields, node)
        elif kind := name(node, "'inject'", self._problems):
            faults = (_fault(kind, fields),)
        base = "+".join(dict.fromkeys(fault.kind for fault in faults)) or "inject"
        step = Inject(self._name(fields, base), faults, fields.place)
        self._in_force[step.name] = step
        return step

    def _several(self, fields: Fields, node: Node) -> tuple[FaultSpec, ...]:
        example = "write inject: [{kind: KIND, target: {...}, with: {...}}, ...]"
        for key in ("target", "with"):
            if (written := fields.node.get(key)) is not None:
                self._problems.say(written.place, f"'{key}' stands beside a list of faults", "give it to each fault")
        if not node.items:
            self._problems.say(node.place, "'inject' is an empty list", example)
        faults = []
        for item in node.items:
            one = Fields(item, "a fault", FAULT_KEYS, self._problems, hint=example)
            if kind := one.need("kind", name, example):
                faults.append(_fault(kind, one))
        return tuple(faults)

    def _change(self, fields: Fields) -> Change:
        of = fields.need("change", text) or ""
        new = fields.need("with", settings, "say the new level, such as with: {ratio: 4%}")
        if new == {}:
            self._problems.say(fields.place, "'with' of a change step holds nothing", "say the new level")
        node = fields.node.get("change")
        if of == "load":
            self._changed_load = True
        elif of and node and self._usable(of, node.place, "changed"):
            kinds = {fault.kind for fault in self._in_force[of].faults}
            if len(kinds) > 1:
                self._problems.say(
                    node.place,
                    f"'{of}' started faults of several kinds: {', '.join(sorted(kinds))}",
                    "inject the one to be changed in a step of its own",
                )
        return Change(self._name(fields, f"change-{of}"), of, new or {}, fields.place)

    def _undo(self, fields: Fields) -> Undo:
        node = fields.get("undo")
        targets: tuple[str, ...] = ()
        if node is not None and node.kind == "scalar" and node.value == "all":
            if not self._in_force and not self._changed_load:
                self._problems.say(node.place, "'undo: all', but nothing is in force here", "remove the step")
            self._in_force.clear()
            self._changed_load = False
        elif node is not None:
            targets = self._undone(node)
        base = "undo-" + (targets[0] if targets else "all")
        return Undo(self._name(fields, base), targets, fields.place)

    def _undone(self, node: Node) -> tuple[str, ...]:
        items = node.items if node.kind == "sequence" else (node,)
        if not items:
            self._problems.say(node.place, "'undo' is an empty list", "name what to undo, or write undo: all")
        targets = []
        for item in items:
            target_name = text(item, "'undo'", self._problems)
            if target_name == "all":
                self._problems.say(item.place, "'all' stands in a list", "write undo: all, or name each step")
            elif target_name and self._usable(target_name, item.place, "undone"):
                del self._in_force[target_name]
            targets.append(target_name or "")
        return tuple(targets)

    def _do(self, fields: Fields) -> Do:
        action = fields.need("do", name) or "do"
        chosen: dict[str, Any] = fields.take("target", target, {})
        given: dict[str, Any] = fields.take("with", settings, {})
        return Do(self._name(fields, action), action, chosen, given, fields.place)

    def _wait(self, fields: Fields) -> Wait:
        return read_wait(fields, self._name(fields, "wait"), self._problems)

    def _usable(self, wanted: str, place: Place, done: str) -> bool:
        """Whether this names a fault in force here; says what else it is."""
        if wanted in self._in_force:
            return True
        step = self.steps.by_name.get(wanted)
        hint = ""
        match step:
            case Inject():
                message = f"'{wanted}' is no longer in force here"
                hint = "it has been undone; inject it again in a step with another name"
            case Change():
                message = f"'{wanted}' is a change, and only faults are {done}"
                hint = (
                    f"name the fault: {step.of}"
                    if step.of != "load"
                    else "write change: load again, or leave it to the end"
                )
            case Do():
                message, hint = f"'{wanted}' is an action, and only faults are {done}", "an action has no undo"
            case Undo() | Wait():
                message, hint = f"'{wanted}' is no fault, and only faults are {done}", self._near(wanted)
            case None if wanted in self.steps.broken:
                return False
            case None if wanted in self._given:
                line = self._given[wanted].line
                message, hint = (
                    f"'{wanted}' is {done} before it is defined",
                    f"its step is on line {line}; move this one below",
                )
            case None if wanted == "end":
                message, hint = f"'end' cannot be {done}", "it is what happens after the last step"
            case None if wanted == "load":
                message, hint = (
                    "'load' cannot be undone",
                    "write change: load with the former figures, or leave it to the end",
                )
            case None:
                message, hint = f"'{wanted}' names no step", self._near(wanted)
        self._problems.say(place, message, hint)
        return False

    def _near(self, wanted: str) -> str:
        known = tuple(self._in_force)
        return nearest(wanted, known) or (f"in force here: {', '.join(known)}" if known else "nothing is in force here")


def _fault(kind: str, fields: Fields) -> FaultSpec:
    chosen: dict[str, Any] = fields.take("target", target, {})
    given: dict[str, Any] = fields.take("with", settings, {})
    return FaultSpec(kind, chosen, given, fields.place)
