"""Text for people and terminals: figures in one form everywhere, and nothing a label says can move the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.events import Interval
from chaoskit.printable import clean, clean_lines
from chaoskit.units import seconds
from chaoskit.verify.verdict import ORDER, Result, Row

__all__ = ["allowed", "clean", "clean_lines", "observed", "paragraph", "real", "seconds", "shortened", "telling"]


def paragraph(text: str) -> str:
    """A text with its lines, those after the first one marked, so that none can pass for a line of its own."""
    return clean_lines(text).replace("\n", "\n  | ")


def shortened(text: str, most: int = 240) -> str:
    """The text, cut where it is longer than anybody reads in passing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def telling(rows: Sequence[Row]) -> list[str]:
    """Why a verdict is no PASS, failures first; what was merely not reached says nothing new beside a cause."""
    worst_first = sorted(rows, key=lambda row: ORDER.index(row.result))
    reasons = dict.fromkeys(row.reason for row in worst_first if row.result is not Result.PASS and row.reason)
    causes = [reason for reason in reasons if not reason.startswith("not judged:")]
    return causes or list(reasons)


def observed(interval: Interval | None) -> str:
    """What was observed: one figure where it is sharp to a tenth, else both ends."""
    if interval is None:
        return "not seen"
    a, b = interval
    return seconds(b) if b - a < 0.15 else f"{a:.1f}–{b:.1f} s"


def allowed(interval: Interval | None) -> str:
    """A window."""
    if interval is None:
        return ""
    lo, hi = interval
    return f"exactly {lo:g} s" if hi - lo < 0.05 else f"{lo:g}–{hi:g} s"


def real(value_s: float) -> str:
    """Real seconds as minutes and seconds."""
    minutes, rest = divmod(int(value_s), 60)
    return f"{minutes}:{rest:02d}"
