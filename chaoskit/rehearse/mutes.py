"""Who mutes whom, by the inhibition rules and the labels that the alerts were seen to carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.routing import alert_labels, matches_all

_ANY = "*"
_MOST = 12


def muted_by(
    config: AlertConfig, alerts: Mapping[str, tuple[Rule, Sequence[Mapping[str, str]], str]]
) -> dict[str, tuple[str, ...]]:
    """By rule, the names of the alerts that mute it.

    A label that carries a rule's own mark may have any value in life, so two such labels may be equal.
    """
    sides: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
    for number, (rule, results, mark) in alerts.items():
        for result in results:
            labels = alert_labels(config, rule, result)
            sides.append((number, rule.alert, labels, {k: _ANY if mark in v else v for k, v in labels.items()}))
    found: dict[str, dict[str, None]] = {}
    for inhibit in config.inhibit_rules:
        sources: dict[tuple[str, ...], dict[str, None]] = {}
        both: set[str] = set()
        for number, name, labels, loose in sides:
            if matches_all(inhibit.source, labels):
                sources.setdefault(tuple(loose.get(one, "") for one in inhibit.equal), {})[name] = None
                if matches_all(inhibit.target, labels):
                    both.add(number)
        for number, name, labels, loose in sides:
            if number in both or not matches_all(inhibit.target, labels):
                continue
            key = tuple(loose.get(one, "") for one in inhibit.equal)
            for source in (name for values, names in sources.items() if _may_equal(values, key) for name in names):
                if source != name or "alertname" not in inhibit.equal:
                    found.setdefault(number, {})[source] = None
                elif source == name:
                    found.setdefault(number, {})[f"{source} (another severity)"] = None
    return {number: _few(tuple(names)) for number, names in found.items()}


def _may_equal(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return all(a == b or (_ANY in (a, b) and a and b) for a, b in zip(one, other, strict=True))


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) <= _MOST else (*names[:_MOST], f"and {len(names) - _MOST} more")
