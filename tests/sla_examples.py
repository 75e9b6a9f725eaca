"""Targets and evidence for tests of service levels, made from literals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from chaoskit.sla.arithmetic import Evidence, judge
from chaoskit.sla.model import SLICE_S, Basis, Buckets, Planned, Result, Slice, Window
from chaoskit.sla.spans import Stretch, overlap, union
from chaoskit.sla.targets import Targets, parse_targets

TEXT = """\
chaoskit: 1
prometheus: http://127.0.0.1:9090
match: {job: insa-crm}
levels:
  uptime:      {up: up, at_least: 99.9 %, instances: mean}
  latency_p95: {histogram: insa_agent_request_duration_seconds, quantile: 0.95, below: 5s}
  latency_p99: {histogram: insa_agent_request_duration_seconds, quantile: 0.99, below: 15s}
  errors:      {total: insa_agent_requests_total, good: {status: success}, critical: {agent: ".+"}, bad_below: 0.1 %}
  cache:       {good: insa_cache_hits_total, bad: insa_cache_misses_total, above: 80 %}
"""
TARGETS: Targets = parse_targets(TEXT, "targets.yml")
MINUTE = 60


def at(text: str) -> int:
    """The instant of `2026-11-03T10:00`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def minutes_from(text: str, minutes: float) -> Stretch:
    """So many minutes from an instant."""
    return at(text), at(text) + round(minutes * MINUTE)


def time_slices(begin: int, end: int, down: Iterable[Stretch] = (), unknown: Iterable[Stretch] = ()) -> Iterator[Slice]:
    """Slices of uptime from begin to end."""
    down, unknown = union(down), union(unknown)
    for start in range(begin, end, SLICE_S):
        stop = start + SLICE_S
        bad, dark = overlap(down, start, stop), overlap(unknown, start, stop)
        known = SLICE_S - dark
        yield Slice("live", "uptime", start, stop, known - bad, bad, dark, coverage=known / SLICE_S)


def event_slice(level: str, start: int, total: float | None, bad: float | None = 0, stop: int = 0) -> Slice:
    """One slice of events."""
    good = None if total is None or bad is None else total - bad
    return Slice("live", level, start, stop or start + SLICE_S, good=good, total=total)


def planned(begin: int, end: int, kind: str = "maintenance") -> Planned:
    """A planned window."""
    return Planned("live", begin, end, kind, "upgrade", "ops", begin - 60)  # type: ignore[arg-type]


def result(
    level: str,
    window: Window,
    slices: Iterable[Slice],
    *,
    basis: Basis = "contract",
    buckets: Iterable[Buckets] = (),
    plan: Iterable[Planned] = (),
    since: int = 0,
    settled: int | None = None,
    cap_s: int | None = None,
    targets: Targets = TARGETS,
) -> Result:
    """What `judge` makes of it."""
    found = targets.level(level)
    assert found is not None
    return judge(
        found,
        window,
        Evidence(list(slices), list(buckets), list(plan)),
        environment="live",
        basis=basis,
        since=since,
        settled=window.ends_at if settled is None else settled,
        final=settled is None,
        cap_s=cap_s,
    )
