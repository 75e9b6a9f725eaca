"""Differences between two verdicts on the same promises: results, windows, margins, and times that moved. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaoskit.report.text import allowed, observed
from chaoskit.verify.verdict import ORDER, Key, Result, Row, Verdict, by_key

_THIN, _THICK = 0.05, 0.15
"""Shares of its window: a margin below the first is thin, and told where the other run's is above the second."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One difference between two runs; `worse` is None where it is neither better nor worse."""

    what: str
    old: str
    new: str
    worse: bool | None

    @property
    def direction(self) -> str:
        """One word for the direction of the change, such as `better`; empty where there is none."""
        return {True: "worse", False: "better", None: ""}[self.worse]


def changes(old: Verdict, new: Verdict) -> list[Changed]:
    """The verdict's own result, then rows: other results first, those that are new or gone, other windows, margins."""
    before, now = by_key(old.rows), by_key(new.rows)
    found = [Changed("verdict", *_words(old.result, new.result))] if old.result is not new.result else []
    both = [key for key in now if key in before]
    found += [
        Changed(_named(key), *_words(before[key].result, now[key].result))
        for key in both
        if before[key].result is not now[key].result
    ]
    found += [Changed(_named(key), "not promised", str(now[key].result), None) for key in now if key not in before]
    found += [Changed(_named(key), str(before[key].result), "not promised", None) for key in before if key not in now]
    return found + [other for key in both for other in _otherwise(_named(key), before[key], now[key])]


def compared(old: Verdict, new: Verdict) -> list[Changed]:
    """`changes`, then what on-call people notice: from fault to notice and back, where that took another time."""
    found = changes(old, new)
    earlier = {(one.about, one.to): one for one in old.figures}
    for one in new.figures:
        was = earlier.get((one.about, one.to))
        for name in ("fault_to_notice", "undo_to_all_clear"):
            a, b = getattr(was, name, None), getattr(one, name)
            if a and b and (a[1] < b[0] or b[1] < a[0]):
                what = f"{one.about} at {one.to}, {name.replace('_to_', ' to ').replace('_', '-')}"
                found.append(Changed(what, observed(a), observed(b), None))
    return found


def slack_vs(row: Row) -> float | None:
    """How much later the row's event could have come; negative: by how much it missed its window, late or early.

    An early event is not near to breaking: nothing comes before its cause, or before a wait is over. None for a row
    without a window, with a window of no width, or with nothing observed.
    """
    if row.allowed is None or row.observed is None or row.margin_vs is None:
        return None
    if row.margin_vs < 0:
        return row.margin_vs
    return row.allowed[1] - row.observed[0] if row.allowed[0] < row.allowed[1] else None


def _otherwise(what: str, old: Row, new: Row) -> Iterator[Changed]:
    """Another window, and a margin that has become thin or is thin no more. Where in its window an instant lies is
    chance: scrapes, evaluations and ticks do not wait for a fault."""
    if old.allowed != new.allowed and old.allowed and new.allowed:
        yield Changed(f"{what}: allowed", allowed(old.allowed), allowed(new.allowed), None)
        return
    was, now = _share(old), _share(new)
    if old.result is not new.result or was is None or now is None:
        return
    if min(was, now) < _THIN <= _THICK <= max(was, now):
        before, after = (f"{slack_vs(row) or 0.0:+.1f} s" for row in (old, new))
        yield Changed(f"{what}: margin", before, after, now < was)


def _share(row: Row) -> float | None:
    """The margin as a part of its window; None where there is neither."""
    slack = slack_vs(row)
    if slack is None or row.allowed is None or row.allowed[0] == row.allowed[1]:
        return None
    return slack / (row.allowed[1] - row.allowed[0])


def _words(old: Result, new: Result) -> tuple[str, str, bool]:
    return str(old), str(new), ORDER.index(new) < ORDER.index(old)


def _named(key: Key) -> str:
    about, hop, to = key
    return f"{about}, {hop}{f' at {to}' if to else ''}"
