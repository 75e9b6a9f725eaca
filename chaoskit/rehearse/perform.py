"""Playing drills on real programs and judging what their histories show: one stack, one drill after another."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.promise_text import promise_text
from chaoskit.alerting.rules import rule_document
from chaoskit.alerting.virtual import scale_rule_files
from chaoskit.events import SCHEMA, Header
from chaoskit.history import read_history
from chaoskit.host.ports import reserve
from chaoskit.localize.configuration import Ports, localize
from chaoskit.localize.sink_addresses import SinkAddress, SinkAddresses
from chaoskit.rehearse.drill import PROFILE, Drill, profile_text
from chaoskit.rehearse.marker import mark
from chaoskit.rehearse.outcome import RuleOutcome, judge_wave, unrehearsed, worse
from chaoskit.rehearse.promtool import dumped
from chaoskit.rehearse.target import RehearsalStack, Script, SeriesTarget, scrape_series_only
from chaoskit.run.prepare import described, versions
from chaoskit.run.runner import Runner
from chaoskit.run.track import Track
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.original import fitted
from chaoskit.surroundings import leave
from chaoskit.verify.case import Case
from chaoskit.verify.findings import notes_of_strangers
from chaoskit.verify.scripted import template_notes
from chaoskit.verify.verdict import Result, Row, to_json
from chaoskit.verify.verify import plan_of

_SWITCH_S = 0.001
_NONE = 'groups: [{name: none, rules: [{record: "chaoskit:none", expr: "vector(0)"}]}]\n'
"""Rules where there are none: the programs tell of them that a reload is done."""


@dataclass(slots=True)
class Performed:
    """The results of drills: outcomes by `Rule.key`, other findings by wave, notes, exit codes of early ends."""

    outcomes: dict[str, RuleOutcome] = field(default_factory=dict)
    findings: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    ended: dict[str, Result] = field(default_factory=dict)
    """The end of each drill, by the drill's name."""

    def add(self, other: Performed) -> None:
        """Takes in what came of further drills; of two outcomes of one rule the worse counts."""
        for rule, outcome in other.outcomes.items():
            self.outcomes[rule] = worse(self.outcomes[rule], outcome) if rule in self.outcomes else outcome
        self.findings |= other.findings
        self.notes += other.notes
        self.codes += other.codes
        self.ended |= other.ended

    @property
    def unknown(self) -> frozenset[str]:
        """The rules, by `Rule.key`, whose outcome is UNKNOWN."""
        return frozenset(key for key, one in self.outcomes.items() if one.result is Result.UNKNOWN)

    def replace_unknown(self, other: Performed) -> None:
        """Takes in a second attempt: what was UNKNOWN in the first no longer counts, what failed still does."""
        again = self.unknown & other.outcomes.keys()
        waves = {self.outcomes[key].wave for key in again}
        for wave in waves & self.findings.keys():
            self.findings[wave] = [row for row in self.findings[wave] if row.result is not Result.UNKNOWN]
        for key in again:
            del self.outcomes[key]
            one = other.outcomes[key]
            never = unrehearsed(one.rule, one.reasons[0]) if one.unmoved and one.result is Result.UNKNOWN else None
            other.outcomes[key] = never or replace(one, attempt=2)
        self.add(other)


