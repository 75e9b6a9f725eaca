"""One case: series in time, and the evaluations at which an alert is to fire. Every other evaluation must be silent.

A case becomes one group of a promtool test file: the alert fires at the first and the last evaluation that is named
and not at those beside them, and the number of evaluations at which it fired is exact over the whole time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from chaoskit.bundle import folder
from chaoskit.units import format_duration

State = Mapping[str, float | None]
"""Series -> the level of a gauge, or what is added to a counter with every sample; None: it is gone (stale)."""

RESET: State = {}
"""As a phase: counters begin at 0 again."""

PROMETHEUS, MONITORING, SLA = "prometheus_alerts.yml", "monitoring_alerts.yml", "sla_alerts.yml"
FILES = (PROMETHEUS, MONITORING, SLA)


def parsed(name: str) -> Any:
    """A file of the shipped configuration as YAML has it."""
    return yaml.safe_load((folder() / name).read_text(encoding="utf-8"))


_COUNTER = re.compile(r"\w+_(total|bucket|count|sum)(\{|$)")
_ACTION = re.compile(r"\{\{ (range) .*?\{\{ end \}\}|\{\{ (.*?) \}\}", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """`series` by name, one sample per evaluation; `fires` holds the first and last evaluation of each spell."""

    alert: str
    title: str
    series: Mapping[str, str]
    lasts: int
    """Evaluations, the one at 0 not counted."""
    fires: Sequence[tuple[int, int]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the firing instance, beside the rule's own."""
    said: Mapping[str, str] | None = None
    """What each action in the annotations yields at the first firing evaluation; `range` is a whole loop."""
    step_s: int = 15
    slack: int = 0
    """A spell may last so many evaluations longer: Prometheus 3 leaves out a range's oldest edge, 2 does not."""
    probes: Mapping[int, bool] = field(default_factory=dict)
    """In place of `fires`, where only these evaluations are certain: whether it fires at them."""


def timeline(start: State, *phases: tuple[int, State]) -> dict[str, str]:
    """Series in promtool's notation: gauges begin at their level in `start`, counters at 0; then so many samples of
    each state. A series that a state does not name has no sample there."""
    names = dict.fromkeys(name for _, state in ((1, start), *phases) for name in state)
    written = {}
    for name in names:
        counter, total = bool(_COUNTER.match(name)), 0.0
        values = ["0" if counter else f"{start[name]!r}"] if name in start else ["_"]
        for samples, state in phases:
            if state is RESET:
                total = 0.0
                values += ["0"] * samples
            elif name not in state:
                values.append(f"_x{samples}")
            elif (value := state[name]) is None:
                values += ["stale", *([f"_x{samples - 1}"] if samples > 1 else [])]
            elif counter:
                assert value == int(value), "sums of fractions are not exact: the next phase would begin with a reset"
                values.append(f"{total + value!r}+{value!r}x{samples - 1}")
                total += value * samples
            else:
                values.append(f"{value!r}+0x{samples - 1}")
        written[name] = " ".join(values)
    return written


def labelled(state: State, **labels: str) -> dict[str, float | None]:
    """The same state of series with these labels as well."""
    extra = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {
        name[:-1] + f",{extra}}}" if name.endswith("}") else f"{name}{{{extra}}}": value
        for name, value in state.items()
    }


@cache
def alerts() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every shipped alert: its file and its rule as written."""
    return {
        rule["alert"]: (name, rule)
        for name in FILES
        for group in parsed(name)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def document(cases: Iterable[Case], rules: str) -> dict[str, Any]:
    """The cases as a promtool test file for the rule file `rules`; they share one step."""
    found = list(cases)
    (step_s,) = {case.step_s for case in found}
    return {"rule_files": [rules], "evaluation_interval": f"{step_s}s", "tests": [_test(case) for case in found]}


def _test(case: Case) -> dict[str, Any]:
    _, rule = alerts()[case.alert]
    labels = {"alertname": case.alert, **rule["labels"], **case.labels}
    firing = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
    checks = []
    for first, last in case.fires:
        for at, fires in ((first - 1, False), (first, True), (last, True), (last + 1 + case.slack, False)):
            if 0 <= at <= case.lasts:
                samples = [_sample({"__name__": "ALERTS", **labels, "alertstate": "firing"}, 1)] if fires else []
                checks.append({"expr": firing, "eval_time": _at(case, at), "exp_samples": samples})
    for at, fires in case.probes.items():
        samples = [_sample({"__name__": "ALERTS", **labels, "alertstate": "firing"}, 1)] if fires else []
        checks.append({"expr": firing, "eval_time": _at(case, at), "exp_samples": samples})
    ever = sum(last - first + 1 for first, last in case.fires)
    over = format_duration((case.lasts + 1) * case.step_s)
    count, most = f"count_over_time({firing}[{over}])", ever + len(case.fires) * case.slack
    in_bounds = f"({count} >= bool {ever}) * ({count} <= bool {most})" if ever else count
    counted = [_sample({**labels, "alertstate": "firing"}, 1)] if ever else []
    if not case.probes:
        checks.append({"expr": in_bounds, "eval_time": _at(case, case.lasts), "exp_samples": counted})
    test: dict[str, Any] = {
        "name": f"{case.alert}: {case.title}",
        "interval": f"{case.step_s}s",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": checks,
    }
    if case.said is not None:
        told = {name: _rendered(text, case.said) for name, text in rule["annotations"].items()}
        expected = {"exp_labels": {**rule["labels"], **case.labels}, "exp_annotations": told}
        when = _at(case, case.fires[0][0])
        test["alert_rule_test"] = [{"alertname": case.alert, "eval_time": when, "exp_alerts": [expected]}]
    return test


def _rendered(text: str, said: Mapping[str, str]) -> str:
    return _ACTION.sub(lambda action: said[action[1] or action[2]], text)


def _at(case: Case, evaluation: int) -> str:
    return format_duration(evaluation * case.step_s)


def _sample(labels: Mapping[str, str], value: float) -> dict[str, Any]:
    name = labels.get("__name__", "")
    inner = ", ".join(f'{key}="{text}"' for key, text in labels.items() if key != "__name__")
    return {"labels": f"{name}{{{inner}}}", "value": value}
