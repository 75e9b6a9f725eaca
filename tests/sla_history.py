"""Six hours of a service as Prometheus scraped them, with everything that happens to counters; and what is true of it.

The truth is computed from the samples themselves, by the definition alone: between neighbouring samples a counter rose
by their difference, or by the later one where it is less.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

EVERY_S = 15
Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass
class History:
    """Samples by metric and labels."""

    begin: int
    samples: dict[Key, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, metric: str, labels: Mapping[str, str], at: float, value: float) -> None:
        """One sample."""
        self.samples.setdefault((metric, frozenset(labels.items())), []).append((at, value))

    def text(self) -> dict[str, list[tuple[float, float]]]:
        """By series as promtool reads them."""
        return {
            metric + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels)) + "}": points
            for (metric, labels), points in self.samples.items()
        }

    def rose(self, metric: str, begin: float, end: float, **where: str) -> float:
        """By how much the series of a metric with these labels rose over samples in (begin, end], by the definition."""
        total = 0.0
        for points in self.series(metric, where):
            for (_, a), (at, b) in itertools.pairwise(points):
                if begin < at <= end:
                    total += b - a if b >= a else b
        return total

    def series(self, metric: str, where: Mapping[str, str]) -> Iterable[list[tuple[float, float]]]:
        """The samples of counters: one that goes on under a changed label (`version`) is the same."""
        found: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
        for (name, labels), points in self.samples.items():
            if name == metric and where.items() <= dict(labels).items():
                found.setdefault(frozenset(one for one in labels if one[0] != "version"), []).extend(points)
        return map(sorted, found.values())


def history(begin: int, *, offset_s: float = 7.0, seed: int = 1, environments: tuple[str, ...] = ("live",)) -> History:
    """Six hours from `begin`, scraped `offset_s` after each quarter of a minute."""
    made = History(begin)
    for number, environment in enumerate(environments):
        _service(made, begin, offset_s, random.Random(seed + number), environment)
    return made


def _service(made: History, begin: int, offset_s: float, chance: random.Random, environment: str) -> None:
    target = {"job": "insa-crm", "instance": "crm:9091", "environment": environment}
    requests = {(agent, status): 1_200_000.0 for agent in ("a", "b") for status in ("success", "error")}
    slow = {"1": 500.0, "5": 900.0, "15": 990.0, "+Inf": 1000.0}
    hits, misses = 1e6, 1e5
    more: dict[str, str] = {}
    at = begin + offset_s
    while at <= begin + 6 * 3600:
        now = (at - begin) / 60
        if now >= 332:
            more = {"version": "2"}  # a label of the metrics changes, and no counter begins again
        away = 130 <= now < 170 or 210 <= now < 230  # Prometheus was down
        down = 63 <= now < 64  # the service was
        if 63.9 <= now < 64.2 or 215 <= now < 215.3:  # it began again, once while scraped, once not
            requests = dict.fromkeys(requests, 0.0)
            slow, hits, misses = dict.fromkeys(slow, 0.0), 0.0, 0.0
        if not down:
            for key in requests:
                requests[key] += chance.choice([0, 0, 1, 3] if key[1] == "error" else [0, 5, 9])
            if now >= 239.9 and ("c", "success") not in requests:
                requests["c", "success"] = 0.0  # a new agent
            count = chance.randint(0, 9)
            for le in slow:
                slow[le] += count if le == "+Inf" else chance.randint(0, count) if le == "15" else 0
            slow["5"] += slow["5"] < slow["15"]
            hits, misses = hits + chance.randint(0, 20), misses + chance.randint(0, 3)
        if not away:
            made.add("up", target, at, 0.0 if down else 1.0)
            if not down:
                for (agent, status), value in requests.items():
                    if agent == "b" and 270 <= now < 310:
                        continue  # its series vanishes, and comes back
                    made.add(
                        "insa_agent_requests_total", {**target, **more, "agent": agent, "status": status}, at, value
                    )
                for le, value in slow.items():
                    made.add("insa_agent_request_duration_seconds_bucket", {**target, "le": le}, at, value)
                made.add("insa_cache_hits_total", target, at, hits)
                made.add("insa_cache_misses_total", target, at, misses)
        at += EVERY_S
