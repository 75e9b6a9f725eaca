"""The data of service levels: slices of evidence, planned windows, episodes of alerts, windows and their results.

Instants are whole seconds UTC. A slice holds what happened in (starts_at, ends_at].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

SLICE_S = 300
"""All offsets of today's zones are multiples of 15 minutes, so each zone's month is a whole number of slices."""
SETTLED_S = 600
"""Seconds after its end from which on a slice is final: every sample in it, and the one after it, was scraped."""
DAY_S = 86_400

Span = Literal["month", "quarter", "rolling", "range"]
Basis = Literal["all", "contract"]
"""`contract` leaves planned time out, `all` counts it."""
Kind = Literal["game-day", "maintenance", "correction"]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that is judged as one; `name` is `2026-10`, `2026-Q4`, `28d` or `FROM/TO`."""

    span: Span
    name: str
    starts_at: int
    ends_at: int
    zone: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Evidence of one level: of time levels the seconds, of event levels the counts; the others are None.

    An event slice without counts stands for time of which they are not known. A slice longer than SLICE_S spans a
    gap of Prometheus across which its counters tell the sum. `coverage` is the share of it that was looked at.
    """

    environment: str
    level: str
    starts_at: int
    ends_at: int
    up_s: float | None = None
    down_s: float | None = None
    unknown_s: float | None = None
    good: float | None = None
    total: float | None = None
    coverage: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Buckets:
    """By how much a histogram's buckets rose, by their `le`; cumulative as in Prometheus."""

    environment: str
    level: str
    starts_at: int
    ends_at: int
    counts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Planned:
    """Time that was planned for, or declared so afterwards (`correction`); never edited, only revoked."""

    environment: str
    starts_at: int
    ends_at: int
    kind: Kind
    reason: str
    declared_by: str
    declared_at: int
    run_id: str = ""
    revoked_at: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Episode:
    """One life of an alert, from the instant it became pending; `resolved_at` is None while it fires."""

    environment: str
    fingerprint: str
    active_at: int
    fired_at: int
    last_at: int
    resolved_at: int | None
    alertname: str
    severity: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one level in one window, on one basis; ratios in the level's own reading.

    `target`, `actual`, `worst` and `best` are shares of bad events where the target is an upper bound (`<`), else
    shares of good ones, or of time. `compliant` is None where the evidence does not tell, or nothing was counted:
    `reason` says which.
    """

    environment: str
    level: str
    window: Window
    basis: Basis
    comparison: Literal[">=", ">", "<"]
    target: float
    actual: float | None
    compliant: bool | None
    worst: float | None
    best: float | None
    reason: str
    unit: Literal["s", "events"]
    bad: float
    counted: float
    unknown: float
    """Seconds, or the estimate of events, of which nothing is known."""
    budget: float
    budget_left: float
    burn: float | None
    """The share of what was bad over the share that is allowed."""
    coverage: float
    planned_s: int
    final: bool
    """Whether the result's window is over, so that it changes no more."""
    spec_hash: str
    notes: tuple[str, ...] = ()
    shown: str = ""
    """A latency level's quantile and the bucket it lies in: `4.818 s (3–5 s)`."""
    allowed: Fraction = field(default=Fraction(0), compare=False)
    """The share of bad that the target allows, exact."""
