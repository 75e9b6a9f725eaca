"""What differs between two verdicts on the same promises: results, and instants that certainly moved. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaoskit.hop import Hop
from chaoskit.report.text import observed
from chaoskit.verify.verdict import ORDER, Result, Row, Verdict

_Key = tuple[str, Hop, str]


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that differs; `worse` is None where that cannot be said."""

    what: str
    old: str
    new: str
    worse: bool | None


def changes(old: Verdict, new: Verdict) -> list[Changed]:
    """The verdict's own result, then rows: other results first, then those that are new or gone, then other times."""
    before, now = _worst(old.rows), _worst(new.rows)
    found = [Changed("verdict", *_words(old.result, new.result))] if old.result is not new.result else []
    both = [key for key in now if key in before]
    found += [
        Changed(_named(key), *_words(before[key].result, now[key].result))
        for key in both
        if before[key].result is not now[key].result
    ]
    found += [Changed(_named(key), "not promised", str(now[key].result), None) for key in now if key not in before]
    found += [Changed(_named(key), str(before[key].result), "not promised", None) for key in before if key not in now]
    return found + [moved for key in both if (moved := _moved(key, before[key], now[key]))]


def _moved(key: _Key, old: Row, new: Row) -> Changed | None:
    """What took another time for certain: the two intervals have no instant in common."""
    if old.observed is None or new.observed is None or old.margin_vs is None or new.margin_vs is None:
        return None
    if old.observed[0] <= new.observed[1] and new.observed[0] <= old.observed[1]:
        return None
    margins = [f"{observed(row.observed)} (margin {row.margin_vs:+.1f} s)" for row in (old, new)]
    return Changed(_named(key), margins[0], margins[1], new.margin_vs < old.margin_vs)


def _worst(rows: Sequence[Row]) -> Mapping[_Key, Row]:
    worst_last = sorted(rows, key=lambda row: ORDER.index(row.result), reverse=True)
    found = {(row.about, row.hop, row.to): row for row in worst_last}
    return {key: found[key] for row in rows if (key := (row.about, row.hop, row.to))}


def _words(old: Result, new: Result) -> tuple[str, str, bool]:
    return str(old), str(new), ORDER.index(new) < ORDER.index(old)


def _named(key: _Key) -> str:
    about, hop, to = key
    return f"{about}, {hop}{f' at {to}' if to else ''}"
