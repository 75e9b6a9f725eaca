"""The steps of a scenario, read in order: what each does, what it is called, and whether it can be done then.

Reading order is time order, so one pass knows at every step what has been injected and what is still in force. Every
wait is bounded: by itself, by the alert's computed window, or by `at_most`. A target's values stay as written for the
plan, which knows the inventory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

from chaoskit.errors import Place
from chaoskit.handles import handle_kinds
from chaoskit.scenario import fields as form
from chaoskit.scenario.fields import Fields, Form, Problems, Record
from chaoskit.scenario.model import AwaitedState, Change, Do, FaultSpec, Inject, Step, Undo, Wait
from chaoskit.units import parse_duration
from chaoskit.yaml_source import Node, nearest

AMOUNTS = ("count", "share", "all")
RESERVED = ("end", "never", "all", "load")
"""Words with a meaning of their own where a step's name is expected."""
MAX_STEPS = 250
STATES: tuple[str, ...] = get_args(AwaitedState)

_TARGET = "write for example {role: worker, count: 1} or {link: upstream}"
_FAULTS = "write inject: [{kind: KIND, target: {...}, with: {...}}, ...]"
_WAITS = "write 5m, settled, {alert: A, state: firing}, or {query: PROMQL, at_most: 5m}"


@form.of({"const": True})
def _only_true(node: Node, what: str, problems: Problems) -> bool | None:
    if node.value is True:
        return True
    problems.say(node.place, f"{what} can only be true, found {node.described()}", "remove it, or write 'count'")
    return None


@cache
def _target() -> Record:
    """The keys are the format's own, so a misspelt one is caught here."""
    handles = dict.fromkeys((*handle_kinds(), "name"), form.text)
    amounts: dict[str, Form[Any]] = {"count": form.count(), "share": form.share, "all": _only_true}
    return Record("a target", {**handles, **amounts}, more={"minProperties": 1})


