"""Reads `expect` (alerts that must reach a receiver, or must not fire during a step), `allow` (alerts that may fire)
and `notices` (how many at most).

Whether alerts and receivers exist is not asked here: that is a matter between the scenario and a configuration.
"""

from __future__ import annotations

from typing import Literal

from chaoskit.errors import Place
from chaoskit.scenario import fields as form
from chaoskit.scenario.fields import Bounds, Fields, Form, Problems, Record
from chaoskit.scenario.model import Allow, Control, Expectation, Notify, Wait
from chaoskit.scenario.steps import RESERVED, Steps
from chaoskit.yaml_source import Node, nearest

MAX_EXPECTATIONS = 250

_CONTAINS = ("subject", "runbook")
_NOTIFIES = "write promised, never, or a mapping such as {within: 3m}"
_EXPECT = "write a list of - alert: NAME, or expect: nothing"
_ALLOW = "write - alert: NAME and its because: REASON"

_mode = form.choice("promised", "never")
_texts = Record("", dict.fromkeys(_CONTAINS, form.text), more={"minProperties": 1})
_BOUNDED = Record(
    "",
    {
        "within": form.duration,
        "not_before": form.duration_or_zero,
        "notices": form.bounds,
        "contains": Form(form.texts_by_key.read, _texts.schema),
    },
    hint=_NOTIFIES,
    more={"minProperties": 1},
)
_ALLOWED = Record(
    "an entry of 'allow'",
    {"alert": form.text, "because": form.text},
    {"alert": _ALLOW, "because": "say why it may fire"},
    _ALLOW,
)
_receivers = form.listed(form.text, "[critical-alerts]", unique=True)


@form.of({"anyOf": [_receivers.described, form.some({"anyOf": [_mode.described, _BOUNDED.schema]})]})
def notifies(node: Node, what: str, problems: Problems) -> dict[str, Notify] | None:
    """By receiver: a list promises exactly these; a mapping says for each what it must hear."""
    if node.kind == "sequence" and not node.items:
        hint = "if a receiver must hear nothing, write {RECEIVER: never}"
        return problems.refuse(node.place, f"{what} is an empty list", hint)
    if node.kind != "mapping":
        names = _receivers(node, what, problems)
        return None if names is None else {receiver: Notify("promised") for receiver in names}
    if not node.pairs:
        return problems.refuse(node.place, f"{what} is an empty mapping", "name the receivers, or remove the key")
    found = {str(key.value): _notify(value, f"{what} for '{key.value}'", problems) for key, value in node.pairs}
    return {receiver: notify for receiver, notify in found.items() if notify is not None}


def _notify(node: Node, what: str, problems: Problems) -> Notify | None:
    if node.kind == "scalar":
        mode = _mode(node, what, problems)
        return None if mode is None else Notify("never" if mode == "never" else "promised")
    fields = Fields(node, _BOUNDED, problems, what)
    if node.kind == "mapping" and not node.pairs:
        problems.say(node.place, f"{what} is an empty mapping", _NOTIFIES)
    within, not_before = fields.take("within"), fields.take("not_before")
    if within is not None and not_before is not None and not_before >= within:
        problems.say(node.place, f"{what}: 'not_before' is not earlier than 'within'", "swap or widen them")
    notices = fields.take("notices")
    if notices is not None and notices[1] == 0:
        problems.say(node.place, f"{what}: no notice at all", f"write never instead of {{notices: {notices[1]}}}")
    contains = fields.take("contains", {})
    written = fields.node.get("contains")
    for key, _ in written.pairs if written else ():
        if key.value not in _CONTAINS:
            hint = nearest(str(key.value), _CONTAINS) or _texts.known
            problems.say(key.place, f"'{key.value}' is not a key of 'contains'", hint)
        elif contains and not contains.get(str(key.value), "-").strip():
            problems.say(key.place, f"{what}: contains an empty {key.value}, which every notice does", "write the text")
    bounded = fields.has("within") or fields.has("not_before")
    return Notify("bounded" if bounded else "promised", within, not_before, notices, contains)


@form.of({"enum": [True, "false_alarm"]})
def _resolves(node: Node, what: str, problems: Problems) -> Literal[True, "false_alarm"] | None:
    if node.value is True:
        return True
    if node.value == "false_alarm":
        return "false_alarm"
    hint = nearest(node.value, ("true", "false_alarm")) if isinstance(node.value, str) else ""
    if node.value is False:
        hint = "for an alert that is still firing at the end write until: never"
    return problems.expected(node, what, "true or false_alarm", hint)


EXPECTED = Record(
    "an expectation",
    {
        "alert": form.text,
        "from": form.text,
        "until": form.text,
        "instances": form.count(),
        "labels": form.texts_by_key,
        "notifies": notifies,
        "resolves": _resolves,
        "suppressed_by": form.text,
        "silenced_by": form.text,
        "then": form.choice("silent", "delivered"),
        "control": form.text,
    },
    {"alert": "name the rule"},
    "write - alert: NAME",
    {
        "dependentRequired": {
            "suppressed_by": ["control"],
            "control": ["suppressed_by"],
            "then": ["suppressed_by"],
        }
    },
)


