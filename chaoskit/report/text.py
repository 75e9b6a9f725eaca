"""Text for people and terminals: figures in one form everywhere, and nothing a label says can move the cursor."""

from __future__ import annotations

import unicodedata

from chaoskit.events import Interval


def clean(text: str) -> str:
    """The text with control characters made visible: an alert's label may contain anything."""
    return "".join(c if c == "\t" or unicodedata.category(c)[0] != "C" else f"\\x{ord(c):02x}" for c in text)


def seconds(value: float) -> str:
    """Virtual seconds, to a tenth."""
    return f"{value:.1f} s"


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