@form.of(lambda: _target().schema)
def target(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
    """The target as plain data: at most one handle, at most one amount, and a handle or a name."""
    if node.kind != "mapping" or not node.pairs:
        return problems.expected(node, what, "a mapping with a handle", _TARGET)
    fields = Fields(node, _target(), problems)
    fields.all()
    kinds = tuple(handle_kinds())
    for keys in (tuple(key for key in node.keys if key in kinds), AMOUNTS):
        if len(given := [f"'{key}'" for key in keys if fields.has(key)]) > 1:
            problems.say(fields.place, f"a target has {' and '.join(given)}", "keep one of them")
    if not any(fields.has(key) for key in (*kinds, "name")):
        problems.say(node.place, f"{what} names no handle", _TARGET)
    plain: dict[str, Any] = node.plain()
    return plain


_ALERT_STATE = Record(
    "a wait", {"alert": form.text, "state": form.choice(*STATES), "at_most": form.duration}, {"alert": "", "state": ""}
)
_QUERY = Record("a wait", {"query": form.text, "at_most": form.duration}, {"query": "", "at_most": ""})
_WAIT = Record("a wait", {**_ALERT_STATE.forms, **_QUERY.forms}, hint=_WAITS)
_FAULT = Record("a fault", {"kind": form.name, "target": target, "with": form.settings}, {"kind": _FAULTS}, _FAULTS)
_NEW_LEVEL = Form(form.settings.read, {**form.settings.described, "minProperties": 1})
_STEP = {"as": Form(form.name.read, {**form.name.described, "not": {"enum": list(RESERVED)}})}
VERBS = {
    "inject": Record(
        "an inject step",
        {
            "inject": form.as_node(lambda: {"anyOf": [form.name.described, form.several(_FAULT.schema)]}),
            **_STEP,
            "target": target,
            "with": form.settings,
        },
        {"inject": ""},
    ),
    "change": Record(
        "a change step",
        {"change": form.text, **_STEP, "with": _NEW_LEVEL},
        {"change": "", "with": "say the new level, such as with: {ratio: 4%}"},
    ),
    "undo": Record(
        "an undo step",
        {"undo": form.as_node({"anyOf": [form.text.described, form.several(form.text.described)]}), **_STEP},
        {"undo": ""},
    ),
    "do": Record("a do step", {"do": form.name, **_STEP, "target": target, "with": form.settings}, {"do": ""}),
    "wait": Record(
        "a wait step",
        {
            "wait": form.as_node(
                {"anyOf": [{"const": "settled"}, form.duration.described, _ALERT_STATE.schema, _QUERY.schema]}
            ),
            **_STEP,
        },
        {"wait": ""},
    ),
}


class Steps:
    """The steps that were read in one pass, in order.

    `_in_force` is what an undo or a change can act on at this moment.
    """

    def __init__(self, problems: Problems, items: tuple[Node, ...] = (), *, incomplete: bool = False) -> None:
        self.by_name: dict[str, Step] = {}
        self.broken: set[str] = set()
        """The names of those too broken to check further."""
        self.incomplete = incomplete
        """Whether an unnamed step could not be read: references to unknown steps may mean that one."""
        self._problems = problems
        self._given = {
            str(given.value).strip(): given.place
            for item in reversed(items)
            if (given := item.get("as")) and given.kind == "scalar"
        }
        """Names written with `as` and where first, so that no generated one takes them."""
        self._in_force: dict[str, Inject] = {}
        self._changed_load = False
        for item in items:
            self._read(item)

    @property
    def injects(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.by_name.values() if isinstance(step, Inject))

    def position(self, step: str) -> int:
        """The position in the order of the step of this name, from 0."""
        return list(self.by_name).index(step)

    def _read(self, node: Node) -> None:
        """Read one step, name it, check what it refers to, and add it."""
        verb = self._verb(node)
        if verb is None:
            given = node.get("as")
            self.broken |= {str(given.value).strip()} if given else set()
            self.incomplete |= given is None
            return
        fields = Fields(node, VERBS[verb], self._problems)
        makers: dict[str, Callable[[Fields], Step]] = {
            "inject": self._inject,
            "change": self._change,
            "undo": self._undo,
            "do": self._do,
            "wait": self._wait,
        }
        step = makers[verb](fields)
        self.by_name.setdefault(step.name, step)

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
        return self._problems.refuse(node.place, message, hint)

    def _name(self, fields: Fields, base: str) -> str:
        """The step's name: as written, else the base with the first free number."""
        given: str | None = fields.take("as")
        node = fields.node.get("as")
        if given is None or node is None:
            taken = {*self.by_name, *self._given, *RESERVED}
            count = 1
            while (made := base if count == 1 else f"{base}-{count}") in taken:
                count += 1
            return made
        if given in RESERVED:
            self._problems.say(
                node.place, f"'{given}' cannot name a step", "that name has a meaning of its own; choose another"
            )
        elif given in self.by_name or ((first := self._given.get(given)) and first != node.place):
            line = self._given[given].line
            self._problems.say(
                node.place, f"two steps are called '{given}'", f"the first is on line {line}; rename one"
            )
        return given

    def _inject(self, fields: Fields) -> Inject:
        node: Node | None = fields.take("inject")
        faults: tuple[FaultSpec, ...] = ()
        if node is None:
            pass
        elif node.kind == "sequence":
            faults = self._several(fields, node)
        elif kind := form.name(node, "'inject'", self._problems):
            faults = (_fault(kind, fields),)
        base = "+".join(dict.fromkeys(fault.kind for fault in faults)) or "inject"
        step = Inject(self._name(fields, base), faults, fields.place)
        self._in_force[step.name] = step
        return step

    def _several(self, fields: Fields, node: Node) -> tuple[FaultSpec, ...]:
        for key in ("target", "with"):
            if (written := fields.node.get(key)) is not None:
                self._problems.say(written.place, f"'{key}' stands beside a list of faults", "give it to each fault")
        if not node.items:
            self._problems.say(node.place, "'inject' is an empty list", _FAULTS)
        faults = []
        for item in node.items:
            one = Fields(item, _FAULT, self._problems)
            if kind := one.take("kind"):
                faults.append(_fault(kind, one))
        return tuple(faults)

    def _change(self, fields: Fields) -> Change:
        of: str = fields.take("change", "")
        new = fields.take("with")
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
                    "inject the fault to be changed in a step of its own",
                )
        return Change(self._name(fields, f"change-{of}"), of, new or {}, fields.place)

    def _undo(self, fields: Fields) -> Undo:
        node: Node | None = fields.take("undo")
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
            target_name = form.text(item, "'undo'", self._problems)
            if target_name == "all":
                self._problems.say(item.place, "'all' stands in a list", "write undo: all, or name each step")
            elif target_name and self._usable(target_name, item.place, "undone"):
                del self._in_force[target_name]
            targets.append(target_name or "")
        return tuple(targets)

    def _do(self, fields: Fields) -> Do:
        action: str = fields.take("do", "do")
        chosen, given = fields.take("target", {}), fields.take("with", {})
        return Do(self._name(fields, action), action, chosen, given, fields.place)

    def _wait(self, fields: Fields) -> Wait:
        """Seconds of waits are virtual."""
        name = self._name(fields, "wait")
        node: Node | None = fields.take("wait")
        if node is None:
            return Wait(name, fields.place)
        if node.kind == "scalar":
            if node.value == "settled":
                return Wait(name, fields.place, settled=True)
            return Wait(name, fields.place, duration_vs=_waited(node, self._problems))
        condition = Fields(node, _WAIT, self._problems)
        if node.kind == "mapping" and condition.has("alert") == condition.has("query"):
            found = "has 'alert' and 'query'" if condition.has("alert") else "has neither 'alert' nor 'query'"
            self._problems.say(node.place, f"a wait {found}", _WAITS)
        if not condition.has("query"):
            needed = f"one of {', '.join(STATES)}"
            at_most_vs, state = condition.take("at_most"), condition.take("state", needed=needed)
            return Wait(name, fields.place, alert=condition.take("alert"), state=state, at_most_vs=at_most_vs)
        if condition.has("state") and not condition.has("alert"):
            self._problems.say(node.place, "'state' belongs to an alert, not to a query", "remove it")
        needed = "a query may never hold: bound the wait, such as at_most: 5m"
        at_most_vs = condition.take("at_most", needed=needed)
        return Wait(name, fields.place, query=condition.take("query"), at_most_vs=at_most_vs)

    def _usable(self, wanted: str, place: Place, done: str) -> bool:
        """Whether this names a fault in force here; says what else it is."""
        if wanted in self._in_force:
            return True
        step = self.by_name.get(wanted)
        match step:
            case Inject():
                what = "is no longer in force here"
                hint = "it has been undone; inject the fault again in a step with another name"
            case Change(of="load"):
                what = f"is a change, and only faults are {done}"
                hint = "write change: load again, or leave it to the end"
            case Change():
                what, hint = f"is a change, and only faults are {done}", f"name the fault: {step.of}"
            case Do():
                what, hint = f"is an action, and only faults are {done}", "an action has no undo"
            case Undo() | Wait():
                what, hint = f"is no fault, and only faults are {done}", self._near(wanted)
            case None if wanted in self.broken:
                return False
            case None if wanted in self._given:
                what = f"is {done} before it is defined"
                hint = f"its step is on line {self._given[wanted].line}; move this one below"
            case None if wanted == "end":
                what, hint = f"cannot be {done}", "all faults end after the last step: remove this"
            case None if wanted == "load":
                what, hint = "cannot be undone", "write change: load with the former figures, or leave it to the end"
            case None:
                what, hint = "names no step", self._near(wanted)
        self._problems.say(place, f"'{wanted}' {what}", hint)
        return False

    def _near(self, wanted: str) -> str:
        known = tuple(self._in_force)
        return nearest(wanted, known) or (f"in force here: {', '.join(known)}" if known else "nothing is in force here")