@form.of({"const": True})
def _true(node: Node, what: str, problems: Problems) -> bool | None:
    if node.value is not True:
        problems.expected(node, what, "true", "remove it if the alert fires")
    return True


CONTROL = Record(
    "a negative control",
    {"alert": form.text, "never": _true, "during": form.text},
    {"alert": "name the rule", "never": "write never: true", "during": "name the step that brings the level"},
    "write {alert: NAME, never: true, during: STEP}",
)
EXPECT_SCHEMA = {
    "anyOf": [{"const": "nothing"}, form.several({"anyOf": [EXPECTED.schema, CONTROL.schema]})],
}


def read_expect(
    root: Fields, node: Node | None, steps: Steps, problems: Problems
) -> tuple[tuple[Expectation, ...], tuple[Control, ...]]:
    """The expectations and the negative controls in the order written; both empty only for `expect: nothing`."""
    if not root.has("expect"):
        problems.say(root.place, f"{root.what} says nothing about what must be noticed", _EXPECT)
        return (), ()
    if node is None or (node.kind == "scalar" and node.value == "nothing"):
        return (), ()
    if node.kind != "sequence" or not node.items:
        near = nearest(node.value, ("nothing",)) if isinstance(node.value, str) else ""
        message = f"'expect' must say what is to be noticed, found {_found(node)}"
        problems.say(node.place, message, near or _EXPECT)
        return (), ()
    if len(node.items) > MAX_EXPECTATIONS:
        message = f"'expect' has more than {MAX_EXPECTATIONS} entries"
        problems.say(node.place, message, "split it into several scenarios")
        return (), ()
    positive = [item for item in node.items if item.get("never") is None]
    found_all = tuple(_expectation(item, steps, problems) for item in positive)
    _refuse_twice(found_all, problems)
    for item, expectation in zip(positive, found_all, strict=True):
        if expectation.control is not None:
            _check_control(expectation, item, found_all, steps, problems)
    controls: dict[str, Control] = {}
    for item in (item for item in node.items if item.get("never") is not None):
        fields = Fields(item, CONTROL, problems)
        read = fields.all()
        control = Control(read.get("alert", ""), read.get("during", ""), fields.place)
        if (written := item.get("during")) is not None:
            _refers(control.during, "during", written.place, steps, problems)
        if control.about in controls:
            hint = f"first on line {controls[control.about].place.line}; keep one"
            problems.say(item.place, f"'{control.alert}' during '{control.during}' is controlled twice", hint)
        controls.setdefault(control.about, control)
    return found_all, tuple(controls.values())


def _found(node: Node) -> str:
    return "an empty list" if node.kind == "sequence" else node.described()


def _expectation(node: Node, steps: Steps, problems: Problems) -> Expectation:
    fields = Fields(node, EXPECTED, problems)
    from_step = _from(fields, steps, problems)
    until: str = fields.take("until", "end")
    if (until_node := node.get("until")) is not None and until not in ("end", "never"):
        _check_until(until, from_step, until_node.place, steps, problems)
    suppressed_by, control = fields.take("suppressed_by"), None
    if suppressed_by is not None:
        needed = "name a step or scenario in which the alert is delivered without the source"
        control = fields.take("control", needed=needed)
    elif not fields.has("suppressed_by"):
        for key in ("then", "control"):
            if (stray := node.get(key)) is not None:
                problems.say(stray.place, f"'{key}' stands without 'suppressed_by'", "add suppressed_by:, or remove it")
    silenced_by: str | None = fields.take("silenced_by")
    if silenced_by is not None and (written := node.get("silenced_by")) is not None:
        _refers(silenced_by, "silenced_by", written.place, steps, problems)
        if fields.has("suppressed_by"):
            message = "'silenced_by' stands beside 'suppressed_by', and a silence would hide the inhibition"
            problems.say(written.place, message, "write two scenarios")
    resolves = fields.take("resolves", True)
    if resolves == "false_alarm" and until == "never":
        message = "'resolves: false_alarm' means before 'until', which is never"
        problems.say(node.place, message, "name the step in 'until'")
    return Expectation(
        alert=fields.take("alert", ""),
        place=fields.place,
        from_step=from_step,
        until_step=until,
        instances=fields.take("instances"),
        labels=fields.take("labels", {}),
        notifies=fields.take("notifies"),
        resolves=resolves,
        suppressed_by=suppressed_by,
        silenced_by=silenced_by,
        then=fields.take("then", "silent"),
        control=control,
    )


def _from(fields: Fields, steps: Steps, problems: Problems) -> str:
    if fields.has("from"):
        given: str | None = fields.take("from")
        if given is not None and (node := fields.node.get("from")) is not None:
            _refers(given, "from", node.place, steps, problems)
        return given or ""
    injects = steps.injects
    if len(injects) == 1:
        return injects[0]
    if not steps.incomplete and not steps.broken and fields.node.kind == "mapping":
        several = f"there are {len(injects)} inject steps" if injects else "there is no inject step"
        known = f"one of {', '.join(injects or steps.by_name)}" if steps.by_name else ""
        problems.say(fields.place, f"an expectation needs 'from': {several}", known)
    return ""


