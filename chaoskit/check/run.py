"""All lints on one set of facts: what they found, which could not be asked, and what the scenarios exercise."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import chaoskit.check.lints  # noqa: F401 - fills the registry
from chaoskit.check.findings import LINTS, Finding, Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.coverage import KINDS, PROMISES, THRESHOLDS, covered
from chaoskit.units import listed

_MISSING = {
    "rules": "no rule files were given",
    "prometheus": "no Prometheus configuration was given",
    "alertmanager": "no Alertmanager configuration was given",
    "promise": "no promise was given",
    "scenarios": "there are no scenarios",
    "profiles": "there are no profiles",
    "metrics": "there is no list of known metrics (metrics.txt beside the rules, or --metrics FILE)",
    "targets": "there are no targets of service levels (sla/targets.yml, or --targets FILE)",
    "runbooks": "there is no folder runbooks beside the configuration",
    "promtool": "promtool was not found or not asked (chaoskit doctor --install fetches it)",
    "not-understood": "promtool and amtool were not asked",
    "approved-texts": "no texts of notices were approved (chaoskit approve), or amtool was not found or not asked",
    "levels": "promtool was not found, or not asked about levels",
    "amtool": "amtool was not found or not asked (chaoskit doctor --install fetches it)",
}


_MOST = 30


@dataclass(frozen=True, slots=True)
class Skipped:
    """Lints that were not asked, and why."""

    reason: str
    lints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a kind the scenarios exercise, or of promises say why, and the names of those that are not."""

    kind: str
    all: int
    missing: tuple[str, ...]

    @property
    def exercised(self) -> int:
        return self.all - len(self.missing)

    @property
    def said(self) -> str:
        """The coverage in words, with the first names that are missing."""
        counted = f"{self.exercised} of {self.all} {self.kind}"
        names = listed(self.missing, _MOST)
        if self.kind == PROMISES:
            return f"documented or decided are {counted}" + (f"; not {names}" if names else "")
        if self.kind == THRESHOLDS:
            return f"promised levels that are proved on both sides: {counted}" + (f"; not {names}" if names else "")
        return f"scenarios exercise {counted}" + (f"; none sees {names}" if names else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a check; findings by file and line."""

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    coverage: tuple[Coverage, ...]
    ignored: int = 0
    proved: Mapping[str, str] = field(default_factory=dict)
    """By alert, the proof of both sides of its threshold."""

    def worst(self) -> Severity | None:
        return max((finding.severity for finding in self.findings), default=None)


def check(context: LintContext, ignore: Collection[str] = (), least: Severity = Severity.INFO) -> Outcome:
    """Asks every lint whose needs are met; `ignore` names lints whose findings are only counted.

    With a `least` severity lints that are milder are left out, and so is what the scenarios exercise.
    """
    findings: list[Finding] = []
    skipped: dict[str, list[str]] = {}
    ignored = 0
    for lint in (each for each in LINTS.values() if each.severity >= least):
        missing = next((part for part in lint.needs if not context.has(part)), None)
        if missing is not None:
            skipped.setdefault(_MISSING[missing], []).append(lint.id)
            continue
        found = list(lint.findings(context))
        if lint.id in ignore:
            ignored += len(found)
        else:
            findings += found
    # What the planner refuses as well is told once, by the lint that knows more of it.
    knows = {id_ for id_, lint in LINTS.items() if lint.topic == "scenarios"} - {"scenario-plan"}
    told = {each.place for each in findings if each.id in knows and each.severity is Severity.ERROR}
    findings = [each for each in findings if each.id != "scenario-plan" or each.place not in told]
    findings = sorted(dict.fromkeys(findings), key=lambda each: (each.place, -each.severity, each.id, each.message))
    reasons = tuple(Skipped(reason, tuple(ids)) for reason, ids in skipped.items())
    if least > Severity.INFO:
        return Outcome(tuple(findings), reasons, (), ignored)
    return Outcome(tuple(findings), reasons, tuple(_coverage(context)), ignored, dict(_thresholds(context)))


def _thresholds(context: LintContext) -> Iterator[tuple[str, str]]:
    """By alert, how both sides of its threshold are proved: by promtool, and by which drills."""
    for name, how in context.proved.items():
        fires = [each.name for each in context.scenarios if any(one.alert == name for one in each.expect)]
        quiet = [each.name for each in context.scenarios if any(one.alert == name for one in each.controls)]
        drills = [f"{what} in {', '.join(some)}" for what, some in (("fires", fires), ("quiet", quiet)) if some]
        yield name, f"{how}{'; drills: ' if drills else ''}{'; '.join(drills)}"


def _coverage(context: LintContext) -> Iterator[Coverage]:
    kinds = (
        [kind for kind in KINDS if kind == "alerts" or context.has("alertmanager")] if context.has("scenarios") else []
    )
    promised = [PROMISES, *([THRESHOLDS] if context.has("levels") else [])] if context.has("promise") else []
    for kind in [*kinds, *promised]:
        found = list(covered(context, kind))
        yield Coverage(kind, len(found), tuple(name for name, exercised, _ in found if not exercised))
