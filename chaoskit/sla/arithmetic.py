"""From slices to a result: sums, bounds for what is unknown, and one comparison of exact fractions; pure.

No ratio is ever averaged, for an average of ratios weighs an hour without traffic like one with all of it. Time that
was not looked at makes a worst and a best case; the verdict is open only where the two disagree.

    time level     up / (up + down)        budget: the allowed share of the whole window, known in advance
    event level    bad / all               budget: the allowed share of the events so far
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from chaoskit.sla.model import DAY_S, SLICE_S, Basis, Buckets, Planned, Result, Slice, Window
from chaoskit.sla.spans import Stretch, first, length, overlap, shared, union
from chaoskit.sla.targets import Level
from chaoskit.sla.windows import months_of
from chaoskit.units import format_duration

AVERAGE_MONTH_S = Fraction(365 * DAY_S, 12)
"""Seconds of an average month, by which 99.9 % are 43.8 minutes a month."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one level of one environment."""

    slices: Sequence[Slice]
    buckets: Sequence[Buckets] = ()
    planned: Sequence[Planned] = ()


@dataclass(slots=True)
class _Sum:
    """Seconds or events: good, bad, unknown; `looked_s` is the time behind good and bad."""

    good: list[float] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)
    looked_s: float = 0.0


def planned_spans(planned: Iterable[Planned], window: Window, cap_s: int | None) -> list[Stretch]:
    """The planned time in a window: each month's union, as far as its cap reaches; give those of whole months."""
    found = union((one.starts_at, one.ends_at) for one in planned)
    if cap_s is not None:
        months = [shared(found, month.starts_at, month.ends_at) for month in months_of(window)]
        found = [stretch for month in months for stretch in first(month, cap_s)]
    return shared(found, window.starts_at, window.ends_at)


def judge(
    level: Level,
    window: Window,
    evidence: Evidence,
    *,
    environment: str,
    basis: Basis,
    since: int,
    settled: int,
    final: bool,
    cap_s: int | None = None,
    spec_hash: str = "",
) -> Result:
    """The result of a level in a window, on a basis.

    The window counts from `since`, when the service began; evidence is expected up to `settled`, and what is missing
    until then is unknown. `cap_s` bounds the planned time of a month.
    """
    begin, end = min(max(window.starts_at, since), window.ends_at), window.ends_at
    settled = min(max(settled, begin), end)
    spans = planned_spans(evidence.planned, window, cap_s) if basis == "contract" else []
    spans = shared(spans, begin, end)
    counted_s = end - begin - length(spans)
    expected_s = settled - begin - overlap(spans, begin, settled)
    rows = [one for one in evidence.slices if one.ends_at > begin and one.starts_at < settled]
    sums = (_time if level.is_time else _events)(rows, begin, settled, spans, expected_s)
    good, bad, unknown = (Fraction(math.fsum(one)) for one in (sums.good, sums.bad, sums.unknown))
    if not level.is_time:
        # So many events a second, by what is known.
        unknown *= (good + bad) / Fraction(sums.looked_s) if sums.looked_s > 0 else 0
    counted, everything = good + bad, good + bad + unknown
    actual = _share(bad, counted)
    worst, best = _share(bad + unknown, everything), _share(bad, everything)
    compliant, reason = _verdict(level, actual, worst, best, sums.looked_s)
    allowed = level.allowed
    budget = allowed * counted_s if level.is_time else allowed * counted
    notes = _notes(level, window, counted, bad, budget, compliant, begin)
    if basis == "contract" and cap_s is not None:
        beyond = length(shared(union((p.starts_at, p.ends_at) for p in evidence.planned), begin, end)) - length(spans)
        if beyond > 0:
            notes += [f"{minutes(beyond)} of planned time are beyond the cap of {format_duration(cap_s)} and count"]
    if not final and level.is_time and compliant is False and bad <= budget:
        notes.append(f"so far below the target; {minutes(budget - bad)} of the window's {minutes(budget)} are left")
    return Result(
        environment=environment,
        level=level.name,
        window=window,
        basis=basis,
        comparison=level.comparison,
        target=float(level.target),
        actual=_reading(level, actual),
        compliant=compliant,
        worst=_reading(level, worst),
        best=_reading(level, best),
        reason=reason,
        unit="s" if level.is_time else "events",
        bad=float(bad),
        counted=float(counted),
        unknown=float(unknown),
        budget=float(budget),
        budget_left=float(budget - bad),
        burn=float(actual / allowed) if actual is not None and allowed else None,
        coverage=sums.looked_s / expected_s if expected_s else 0.0,
        planned_s=length(spans),
        final=final,
        spec_hash=spec_hash,
        notes=tuple(notes),
        shown=_quantile_shown(level, evidence.buckets, begin, settled, spans),
        allowed=allowed,
    )


def keeps(level: Level, bad_share: Fraction) -> bool:
    """Whether a share of bad keeps the target."""
    if level.comparison == "<":
        return bad_share < level.target
    good = 1 - bad_share
    return good > level.target if level.comparison == ">" else good >= level.target