def _refers(wanted: str, key: str, place: Place, steps: Steps, problems: Problems) -> bool:
    """Whether this names a step that changes something."""
    step = steps.by_name.get(wanted)
    if step is not None and not isinstance(step, Wait):
        return True
    acting = tuple(name for name, known in steps.by_name.items() if not isinstance(known, Wait))
    hint = nearest(wanted, acting) or (f"known: {', '.join(acting)}" if acting else "")
    if step is not None:
        problems.say(place, f"'{key}' names '{wanted}', a wait, which changes nothing", hint)
    elif wanted in RESERVED and key == "from":
        problems.say(place, f"'from' cannot be '{wanted}'", hint)
    elif wanted not in steps.broken:
        problems.say(place, f"'{key}' names no step: '{wanted}'", hint)
    return False


def _check_until(until: str, from_step: str, place: Place, steps: Steps, problems: Problems) -> None:
    if not _refers(until, "until", place, steps, problems) or from_step not in steps.by_name:
        return
    if until == from_step:
        problems.say(place, f"'until' is the same step as 'from': '{until}'", "name a later one, or end")
    elif steps.position(until) < steps.position(from_step):
        problems.say(
            place, f"'until' comes before 'from': '{until}' runs before '{from_step}'", "name a later one, or end"
        )


def _refuse_twice(expectations: tuple[Expectation, ...], problems: Problems) -> None:
    seen: dict[tuple[object, ...], Place] = {}
    for one in expectations:
        key = (one.alert, one.from_step, *sorted(one.labels.items()))
        if one.alert and one.from_step and key in seen:
            where = f"first on line {seen[key].line}; write one expectation, or tell them apart by 'labels'"
            problems.say(one.place, f"'{one.alert}' from '{one.from_step}' is expected twice", where)
        seen.setdefault(key, one.place)


def _check_control(
    muted: Expectation, node: Node, everything: tuple[Expectation, ...], steps: Steps, problems: Problems
) -> None:
    """A control that is a step here must itself be expected to deliver the alert; else it is a scenario's name."""
    control = muted.control or ""
    written = node.get("control")
    place = written.place if written else muted.place
    if control in RESERVED:
        problems.say(place, f"'control' cannot be '{control}'", "name a step here, or a scenario")
    elif control == muted.from_step:
        problems.say(place, f"'control' is the suppressed step itself: '{control}'", "name one without the source")
    elif control in steps.by_name and _refers(control, "control", place, steps, problems):
        shown = any(
            one.alert == muted.alert and one.from_step == control and one.suppressed_by is None for one in everything
        )
        if not shown:
            hint = f"add - alert: {muted.alert} with from: {control}"
            problems.say(place, f"the control '{control}' does not expect '{muted.alert}' to be delivered", hint)


@form.of(form.several(_ALLOWED.schema))
def allow(node: Node, what: str, problems: Problems) -> tuple[Allow, ...]:
    """The alerts that may fire without being expected, each with its reason."""
    if node.kind != "sequence" or not node.items:
        problems.say(node.place, f"{what} must be a list, found {_found(node)}", f"{_ALLOW}, or remove the key")
        return ()
    allowed: dict[str, Allow] = {}
    for item in node.items:
        fields = Fields(item, _ALLOWED, problems)
        alert, because = fields.take("alert"), fields.take("because", "")
        if alert and alert in allowed:
            hint = f"first on line {allowed[alert].place.line}; keep one"
            problems.say(item.place, f"'{alert}' is allowed twice", hint)
        elif alert:
            allowed[alert] = Allow(alert, because, fields.place)
    return tuple(allowed.values())


@form.of(lambda: form.some(form.bounds.described))
def notices(node: Node, what: str, problems: Problems) -> dict[str, Bounds]:
    """Bounds on a run's notices, by receiver or under `total`."""
    if node.kind != "mapping" or not node.pairs:
        problems.expected(node, what, "a mapping", "write {total: ..10}")
        return {}
    found = {str(key.value): form.bounds(value, f"{what} of '{key.value}'", problems) for key, value in node.pairs}
    return {receiver: bound for receiver, bound in found.items() if bound is not None}


def check_settled(steps: Steps, expectations: tuple[Expectation, ...], problems: Problems) -> None:
    """A `wait: settled` before which no expectation has begun would be over at once, and prove nothing."""
    starts = [steps.position(one.from_step) for one in expectations if one.from_step in steps.by_name]
    for position, step in enumerate(steps.by_name.values()):
        if isinstance(step, Wait) and step.settled and len(starts) == len(expectations):
            if not expectations:
                problems.say(
                    step.place, "'wait: settled', but nothing is expected", "write a duration, such as wait: 10m"
                )
            elif min(starts) > position:
                problems.say(
                    step.place, "'wait: settled' before any expectation's 'from'", "move it down, or write a duration"
                )
