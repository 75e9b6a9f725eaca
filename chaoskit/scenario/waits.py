"""`wait`: a duration, an alert's state, a query with its bound, or everything expected so far.

Every wait is bounded: by itself, by the alert's computed window, or by `at_most`.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

from chaoskit.scenario.fields import Fields, Problems, choice, text
from chaoskit.scenario.model import Wait
from chaoskit.scenario.quantities import duration, duration_advice
from chaoskit.units import parse_duration
from chaoskit.yaml_source import Node, nearest

State = Literal["pending", "firing", "notified", "suppressed", "resolved"]
STATES: tuple[str, ...] = get_args(State)
KEYS = ("alert", "state", "query", "at_most")

_FORMS = "write 5m, settled, {alert: A, state: firing}, or {query: PROMQL, at_most: 5m}"


def read_wait(fields: Fields, name: str, problems: Problems) -> Wait:
    """The wait of this step, under this name; seconds are virtual."""
    node = fields.get("wait")
    if node is None:
        return Wait(name, fields.place)
    if node.kind == "scalar":
        if node.value == "settled":
            return Wait(name, fields.place, settled=True)
        return Wait(name, fields.place, duration_vs=_duration(node, problems))
    condition = Fields(node, "a wait", KEYS, problems, hint=_FORMS)
    if node.kind == "mapping" and condition.has("alert") == condition.has("query"):
        found = "has 'alert' and 'query'" if condition.has("alert") else "has neither 'alert' nor 'query'"
        problems.say(node.place, f"a wait {found}", _FORMS)
    at_most = condition.take("at_most", duration, None)
    if condition.has("query"):
        if condition.has("state") and not condition.has("alert"):
            problems.say(node.place, "'state' belongs to an alert, not to a query", "remove it")
        condition.need("at_most", duration, "a query may never hold: bound the wait, such as at_most: 5m")
        return Wait(name, fields.place, query=condition.take("query", text, None), at_most_vs=at_most)
    state = condition.need("state", choice(*STATES), f"one of {', '.join(STATES)}")
    alert = condition.take("alert", text, None)
    return Wait(name, fields.place, alert=alert, state=cast("State | None", state), at_most_vs=at_most)


def _duration(node: Node, problems: Problems) -> float | None:
    """A duration; what looks like a misspelt word gets that word suggested."""
    if isinstance(node.value, str) and not duration_advice(node.value):
        try:
            parse_duration(node.value)
        except (ValueError, OverflowError):
            problems.say(
                node.place, f"'wait' cannot be {node.described()}", nearest(node.value, ("settled",)) or _FORMS
            )
            return None
    return duration(node, "'wait'", problems)
