"""A scenario to fill in, for a rule whose series nobody could derive."""

from __future__ import annotations

import promql_parser as promql
import yaml

from chaoskit.alerting.model import Rule
from chaoskit.faults.scripted import identity
from chaoskit.rehearse.selectors import label_values
from chaoskit.rehearse.tree import matchers_of, selectors_below


def stub_for(rule: Rule, mark: str) -> str:
    """The text of a scenario with the rule's series; `values` and `rest` are left to whoever knows them."""
    series: dict[str, None] = {}
    for selector in selectors_below(promql.parse(rule.expr)):
        labels = label_values(matchers_of(selector), {"instance": mark, "job": mark}, mark) or {}
        name = selector.name or "METRIC"
        series[identity(name, labels)] = None
    document = {
        "chaoskit": 1,
        "title": f"{rule.alert} fires and clears",
        "steps": [
            {
                "inject": "series",
                "as": "script",
                "with": {"series": [{"series": one, "values": "FILL-IN", "rest": "FILL-IN"} for one in series]},
            },
            {"wait": "settled"},
            {"undo": "script"},
            {"wait": "settled"},
        ],
        "expect": [{"alert": rule.alert, "from": "script"}],
    }
    condition = "\n".join(f"#   {line}" for line in rule.expr.strip().splitlines())
    return f"# Make this true, and false again:\n{condition}\n{yaml.safe_dump(document, sort_keys=False, width=120)}"
