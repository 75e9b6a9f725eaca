"""The protections in a profile: what ends a run early, what no run may touch, and when runs may be under way at all."""

from __future__ import annotations

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.config_intervals import read_part
from chaoskit.alerting.model import TimePart
from chaoskit.errors import Place
from chaoskit.scenario import fields as form
from chaoskit.scenario.fields import Fields, Problems, Record
from chaoskit.scenario.model import Abort
from chaoskit.yaml_source import Node

DEFAULT_SEVERITY = "critical"
DEFAULT_ERRORS = 0.5

_ABORT = Record(
    "an abort condition",
    {"query": form.text, "alert": form.text, "severity": form.text, "errors": form.share},
    hint="write {query: PROMQL}, {alert: NAME}, {severity: critical} or {errors: 50%}",
)


@form.of(_ABORT.one_of)
def _abort(node: Node, what: str, problems: Problems) -> Abort:
    fields = Fields(node, _ABORT, problems)
    given = [key for key in _ABORT.forms if fields.has(key)]
    if len(given) != 1 and node.kind == "mapping":
        both = "' and '".join(given)
        found = f"has '{both}'" if given else "needs 'query' or 'alert'"
        problems.say(node.place, f"an abort condition {found}", "write one condition per entry")
    query, alert, severity, errors = (fields.take(key, None) for key in ("query", "alert", "severity", "errors"))
    return Abort(query, alert, fields.place, severity, errors)


ABORTS = form.listed(_abort, "[{query: PROMQL}]")
PROTECTED = form.listed(
    form.spelt(r"[a-z-]+:[A-Za-z0-9][A-Za-z0-9._-]*", "must be a handle, found {}", "write role:postgres"),
    "[role:postgres]",
    unique=True,
)


def with_defaults(given: tuple[Abort, ...], of: Place) -> tuple[Abort, ...]:
    """The conditions of a target that runs already: by default critical alerts and failing requests as well."""
    found = list(given)
    if all(one.severity is None for one in given):
        found.append(Abort(None, None, of, severity=DEFAULT_SEVERITY))
    if all(one.errors is None for one in given):
        found.append(Abort(None, None, of, errors=DEFAULT_ERRORS))
    return tuple(found)


_RANGES = form.several({"type": ["string", "integer"]})
_TIME = {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"}
_CLOCK = {"type": "object", "properties": {"start_time": _TIME, "end_time": _TIME}, "additionalProperties": False}
_HOURS = {
    "type": "object",
    "properties": {
        "times": form.several({**_CLOCK, "required": ["start_time", "end_time"]}),
        **dict.fromkeys(("weekdays", "days_of_month", "months", "years"), _RANGES),
        "location": {"type": "string"},
    },
    "additionalProperties": False,
    "description": "a time interval as Alertmanager has it",
}


@form.of(form.several(_HOURS))
def hours(node: Node, what: str, problems: Problems) -> tuple[TimePart, ...] | None:
    """Time intervals as Alertmanager has them: runs are under way only within one of them."""
    if node.kind != "sequence" or not node.items:
        hint = "write [{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '16:00'}]}]"
        return problems.expected(node, what, "a list of time intervals", hint)
    reading = Reading()
    found = tuple(read_part(reading, reading.as_mapping(item, "an entry of hours")) for item in node.items)
    problems.found += [*reading.problems, *(each.problem for each in reading.not_understood)]
    return found