def perform(
    config: AlertConfig, drills: Sequence[Drill], folder: Path, binaries: Binaries, interval_s: float
) -> Performed:
    """Plays drills of one time scale, one after another on one stack; raises BadInput, Refused or EquipmentError."""
    # The page must answer within a scrape interval, even while the observers read much.
    sys.setswitchinterval(_SWITCH_S)
    scale = drills[0].plan.time_scale
    ports = Ports(*reserve(len(Ports.__dataclass_fields__)))
    # What is derived is known to bear the time scale; each drill's rules are loaded when its turn comes.
    every = None if any(drill.rules is None for drill in drills) else frozenset[str]()
    sources, where = with_rules(config, every), folder / "stack"
    localized = fitted(
        lambda too_new: localize(sources, where, ports, scale, SinkAddresses(ports.webhook), config.set_aside, too_new),
        binaries.amtool,
    )
    localized = scrape_series_only(localized, ports.metrics, where)
    marked = mark(localized.files["alertmanager.yml"])
    localized = replace(localized, files={**localized.files, "alertmanager.yml": marked})
    stack = RehearsalStack(where, binaries, localized, ports, scale, None)
    target, tracks = SeriesTarget(stack, interval_s), []
    records = frozenset(rule.key for rule in config.rules if rule.record)
    for n, drill in enumerate(drills):
        # Each step's files have names of their own, by which a reload is known to be done.
        then = {f"{n:02d}-{name}": text for name, text in scaled_rules(config, drill.rules, scale).items()}
        first = then
        if drill.hasty or drill.past or (n and drill.test):  # a test's rules would see the series of the one before
            wanted = records if drill.rules is None else drill.rules & records
            texts = {"none.yml": _NONE, **scaled_rules(config, wanted, scale)}
            first = {f"{n:02d}-records-{name}": text for name, text in texts.items()}
        (folder / drill.name).mkdir(parents=True)
        header = _header(config, drill, localized.notes, localized.doors, binaries)
        track = Track(drill.plan, header, folder / drill.name)
        tracks.append(track)
        target.scripts[track] = Script(drill, first, then)
    Runner(target, [[track] for track in tracks]).run()
    found = Performed(notes=list(localized.notes))
    for drill in drills:
        history = read_history(folder / drill.name)
        case = Case(history, plan_of(history.header))
        derived = drill.rules is not None and drill.test is None
        verdict, by_name, rows = judge_wave(case, drill.name, derived, drill.how)
        found.notes += template_notes(case)
        leave(folder / drill.name / "verdict.json", to_json(verdict))
        codes = [verdict.exit_code] if verdict.exit_code in (4, 5) else []
        strangers = notes_of_strangers(history)
        ended = {drill.name: verdict.result}
        by_rule = {one.rule.key: one for one in by_name.values()}
        found.add(Performed(by_rule, {drill.name: rows}, strangers, codes, ended))
    return found


def _header(
    config: AlertConfig, drill: Drill, notes: Sequence[str], doors: Sequence[SinkAddress], binaries: Binaries
) -> Header:
    sources = {key: text for key, text in config.sources.items() if not key.startswith("promise:")}
    sources[f"scenario:{drill.name}.yml"] = drill.text
    sources[f"profile:{PROFILE}"] = profile_text(drill.plan.time_scale)
    # What is told of receivers is judged with what is promised of alerts; of intervals `check` alone can tell.
    promise = drill.plan.config.promise
    receivers = promise.receivers if promise.alerts else {}
    kept = replace(promise, receivers=receivers, jobs={}, groups={}, volume={}, clears_s={}, runbook_base="")
    sources["promise:promise.yml"] = promise_text(kept)
    return Header(
        schema=SCHEMA,
        run_id=drill.name,
        scenario=f"{drill.name}.yml",
        profile=PROFILE,
        sources=sources,
        settings=[],
        time_scale=drill.plan.time_scale,
        seed=0,
        versions=versions(binaries),
        doors=[described(door) for door in doors],
        targets={},
        notes=list(notes),
        set_aside=dict(config.set_aside),
        beside=sorted(drill.plan.beside),
        rehearsal=drill.judged_by,
    )


def scaled_rules(config: AlertConfig, wanted: frozenset[str] | None, scale: float) -> dict[str, str]:
    """Rule files for this time scale with only these rules, by file name; what cannot be scaled is left out."""
    factor = Fraction(scale).limit_denominator(1000)
    scaled, _ = scale_rule_files(_documents(config, wanted), factor, config.evaluation_interval_s)
    return {PurePosixPath(name).with_suffix(".yml").name: dumped(document) for name, document in scaled.items()}


def with_rules(config: AlertConfig, wanted: frozenset[str] | None) -> dict[str, str]:
    """The sources with only these rules, by `Rule.key`, each rule file under a name of its own."""
    others = {key: text for key, text in config.sources.items() if key.partition(":")[0] not in ("rules", "promise")}
    return others | {f"rules:{name}": dumped(document) for name, document in _documents(config, wanted).items()}


def _documents(config: AlertConfig, wanted: Collection[str] | None) -> dict[str, dict[str, Any]]:
    """By file name, the rule files with only these rules; none that would be empty."""
    wanted = {rule.key for rule in config.rules} if wanted is None else wanted
    found: dict[str, dict[str, Any]] = {}
    rules = iter(config.rules)
    for key, text in config.sources.items():
        role, _, name = key.partition(":")
        if role != "rules":
            continue
        groups = [
            {**group, "rules": kept}
            for group in rule_document(text, name, config.set_aside)[0]["groups"]
            if (kept := [one for one in group["rules"] if next(rules).key in wanted])
        ]
        if groups:
            found[f"{len(found):03d}-{PurePosixPath(name).name}"] = {"groups": groups}
    return found
