"""Virtual time: divide every duration of Prometheus and Alertmanager by k, so that one real second is k virtual ones.

A duration is something that the two programs wait for or look back over, and nothing else in their logic depends on
how long a second is. The functions here take parsed configuration files and give compressed ones; they touch no file
and no clock, and do not change what they are given. k = 1 is real time.

What stays real: how long a network peer is waited for (`timeout`, http settings, remote write), service discovery, and
time intervals of Alertmanager, which follow the wall clock. Prometheus's and Alertmanager's defaults (scrape and
evaluation interval 1m, scrape_timeout 10s; group_wait 30s, group_interval 5m, repeat_interval 4h, resolve_timeout 5m)
are written out, because a default that is not written cannot be divided.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.promql import CannotScale, scale
from chaoskit.alerting.promql_durations import Rounding, Scale, as_fraction, divide_text, millis_of, nearest_exact_scale
from chaoskit.alerting.promql_rules import Document, Refusal, instant_records, scale_rules

__all__ = [
    "CannotScale",
    "Refusal",
    "exact_scale",
    "instant_records",
    "prometheus_flags",
    "scale",
    "scale_alertmanager",
    "scale_prometheus",
    "scale_rules",
]

_GLOBAL = {"scrape_interval": "1m", "scrape_timeout": "10s", "evaluation_interval": "1m"}
_SCRAPING = {
    "scrape_interval": Rounding.PERIOD,
    "scrape_timeout": Rounding.LIMIT,
    "evaluation_interval": Rounding.PERIOD,
    "rule_query_offset": Rounding.SHIFT,
}
_ROUTE = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_FLAGS = {
    "query.lookback-delta": ("5m", Rounding.WINDOW),
    "rules.alert.resend-delay": ("1m", Rounding.WAIT),
    "rules.alert.for-grace-period": ("10m", Rounding.WAIT),
    "rules.alert.for-outage-tolerance": ("1h", Rounding.WAIT),
}


def exact_scale(config: AlertConfig, wanted: float, faster: float = 1.0) -> float:
    """The time scale nearest to the wanted one at which every scrape and evaluation interval is whole milliseconds.

    At 60, an interval of 10s would be 166 ms, and thirty of them four virtual tenths too short. `faster` is how many
    times the wanted one it may be at most. Real time stays real time.
    """
    if wanted == 1:
        return wanted
    every_s = {config.evaluation_interval_s, *(job.interval_s for job in config.jobs)}
    every_s |= {rule.interval_s for rule in config.rules}
    return nearest_exact_scale([round(each * 1000) for each in every_s], wanted, wanted * faster)


def prometheus_flags(k: Scale) -> list[str]:
    """The command-line flags that set Prometheus's own durations, from their defaults; raises CannotScale."""
    factor = as_fraction(k)
    return [f"--{flag}={divide_text(text, factor, way, flag)}" for flag, (text, way) in _FLAGS.items()]


def scale_prometheus(doc: Mapping[str, Any], k: Scale) -> Document:
    """A prometheus.yml (as parsed YAML) with every scrape and evaluation duration divided by k.

    Rule files are named there, not contained: `scale_rules` takes them. Raises CannotScale.
    """
    factor, scaled = as_fraction(k), copy.deepcopy(dict(doc))
    if factor == 1:
        return scaled
    if scaled.get("scrape_config_files"):
        raise CannotScale("scrape_config_files", "the jobs in other files are not seen", "put them into scrape_configs")
    settings = dict(scaled.get("global") or {})
    for name, default in _GLOBAL.items():
        settings[name] = settings.get(name) or default
    # Prometheus shortens a timeout that it chose itself to the interval; one that is written out it would refuse.
    if not (doc.get("global") or {}).get("scrape_timeout"):
        settings["scrape_timeout"] = _shorter(settings["scrape_timeout"], settings["scrape_interval"])
    scaled["global"] = _divided(settings, factor, _SCRAPING, "global")
    for job in scaled.get("scrape_configs") or []:
        job.update(_divided(job, factor, _SCRAPING, f"job {job.get('job_name')}"))
    return scaled


def scale_alertmanager(doc: Mapping[str, Any], k: Scale) -> Document:
    """An alertmanager.yml (as parsed YAML) with the waits of every route divided by k; raises CannotScale."""
    factor, scaled = as_fraction(k), copy.deepcopy(dict(doc))
    if factor == 1:
        return scaled
    settings = dict(scaled.get("global") or {})
    settings["resolve_timeout"] = settings.get("resolve_timeout") or "5m"
    scaled["global"] = _divided(settings, factor, {"resolve_timeout": Rounding.WAIT}, "global")
    root = dict(scaled.get("route") or {})
    for name, default in _ROUTE.items():
        # A written 0s is a wait of nothing, not a missing one.
        root[name] = default if root.get(name) is None else root[name]
    scaled["route"] = _scaled_route(root, factor, "route")
    return scaled


def _shorter(one: str, other: str) -> str:
    return min(one, other, key=lambda text: millis_of(text, "scrape_timeout"))


def _divided(settings: Document, k: Fraction, ways: Mapping[str, Rounding], where: str) -> Document:
    """The settings, those among them that are durations divided by k."""
    changed = {
        name: divide_text(settings[name], k, way, f"{name} of {where}")
        for name, way in ways.items()
        if settings.get(name) not in (None, "")
    }
    return {**settings, **changed}


def _scaled_route(route: Document, k: Fraction, where: str) -> Document:
    scaled = _divided(route, k, dict.fromkeys(_ROUTE, Rounding.WAIT), where)
    children = scaled.get("routes")
    if children:
        scaled["routes"] = [_scaled_route(child, k, f"{where}.routes[{i}]") for i, child in enumerate(children)]
    return scaled
