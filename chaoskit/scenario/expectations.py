"""What must be noticed, what may be, and how much at most: `expect`, `allow` and `notices`.

Whether alerts and receivers exist is not asked here: that is a matter between the scenario and a configuration.
"""

from __future__ import annotations

from typing import Literal, cast

from chaoskit.errors import Place
from chaoskit.scenario.fields import Fields, Problems, choice, positive_int, text, texts_by_key
from chaoskit.scenario.model import Allow, Expectation, Wait
from chaoskit.scenario.notifies import notifies
from chaoskit.scenario.quantities import Bounds, bounds
from chaoskit.scenario.steps import Steps
from chaoskit.yaml_source import Node, nearest

KEYS = (
    "alert", "from", "until", "instances", "labels", "notifies", "resolves", "suppressed_by", "then", "control",
)  # fmt: skip
ALLOW_KEYS = ("alert", "because")
MAX_EXPECTATIONS = 250
THEN = ("silent", "delivered")

_WRITE = "write a list of - alert: NAME, or expect: nothing"


def read_expect(root: Fields, steps: Steps, problems: Problems) -> tuple[Expectation, ...]:
    """The expectations in the order written; empty only for `expect: nothing`."""
    if not root.has("expect"):
        problems.say(root.place, f"{root.what} says nothing about what must be noticed", _WRITE)
        return ()
    node = root.get("expect")
    if node is None or (node.kind == "scalar" and node.value == "nothing"):
        return ()
    if node.kind != "sequence" or not node.items:
        found = "an empty list" if node.kind == "sequence" else node.described()
        near = nearest(node.value, ("nothing",)) if isinstance(node.value, str) else ""
        problems.say(node.place, f"'expect' must say what is to be noticed, found {found}", near or _WRITE)
        return ()
    if len(node.items) > MAX_EXPECTATIONS:
        problems.say(
            node.place, f"'expect' has more than {MAX_EXPECTATIONS} entries", "split it into several scenarios"
        )
        return ()
    found_all = tuple(_expectation(item, steps, problems) for item in node.items)
    _refuse_twice(found_all, problems)
    for item, expectation in zip(node.items, found_all, strict=True):
        if expectation.control is not None:
            _check_control(expectation, item, found_all, steps, problems)
    return found_all


def _expectation(node: Node, steps: Steps, problems: Problems) -> Expectation:
    fields = Fields(node, "an expectation", KEYS, problems, hint="write - alert: NAME")
    from_step = _from(fields, steps, problems)
    until = fields.take("until", text, "end")
    if (until_node := fields.node.get("until")) is not None and until not in ("end", "never"):
        _check_until(until, from_step, until_node.place, steps, problems)
    suppressed_by = fields.take("suppressed_by", text, None)
    if suppressed_by is not None:
        fields.need("control", text, "name a step or scenario in which the alert is delivered without the source")
    elif not fields.has("suppressed_by"):
        for key in ("then", "control"):
            if (stray := fields.node.get(key)) is not None:
                problems.say(stray.place, f"'{key}' stands without 'suppressed_by'", "remove it, or name the source")
    resolves: Literal[True, "false_alarm"] = fields.take("resolves", _resolves, True)
    if resolves == "false_alarm" and until == "never":
        problems.say(
            node.place, "'resolves: false_alarm' means before 'until', which is never", "name the step in 'until'"
        )
    then = fields.take("then", choice(*THEN), "silent")
    return Expectation(
        alert=fields.need("alert", text, "name the rule") or "",
        place=fields.place,
        from_step=from_step,
        until_step=until,
        instances=fields.take("instances", positive_int, None),
        labels=fields.take("labels", texts_by_key, {}),
        notifies=fields.take("notifies", notifies, None),
        resolves=resolves,
        suppressed_by=suppressed_by,
        then=cast("Literal['silent', 'delivered']", then),
        control=str(written.value).strip() if suppressed_by and (written := fields.node.get("control")) else None,
    )


def _from(fields: Fields, steps: Steps, problems: Problems) -> str:
    if fields.has("from"):
        given = fields.take("from", text, None)
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
    elif wanted in ("end", "never", "all", "load") and key == "from":
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


def _resolves(node: Node, what: str, problems: Problems) -> Literal[True, "false_alarm"] | None:
    if node.value is True:
        return True
    if node.value == "false_alarm":
        return "false_alarm"
    hint = nearest(node.value, ("true", "false_alarm")) if isinstance(node.value, str) else ""
    if node.value is False:
        hint = "for an alert that is still firing at the end write until: never"
    problems.say(node.place, f"{what} must be true or false_alarm, found {node.described()}", hint)
    return None


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
    if control in ("end", "never", "all", "load"):
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


def read_allow(root: Fields, problems: Problems) -> tuple[Allow, ...]:
    """What may fire without being expected, each with its reason."""
    node = root.get("allow")
    if node is None:
        return ()
    example = "write - alert: NAME and its because: REASON"
    if node.kind != "sequence" or not node.items:
        found = "an empty list" if node.kind == "sequence" else node.described()
        problems.say(node.place, f"'allow' must be a list, found {found}", f"{example}, or remove the key")
        return ()
    allowed: dict[str, Allow] = {}
    for item in node.items:
        fields = Fields(item, "an entry of 'allow'", ALLOW_KEYS, problems, hint=example)
        alert = fields.need("alert", text, example)
        because = fields.need("because", text, "say why it may fire")
        if alert and alert in allowed:
            problems.say(
                item.place, f"'{alert}' is allowed twice", f"first on line {allowed[alert].place.line}; keep one"
            )
        elif alert:
            allowed[alert] = Allow(alert, because or "", fields.place)
    return tuple(allowed.values())


def read_notices(root: Fields, problems: Problems) -> dict[str, Bounds]:
    """Bounds on a run's notices, by receiver or under `total`."""
    node = root.get("notices")
    if node is None:
        return {}
    if node.kind != "mapping" or not node.pairs:
        problems.say(node.place, f"'notices' must be a mapping, found {node.described()}", "write {total: ..10}")
        return {}
    found = {str(key.value): bounds(value, f"'notices' of '{key.value}'", problems) for key, value in node.pairs}
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
