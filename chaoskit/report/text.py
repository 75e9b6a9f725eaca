"""Text for people and terminals: figures in one form everywhere, and nothing a label says can move the cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chaoskit.events import Interval
from chaoskit.printable import clean as clean
from chaoskit.printable import clean_lines as clean_lines
from chaoskit.units import seconds as seconds
from chaoskit.verify.verdict import ORDER, Figure, Result, Row


def paragraph(text: str) -> str:
    """A text with its lines, those after the first one marked, so that none can pass for a line of its own."""
    return clean_lines(text).replace("\n", "\n  | ")


def shortened(text: str, most: int = 240) -> str:
    """The text, cut to `most` characters; the last one is then an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def telling(rows: Sequence[Row]) -> list[str]:
    """Why a verdict is no PASS, failures first; what was merely not reached says nothing new beside a cause."""
    worst_first = sorted(rows, key=lambda row: ORDER.index(row.result))
    reasons = dict.fromkeys(row.reason for row in worst_first if row.result is not Result.PASS and row.reason)
    causes = [reason for reason in reasons if not reason.startswith("not judged:")]
    return causes or list(reasons)


def fault_name(fault: str) -> str:
    """A fault by its step, as people know it: `kill` for kill#0, `kill (2nd fault)` for kill#1."""
    step, _, number = fault.rpartition("#")
    if not step or not number.isdigit():
        return fault
    return step if number == "0" else f"{step} ({_ordinal(int(number) + 1)} fault)"


def in_words(text: str) -> str:
    """A sentence with every fault in it by its step."""
    return re.sub(r"\b[\w.+-]+#\d+\b", lambda found: fault_name(found[0]), text)


def settings_words(settings: Mapping[str, Any]) -> str:
    """A fault's settings for people: `hold`, `no hold`, `share 0.1, delay 15s`."""

    def one(key: str, value: Any) -> str:
        if isinstance(value, bool):
            return key if value else f"no {key}"
        return f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"

    return ", ".join(one(key, value) for key, value in settings.items())


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def observed(interval: Interval | None) -> str:
    """An observed interval in seconds: one figure if its ends are within 0.15 s, else both; `not seen` for None."""
    if interval is None:
        return "not seen"
    a, b = interval
    return seconds(b) if b - a < 0.15 else f"{a:.1f}–{b:.1f} s"


def shown(row: Row) -> str:
    """The interval that a row observed, and the witness that it rests on where there are several; or it in words."""
    if row.allowed is None:
        return row.rests_on
    return ", by ".join(filter(None, (observed(row.observed), row.rests_on)))


def allowed(interval: Interval | None) -> str:
    """A window in words, as `10–40 s`; empty where there is none."""
    if interval is None:
        return ""
    lo, hi = interval
    return f"exactly {lo:g} s" if hi - lo < 0.05 else f"{lo:g}–{hi:g} s"


def margin(row: Row) -> str:
    """By how much a row lies inside of its window, negative outside; empty for one without a window."""
    return "" if row.margin_vs is None else f"{row.margin_vs:+.1f} s"


def uncertainty(row: Row) -> str:
    """How exactly a row is known; empty for one that was not measured."""
    return "" if row.uncertainty_vs is None else f"{row.uncertainty_vs:.2f} s"


FIGURES = ("alert", "receiver", "fault → notice", "promised", "undo → all-clear", "promised")
"""The columns of a table of figures."""


def ways(figure: Figure) -> tuple[str, str, str, str]:
    """The cells of a figure after its alert and its receiver: each way as observed, and as promised."""
    cleared, promised = "none promised", ""
    if figure.allowed_all_clear:
        cleared = observed(figure.undo_to_all_clear)
        promised = f"within {seconds(figure.allowed_all_clear[1])}"
    return observed(figure.fault_to_notice), f"within {seconds(figure.allowed[1])}", cleared, promised


def real(value_s: float) -> str:
    """Real seconds as minutes and seconds."""
    minutes, rest = divmod(int(value_s), 60)
    return f"{minutes}:{rest:02d}"


FILTERS = (allowed, in_words, margin, seconds, shortened, shown, uncertainty, ways)
"""The filters of the templates of pages, each by its own name."""