def quantile(q: Fraction, counts: dict[float, float]) -> tuple[float, float, float] | None:
    """The quantile of cumulative buckets and the two bounds between which it was interpolated, as Prometheus does.

    The upper bound is infinite, and the value the largest finite bound, beyond that one. None without events.
    """
    bounds = sorted(counts)
    if not bounds or bounds[-1] != math.inf or counts[math.inf] <= 0:
        return None
    rank = float(q * Fraction(counts[math.inf]))
    below, under = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= rank:
            if bound == math.inf:
                return below, below, math.inf
            inside = counts[bound] - under
            return (below + (bound - below) * (rank - under) / inside if inside else bound), below, bound
        below, under = bound, counts[bound]
    return None


def minutes(seconds: float | Fraction) -> str:
    """Seconds as minutes for people: `43.2 min`."""
    return f"{float(seconds) / 60:.1f} min"


def _time(rows: Iterable[Slice], begin: int, end: int, spans: list[Stretch], expected_s: int) -> _Sum:
    sums, seen_s = _Sum(), 0
    for row in rows:
        inside = _inside(row, begin, end, spans)
        if not inside:
            continue
        seen_s += inside
        # Of a slice that is counted in part, so much lies outside that nothing is certain but what exceeds it.
        outside = row.ends_at - row.starts_at - inside
        up, down = (max(0.0, (value or 0.0) - outside) for value in (row.up_s, row.down_s))
        sums.good.append(up)
        sums.bad.append(down)
        sums.unknown.append(max(0.0, inside - up - down) if outside else row.unknown_s or 0.0)
    sums.unknown.append(max(0, expected_s - seen_s))
    sums.looked_s = math.fsum([*sums.good, *sums.bad])
    return sums


def _events(rows: Iterable[Slice], begin: int, end: int, spans: list[Stretch], expected_s: int) -> _Sum:
    sums, seen_s = _Sum(), 0
    for row in rows:
        inside = _inside(row, begin, end, spans)
        whole = inside == row.ends_at - row.starts_at
        if not whole and row.ends_at - row.starts_at <= SLICE_S:
            expected_s -= inside  # touched by planned time: left out
        elif row.total is not None and row.good is not None and whole:
            seen_s += inside
            sums.good.append(row.good)
            sums.bad.append(row.total - row.good)
            # A row across a gap counts all of its events, however little of it was looked at.
            told = 1.0 if inside > SLICE_S else row.coverage
            sums.unknown.append((1 - told) * inside)
            sums.looked_s += told * inside
    sums.unknown.append(max(0, expected_s - seen_s))
    return sums


def _inside(row: Slice, begin: int, end: int, spans: list[Stretch]) -> int:
    """Seconds of a slice that count."""
    a, b = max(row.starts_at, begin), min(row.ends_at, end)
    if a >= b:
        return 0
    return b - a - overlap(spans, a, b) if spans else b - a


def _share(part: Fraction, whole: Fraction) -> Fraction | None:
    return part / whole if whole else None


def _reading(level: Level, bad_share: Fraction | None) -> float | None:
    if bad_share is None:
        return None
    return float(bad_share if level.comparison == "<" else 1 - bad_share)


def _verdict(
    level: Level, actual: Fraction | None, worst: Fraction | None, best: Fraction | None, looked_s: float
) -> tuple[bool | None, str]:
    if actual is None or worst is None or best is None:
        return None, "no traffic" if looked_s else "nothing is known of this window"
    if keeps(level, worst):
        return True, ""
    if not keeps(level, best):
        return False, ""
    return None, "the verdict rests on time of which nothing is known"


def _notes(
    level: Level, window: Window, counted: Fraction, bad: Fraction, budget: Fraction, compliant: bool | None, begin: int
) -> list[str]:
    notes = []
    allowed = level.allowed
    if not level.is_time:
        if 0 < counted < (1 / allowed if allowed else 0):
            notes.append(f"one failure is more than the budget of {int(counted)} events")
        return notes
    average = allowed * AVERAGE_MONTH_S
    if window.span == "month" and compliant is not None and (bad < average) is not compliant:
        than = "less" if bad < average else "no less"
        own = "what is left of this month" if begin > window.starts_at else "this month"
        notes.append(
            f"{minutes(bad)} down are {than} than the {minutes(average)} of an average month, but the budget of {own} "
            f"is {minutes(budget)}: the share decides"
        )
    return notes


def _quantile_shown(level: Level, histograms: Iterable[Buckets], begin: int, end: int, spans: list[Stretch]) -> str:
    if level.quantile is None:
        return ""
    counts: dict[float, float] = {}
    for one in histograms:
        if begin <= one.starts_at and one.ends_at <= end and not overlap(spans, one.starts_at, one.ends_at):
            for le, count in one.counts.items():
                counts[float(le)] = counts.get(float(le), 0.0) + count
    found = quantile(level.quantile, counts)
    if found is None:
        return ""
    value, low, high = found
    return f"beyond {low:g} s" if high == math.inf else f"{value:.4g} s ({low:g}–{high:g} s)"
