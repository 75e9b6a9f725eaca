"""Scripted series, and scenarios of them, as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from chaoskit.alerting.expression import expression, selectors
from chaoskit.alerting.model import Rule
from chaoskit.faults.series import ENDLESS, OneSeries, Scripted, Segment, Series, Values, identity, stretch
from chaoskit.rehearse.tree import label_values, matchers_of
from chaoskit.units import format_duration

STEP = "script"


def scenario_of(
    title: str, interval_s: float, series: Sequence[Mapping[str, Any]], expect: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A scenario in which described series follow their script until all is settled, and then are at rest again."""
    settings = {"interval": format_duration(interval_s), "series": series}
    steps = [{"inject": Series.kind, "as": STEP, "with": settings}, {"wait": "settled"}]
    steps += [{"undo": STEP, "as": "rest"}, {"wait": "settled"}]
    return {"chaoskit": 1, "title": title, "steps": steps, "expect": expect}


def stub_for(rule: Rule, mark: str) -> str:
    """A scenario to fill in, for a rule whose series could not be derived: `values` and `rest` are left open."""
    series: dict[str, None] = {}
    for selector in selectors(expression(rule.expr)):
        labels = label_values(matchers_of(selector), {"instance": mark, "job": mark}, mark) or {}
        series[identity(selector.name or "METRIC", labels)] = None
    open_ones = [{"series": one, "values": "FILL-IN", "rest": "FILL-IN"} for one in series]
    document = scenario_of(f"{rule.alert} fires and clears", 0, open_ones, [{"alert": rule.alert, "from": STEP}])
    del document["steps"][0]["with"]["interval"], document["steps"][2]["as"]
    condition = "\n".join(f"#   {line}" for line in rule.expr.strip().splitlines())
    return f"# Make this true, and false again:\n{condition}\n{yaml.safe_dump(document, sort_keys=False, width=120)}"


def described(series: Scripted) -> dict[str, Any]:
    """A series as a scenario writes it."""
    texts = {"values": _described(series.values), "rest": _described(series.rest)}
    repeat = series.values.repeat or series.rest.repeat
    one = OneSeries(series=series.key, **texts, counter=series.counter, clock=series.clock, repeat=repeat)
    return one.model_dump(exclude_defaults=True)


def _described(values: Values) -> str:
    """A sequence in promtool's notation."""
    return " ".join(map(_item, values.segments)) or "_"


def _item(segment: Segment) -> str:
    if segment.start is None:
        return f"_x{segment.count}" if segment.count > 1 else "_"
    return stretch(segment.start, segment.step, min(segment.count, ENDLESS))
