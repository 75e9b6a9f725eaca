"""The answer of a gate that has ended: its exit code, its cases for JUnit, whether enough was proven. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chaoskit.errors import ExitCode, worst
from chaoskit.gate.candidate import LeftOut
from chaoskit.gate.coverage import KINDS, Coverage, proven_by
from chaoskit.gate.gate import Outcome
from chaoskit.gate.view import reasons_of
from chaoskit.report.checklist import lines
from chaoskit.report.junit import Case
from chaoskit.units import amount
from chaoskit.verify.verdict import Row, exit_code


def proofs_of(outcomes: Iterable[Outcome]) -> list[Mapping[str, frozenset[str]]]:
    """The proofs of each scenario that left a verdict."""
    return [proven_by(one.candidate.plan, one.verdict) for one in outcomes if one.verdict and one.candidate.plan]


def gap_of(coverage: Coverage, require: float | None) -> str:
    """The coverage that is lacking of what is required, in percent, for a sentence; empty where none is."""
    if require is None or coverage.percent >= require:
        return ""
    gaps = ", ".join(amount(len(coverage.missing(kind)), kind) for kind in KINDS if coverage.missing(kind))
    return f"coverage is {coverage.percent:.0f} %, {require:g} % is required: {gaps} without proof"


def ending_of(
    outcomes: Sequence[Outcome], hours: Sequence[Row], left_out: Iterable[LeftOut], *, broken_off: bool, gap: str
) -> ExitCode:
    """The worst of all endings. `broken_off`: before every scenario was played; `gap`: see `gap_of`."""
    codes = [ExitCode(one.exit_code) for one in outcomes]
    codes += [exit_code(row.result, healed=True, interrupted=False) for row in hours]
    if broken_off and all(code == ExitCode.PASS for code in codes):
        codes.append(ExitCode.ABORTED)
    codes += [ExitCode.FAIL] if gap else []
    return worst([*codes, *(one.exit_code for one in left_out if one.wrong)])


def cases_of(outcomes: Iterable[Outcome], hours: Iterable[Row], left_out: Iterable[LeftOut]) -> list[Case]:
    """A case for each scenario, each played time interval, and each scenario that should have been played."""
    return [
        *map(_case, outcomes),
        *(Case(row.about, "", 0.0, str(row.result), (row.reason,) if row.reason else ()) for row in hours),
        *(Case(one.name, one.proves, 0.0, "UNKNOWN", (one.why,)) for one in left_out if one.wrong),
    ]


def _case(outcome: Outcome) -> Case:
    result = str(outcome.verdict.result) if outcome.verdict else "ERROR"
    reasons = () if result == "PASS" else tuple(reasons_of(outcome))
    title = outcome.candidate.title
    return Case(outcome.candidate.name, title, outcome.took_s, result, reasons, said=tuple(lines(outcome.checklists)))
