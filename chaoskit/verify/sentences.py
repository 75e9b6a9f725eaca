"""What is said of a hop that is not PASS: who, which hop, the figure, and the setting that governs it.

Each sentence stands by itself, in a terminal, in a report or in a ticket.
"""

from __future__ import annotations

from chaoskit.alerting.windows import Window
from chaoskit.events import Interval
from chaoskit.hop import Hop


def who(about: str, to: str, hop: Hop) -> str:
    """`WorkerUnhealthy worker-1 -> worker-alerts (email), notify:`."""
    return f"{about} -> {to}, {hop}:" if to else f"{about}, {hop}:"


def wrong_time(subject: str, hop: Hop, observed: Interval, allowed: Interval, setting: str) -> str:
    """It came, at the wrong time."""
    late = observed[0] > allowed[1]
    off = observed[0] - allowed[1] if late else allowed[0] - observed[1]
    bound = f"at most {s(allowed[1])}" if late else f"at least {s(allowed[0])}"
    when = f"{s(observed[1])} after" if observed[1] >= 0 else f"{s(-observed[1])} before"
    return (
        f"{subject} {hop.did} {when} {hop.since}, {s(off)} too {'late' if late else 'early'} "
        f"({bound} promised); governed by {setting}"
    )


def never(subject: str, hop: Hop, high_vs: float, watched_vs: float, setting: str) -> str:
    """It did not come, and somebody was looking."""
    return (
        f"{subject} {hop.never} within {s(high_vs)} of {hop.since}, nor in the {s(watched_vs)} that were watched; "
        f"governed by {setting}"
    )


def standing(subject: str, before: str, busy: str, setting: str) -> str:
    """It had come before its cause, and stayed."""
    return (
        f"{subject} was pending already {before} before the fault, so what the fault brings about was not seen"
        f"{busy and f'; but {busy}'}; governed by {setting}"
    )


def excused(subject: str, hop: Hop, observed: Interval, allowed: Interval, trouble: str, setting: str) -> str:
    """It came at the wrong time, and something that is not judged may be why."""
    return (
        f"{subject} seen {s(observed[1])} after {hop.since}, where {span(allowed)} was promised, but {trouble}; "
        f"governed by {setting}"
    )


def unseen(subject: str, hop: Hop, high_vs: float, trouble: str, setting: str) -> str:
    """It was not seen, and nobody can say that it did not come."""
    return f"{subject} not seen within {s(high_vs)} of {hop.since}, and {trouble}; governed by {setting}"


def too_coarse(subject: str, hop: Hop, width_vs: float, window: Window, why: str, setting: str) -> str:
    """It was seen, but not exactly enough to decide."""
    return (
        f"{subject} known only to lie within {s(width_vs)}{why}, and telling it from a wrong promise takes "
        f"{s(window.resolution_vs)}; governed by {setting}"
    )


def unreached(subject: str, hop: Hop, window: Window, setting: str) -> str:
    """Its beginning was not seen, so there is nothing to judge."""
    allowed = span((window.lo_vs, window.hi_vs))
    return f"not judged: {subject} {hop.start} was not seen; {allowed} promised; governed by {setting}"


def span(allowed: Interval) -> str:
    """A window as people say it."""
    return s(allowed[0]) if allowed[0] == allowed[1] else f"{allowed[0]:.1f}–{s(allowed[1])}"


def s(virtual_s: float) -> str:
    """Virtual seconds with their unit."""
    return f"{virtual_s:.1f} s"