@form.of(lambda: form.several({"oneOf": [verb.schema for verb in VERBS.values()]}))
def read_steps(node: Node, what: str, problems: Problems) -> Steps:
    """All steps of a scenario; what is wrong with them goes to `problems`."""
    if node.kind != "sequence" or not node.items:
        found = "an empty list" if node.kind == "sequence" else node.described()
        problems.say(node.place, f"{what} must be a list of steps, found {found}", "write - inject: KIND, - wait: 5m")
        return Steps(problems, incomplete=True)
    if len(node.items) > MAX_STEPS:
        problems.say(node.place, f"{what} has more than {MAX_STEPS} steps", "split it into several scenarios")
        return Steps(problems, incomplete=True)
    return Steps(problems, node.items)


def _fault(kind: str, fields: Fields) -> FaultSpec:
    return FaultSpec(kind, fields.take("target", {}), fields.take("with", {}), fields.place)


def _waited(node: Node, problems: Problems) -> float | None:
    """A duration; a text that looks like a misspelt word gets that word suggested."""
    if isinstance(node.value, str) and not form.duration_advice(node.value):
        try:
            parse_duration(node.value)
        except (ValueError, OverflowError):
            hint = nearest(node.value, ("settled",)) or _WAITS
            return problems.refuse(node.place, f"'wait' cannot be {node.described()}", hint)
    return form.duration(node, "'wait'", problems)
