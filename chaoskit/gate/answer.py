"""The answer of a gate that has ended: its exit code, its cases for JUnit, whether enough was proven. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import ExitCode, worst
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.coverage import KINDS, Coverage, proven_by
from chaoskit.gate.earlier import Earlier
from chaoskit.gate.gate import Outcome
from chaoskit.report.checklist import lines
from chaoskit.report.junit import Case
from chaoskit.units import amount
from chaoskit.verify.verdict import Row, exit_code


@dataclass(frozen=True, slots=True)
class Ended:
    """A gate that has ended."""

    folder: Path
    outcomes: Sequence[Outcome]
    coverage: Coverage
    left_out: Sequence[LeftOut]
    took_s: float = 0.0
    """Real seconds of the whole gate, or of the longest part."""
    old: Earlier | None = None
    """An earlier one to compare it with."""
    part: str = ""
    """Which part of a gate it is; empty for a whole one."""
    hours: Sequence[Row] = ()
    """The time intervals that were played inside and outside."""
    broken_off: bool = False
    """Whether it, or a part of it, ended before every scenario was played."""
    require: float | None = None
    """The percentage that must be proven."""

    @property
    def gap(self) -> str:
        """The coverage that is lacking of what is required, in percent, for a sentence; empty where none is."""
        if self.require is None or self.coverage.percent >= self.require:
            return ""
        lacking = {kind: len(self.coverage.missing(kind)) for kind in KINDS}
        gaps = ", ".join(amount(count, kind) for kind, count in lacking.items() if count)
        return f"coverage is {self.coverage.percent:.0f} %, {self.require:g} % is required: {gaps} without proof"

    @property
    def ending(self) -> ExitCode:
        """The worst of all endings."""
        codes = [ExitCode(one.exit_code) for one in self.outcomes]
        codes += [exit_code(row.result, healed=True, interrupted=False) for row in self.hours]
        if self.broken_off and all(code == ExitCode.PASS for code in codes):
            codes.append(ExitCode.ABORTED)
        codes += [ExitCode.FAIL] if self.gap else []
        return worst([*codes, *(one.exit_code for one in self.left_out if one.wrong)])

    @property
    def answer(self) -> str:
        """The answer in words; a part alone does not say whether to release."""
        passed = self.ending == ExitCode.PASS
        if self.part:
            return f"{self.part} {'passed' if passed else 'did not pass'}"
        return "release" if passed else "do not release"

    @property
    def cases(self) -> list[Case]:
        """A case for each scenario, each played time interval, and each scenario that should have been played."""
        return [
            *map(_case, self.outcomes),
            *(Case(row.about, "", 0.0, str(row.result), (row.reason,) if row.reason else ()) for row in self.hours),
            *(Case(one.name, one.proves, 0.0, "UNKNOWN", (one.why,)) for one in self.left_out if one.wrong),
        ]


def proofs_of(outcomes: Iterable[Outcome]) -> list[Mapping[str, frozenset[str]]]:
    """The proofs of each scenario that left a verdict."""
    return [proven_by(one.candidate.plan, one.verdict) for one in outcomes if one.verdict and one.candidate.plan]


def _case(outcome: Outcome) -> Case:
    reasons = () if outcome.result == "PASS" else tuple(outcome.reasons)
    name, title, said = outcome.candidate.name, outcome.candidate.title, tuple(lines(outcome.checklists))
    return Case(name, title, outcome.took_s, outcome.result, reasons, said=said)
