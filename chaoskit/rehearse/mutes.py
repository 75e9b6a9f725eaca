"""Who mutes whom, by the inhibition rules and the labels that the alerts were seen to carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaoskit.alerting.inhibition import Part, parts
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.routing import alert_labels

_ANY = "*"
_MOST = 12


def muted_by(
    config: AlertConfig, alerts: Mapping[str, tuple[Rule, Sequence[Mapping[str, str]], str]]
) -> dict[str, tuple[str, ...]]:
    """By rule, the names of the alerts that mute it.

    A label that carries a rule's own mark may have any value in life, so two such labels may be equal.
    """
    sources: dict[tuple[int, bool], dict[tuple[str, ...], dict[str, None]]] = {}
    targets: list[tuple[Part, str, str]] = []
    for number, (rule, results, mark) in alerts.items():
        for result in results:
            labels = alert_labels(config, rule, result)
            loose = {name: _ANY if mark in value else value for name, value in labels.items()}
            muting, muted = parts(config, labels, loose)
            for inhibition, on_both, values in muting:
                sources.setdefault((inhibition, on_both), {}).setdefault(values, {})[rule.alert] = None
            targets += [(part, number, rule.alert) for part in muted]
    found: dict[str, dict[str, None]] = {}
    for (inhibition, on_both, key), number, name in sorted(targets, key=lambda each: each[0]):
        by_values = sources.get((inhibition, on_both), {})
        for source in (one for values, names in by_values.items() if _may_equal(values, key) for one in names):
            same = source == name and "alertname" in config.inhibit_rules[inhibition].equal
            found.setdefault(number, {})[f"{source} (another severity)" if same else source] = None
    return {number: _few(tuple(names)) for number, names in found.items()}


def _may_equal(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return all(a == b or (_ANY in (a, b) and a and b) for a, b in zip(one, other, strict=True))


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) <= _MOST else (*names[:_MOST], f"and {len(names) - _MOST} more")
