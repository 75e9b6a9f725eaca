"""An earlier gate, as its folder tells, and what differs from it: scenarios, promises, coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaoskit import json_text
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.files import SMALL, read_regular
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.coverage import KINDS, Coverage
from chaoskit.gate.gate import Outcome
from chaoskit.report.changes import Changed, changes
from chaoskit.report.judge_run import read_verdict
from chaoskit.verify.verdict import ORDER, Row, Verdict

SUMMARY = "gate.json"
MOST = 16 * SMALL
_MOST_S = 1.5
"""Ratio of durations from which a slower or faster scenario is reported."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario of a gate; what a later chaoskit adds is not read."""

    name: str
    result: str
    exit_code: ExitCode = ExitCode.PASS
    took_s: float = 0.0
    attempt: int = 0
    """0 for one that was not played."""
    run: str
    """The name of its folder."""
    reasons: list[str] = []
    smallest_margin: Mapping[str, Any] | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's summary, as far as it is read again."""

    scenarios: list[Scenario]
    took_s: float = 0.0
    left_out: list[LeftOut] = []
    unproven: dict[str, list[str]] = {}
    intervals: list[Row] = []


@dataclass(frozen=True, slots=True)
class Earlier:
    """A gate that was played before."""

    folder: Path
    scenarios: dict[str, Scenario]
    unproven: dict[str, list[str]]
    intervals: Sequence[Row] = ()

    def verdict(self, name: str) -> Verdict | None:
        """A scenario's verdict; None where it left none that can be read."""
        known = self.scenarios.get(name)
        return read_verdict(self.folder / Path(known.run).name) if known else None


def read_gate(folder: Path) -> Earlier:
    """The gate of this folder; raises BadInput where it is none."""
    try:
        read = json_text.decode(read_regular(folder / SUMMARY, MOST), type=Summary)
    except (OSError, msgspec.DecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        hint = f"give the folder of an earlier gate, which holds a {SUMMARY}"
        raise BadInput(Problem(Place(str(folder / SUMMARY)), f"cannot be read: {said}", hint)) from None
    return Earlier(folder, {one.name: one for one in read.scenarios}, read.unproven, read.intervals)


def differences(
    old: Earlier, outcomes: Sequence[Outcome], coverage: Coverage, hours: Sequence[Row] = ()
) -> list[tuple[str, Changed]]:
    """The differences by scenario; then, under no name, scenarios that only one gate played, time intervals with
    another result, and changed coverage."""
    found = []
    for outcome in sorted(outcomes, key=lambda one: one.candidate.name):
        name, before = outcome.candidate.name, old.verdict(outcome.candidate.name)
        if before is not None and outcome.verdict is not None:
            found += [(name, change) for change in changes(before, outcome.verdict)]
        if name in old.scenarios:
            if outcome.verdict is None:
                found.append((name, Changed("verdict", old.scenarios[name].result, "ERROR", True)))
            elif slower := _slower(old.scenarios[name].took_s, outcome.took_s):
                found.append((name, slower))
    others = (*_played(old, outcomes), *_hours(old, hours), *_coverage(old, coverage))
    return found + [("", change) for change in others]


def _played(old: Earlier, outcomes: Sequence[Outcome]) -> Iterator[Changed]:
    now = {one.candidate.name for one in outcomes}
    for names, words in ((now - old.scenarios.keys(), ("no", "yes")), (old.scenarios.keys() - now, ("yes", "no"))):
        if names:
            yield Changed(f"played: {', '.join(sorted(names))}", *words, None)


def _hours(old: Earlier, hours: Sequence[Row]) -> Iterator[Changed]:
    before = {row.about: row.result for row in old.intervals}
    for row in hours:
        if (was := before.get(row.about, row.result)) != row.result:
            yield Changed(row.about, was, row.result, ORDER.index(row.result) < ORDER.index(was))


def _coverage(old: Earlier, coverage: Coverage) -> Iterator[Changed]:
    for kind in KINDS:
        before, now = set(old.unproven.get(kind, ())), set(coverage.missing(kind))
        if lost := now - before:
            yield Changed(f"{kind}: {', '.join(sorted(lost))}", "proven, or not there", "without proof", True)
        if gained := (before - now) & coverage.all[kind]:
            yield Changed(f"{kind}: {', '.join(sorted(gained))}", "without proof", "proven", False)


def _slower(old_s: float, new_s: float) -> Changed | None:
    if not old_s or not new_s or 1 / _MOST_S < new_s / old_s < _MOST_S:
        return None
    return Changed("how long it took", f"{old_s:.0f} s", f"{new_s:.0f} s", None)
