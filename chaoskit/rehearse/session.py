"""A whole rehearsal: derive, prove, put into waves, play them on real programs, judge, and say what remains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.promql import CannotScale, scale_query
from chaoskit.alerting.routing import receivers_of
from chaoskit.alerting.virtual import instant_records
from chaoskit.alerting.windows_expression import range_of
from chaoskit.events import SCHEMA, Event, Header
from chaoskit.history import read_history
from chaoskit.rehearse.derive import closure, recording_rules
from chaoskit.rehearse.drill import PROFILE, Drill, profile_text, wave_drill
from chaoskit.rehearse.mutes import muted_by
from chaoskit.rehearse.outcome import Rehearsed, RuleOutcome, judge_wave, unrehearsed, with_static
from chaoskit.rehearse.promise import NAME, write
from chaoskit.rehearse.proof import Proven, Subject, Unproven, prove
from chaoskit.rehearse.scenarios import Given, given_drill
from chaoskit.rehearse.stack import RehearsalStack, scrape_series_only
from chaoskit.rehearse.stage import SeriesTrack, Stage
from chaoskit.rehearse.stub import stub_for
from chaoskit.rehearse.waves import labels_of, make_waves, scale_for
from chaoskit.run.prepare import versions
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.doors import DoorBook
from chaoskit.stack.localize import Ports, localize
from chaoskit.stack.ports import reserve
from chaoskit.verify.verdict import Row, to_json
from chaoskit.yaml_source import read

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is rehearsed and how; `only` names alerts, None means all of them."""

    config: AlertConfig
    interval_s: float
    folder: Path
    promise_given: bool
    time_scale: float | None = None
    longest_real_s: float = 60.0
    only: frozenset[str] | None = None
    notes: tuple[str, ...] = ()
    given: tuple[Given, ...] = ()
    """Scenarios to play instead of deriving any."""


@dataclass(slots=True)
class Session:
    """Carries one rehearsal out; `say` is told what goes on, one line at a time."""

    asked: Asked
    binaries: Binaries
    say: Say
    hear: Callable[[Event], None] = lambda event: None

    def rehearse(self) -> Rehearsed:
        """The rehearsal of derived series; raises BadInput, Refused or EquipmentError."""
        begun = time.monotonic()
        config = self.asked.config
        records = recording_rules(config.rules)
        subjects, without = self._subjects()
        self.say(f"deriving series for {len(subjects)} alert rules")
        proven, unproven = prove(
            subjects, records, self.binaries.promtool, self.asked.folder / "proof", self.asked.interval_s
        )
        self.say(f"{len(proven)} of {len(subjects)} made to fire and to fall back by promtool")
        found: dict[int, RuleOutcome] = {id(rule): unrehearsed(rule, reason) for rule, reason in without}
        found |= {id(u.subject.rule): self._unproven(u) for u in unproven}
        by_scale: dict[float, list[Proven]] = {}
        for one in proven:
            scale = scale_for(one, self.asked.interval_s, self.asked.time_scale, self.asked.longest_real_s)
            reason = self._too_long(one) if scale is None else self._uncompressed(one.subject.rule, records, scale)
            if scale is None or reason:
                found[id(one.subject.rule)] = unrehearsed(one.subject.rule, reason)
            else:
                by_scale.setdefault(scale, []).append(one)
        findings: list[Row] = []
        notes: list[str] = list(self.asked.notes)
        codes: list[int] = []
        configs = [config]
        for scale, members in sorted(by_scale.items()):
            drills = self._drills(records, scale, members)
            played, rows, said, ended = self._play(scale, members, drills, records)
            for drill in drills:
                configs.append(drill.plan.config)
            found |= played
            findings += rows
            notes += said
            codes += ended
        outcomes = self._with_static(found, proven)
        return Rehearsed(
            outcomes=outcomes,
            findings=tuple(findings),
            unreached=self._unreached(outcomes),
            notes=tuple(dict.fromkeys(notes)),
            promise="given" if self.asked.promise_given else NAME,
            took_s=time.monotonic() - begun,
            codes=tuple(codes),
        )

    # -- what can be rehearsed

    def _subjects(self) -> tuple[list[Subject], list[tuple[Rule, str]]]:
        subjects, without = [], []
        for number, rule in enumerate(self.asked.config.rules):
            if not rule.alert or (self.asked.only is not None and rule.alert not in self.asked.only):
                continue
            span = range_of(self.asked.config, rule)
            if span > _LONGEST_SPAN_S:
                without.append((rule, f"it looks back {span / 86400:.0f} days, too far for a rehearsal"))
            else:
                subjects.append(Subject(number, rule, span))
        return subjects, without

    def _unproven(self, one: Unproven) -> RuleOutcome:
        return unrehearsed(one.subject.rule, one.reason, stub_for(one.subject.rule, one.subject.mark))

    def _too_long(self, one: Proven) -> str:
        span, held = one.subject.span_s, one.subject.rule.for_s
        return (
            f"it looks back {span:g} s and holds for {held:g} s, which takes longer than {self.asked.longest_real_s:g} "
            "real seconds at the largest time scale; raise --longest"
        )

    def _uncompressed(self, rule: Rule, records: Mapping[str, Rule], scale: float) -> str:
        instants = instant_records(
            [{"groups": [{"rules": [{"record": r.record, "expr": r.expr}]}]} for r in records.values()]
        )
        factor = Fraction(scale).limit_denominator(1000)
        for one in (rule, *closure(rule, records).values()):
            try:
                scale_query(one.expr, factor, instants=instants)
            except CannotScale as error:
                return f"it cannot run {scale:g} times as fast: {error}; rehearse it with --time-scale 1"
        return ""

    # -- playing

    def _drills(self, records: Mapping[str, Rule], scale: float, members: Sequence[Proven]) -> list[Drill]:
        waves = make_waves(self.asked.config, records, members)
        given = self.asked.promise_given
        return [
            wave_drill(f"at-{scale:g}x-wave-{n}", self.asked.config, wave.members, given, scale, self.asked.interval_s)
            for n, wave in enumerate(waves, 1)
        ]

    def _play(
        self, scale: float, members: Sequence[Proven], drills: Sequence[Drill], records: Mapping[str, Rule]
    ) -> tuple[dict[int, RuleOutcome], list[Row], list[str], list[int]]:
        config = self.asked.config
        wanted = {id(m.subject.rule) for m in members}
        wanted |= {id(record) for m in members for record in closure(m.subject.rule, records).values()}
        folder = self.asked.folder / f"at-{scale:g}x"
        ports = Ports(*reserve(len(Ports.__dataclass_fields__)))
        sources = _only(config, wanted)
        localized = localize(sources, folder / "stack", ports, scale, DoorBook(ports.webhook), frozenset())
        localized = scrape_series_only(localized, ports.metrics)
        stack = RehearsalStack(folder / "stack", self.binaries, localized, ports, scale, None)
        tracks = []
        for drill in drills:
            where = folder / drill.name
            where.mkdir(parents=True)
            header = self._header(drill, where, localized.notes, localized.doors)
            tracks.append(SeriesTrack(drill.plan, header, where, drill.series, self.asked.interval_s, self.hear))
        standing = [s for m in members for s in m.guess.series if s.values.segments == () and s.rest.segments]
        took = sum(d.plan.longest_real_s for d in drills)
        self.say(f"at {scale:g}x: {len(members)} alerts in {len(drills)} waves, at most {took:.0f} s")
        Stage(stack, tracks, standing).run()
        found: dict[int, RuleOutcome] = {}
        findings: list[Row] = []
        codes: list[int] = []
        for drill in drills:
            where = folder / drill.name
            by_name, rows, verdict = judge_wave(read_history(where), drill.plan, drill.name)
            (where / "verdict.json").write_bytes(to_json(verdict))
            found |= {id(o.rule): o for o in by_name.values()}
            findings += rows
            codes += [verdict.exit_code] if verdict.exit_code in (4, 5) else []
        return found, findings, list(localized.notes), codes

    def _header(self, drill: Drill, where: Path, notes: Sequence[str], doors: Sequence[Any]) -> Header:
        sources = dict(self.asked.config.sources)
        sources[f"scenario:{drill.name}.yml"] = drill.text
        sources[f"profile:{PROFILE}"] = profile_text(drill.plan.time_scale)
        sources = {k: v for k, v in sources.items() if not k.startswith("promise:")}
        sources["promise:promise.yml"] = write(drill.plan.config.promise)
        return Header(
            schema=SCHEMA,
            run_id=where.name,
            scenario=f"{drill.name}.yml",
            profile=PROFILE,
            sources=sources,
            settings=[],
            time_scale=drill.plan.time_scale,
            seed=0,
            versions=versions(self.binaries),
            doors=[
                {
                    "receiver": door.receiver,
                    "integration": door.integration,
                    "index": door.index,
                    "kind": door.kind,
                    "send_resolved": door.send_resolved,
                }
                for door in doors
            ],
            targets={},
            notes=list(notes),
            beside=sorted(drill.plan.beside),
        )

    # -- what remains

    def _with_static(self, found: Mapping[int, RuleOutcome], proven: Sequence[Proven]) -> tuple[RuleOutcome, ...]:
        config = self.asked.config
        results = {id(p.subject.rule): p for p in proven}
        muting = muted_by(
            config, {rule_id: (p.subject.rule, p.results, p.guess.mark) for rule_id, p in results.items()}
        )
        outcomes = []
        for rule in config.rules:
            outcome = found.get(id(rule))
            if outcome is None:
                continue
            one = results.get(id(rule))
            seen = (
                [labels_of(config, one, r) for r in one.results] if one else [{**rule.labels, "alertname": rule.alert}]
            )
            receivers = dict.fromkeys(r for labels in seen for r in receivers_of(config, labels))
            outcomes.append(with_static(outcome, tuple(receivers), muting.get(id(rule), ())))
        return tuple(outcomes)

    def _unreached(self, outcomes: Sequence[RuleOutcome]) -> tuple[str, ...]:
        reached = {receiver for one in outcomes for receiver in one.receivers}
        return tuple(name for name in self.asked.config.receivers if name not in reached)

    def promise_text(self, rules: Sequence[RuleOutcome]) -> str:
        """The promise that the configuration implies for the rules of this rehearsal."""
        from chaoskit.rehearse.promise import computed_notices

        notices: dict[tuple[str, str], Any] = {}
        for one in rules:
            notices |= computed_notices(self.asked.config, one.rule, [one.rule.labels])
        return write(replace(self.asked.config.promise, notices=notices))


_LONGEST_SPAN_S = 8 * 86400.0


def _only(config: AlertConfig, wanted: set[int]) -> dict[str, str]:
    """The sources with only these rules, each rule file under a name of its own."""
    sources: dict[str, str] = {}
    rules = iter(config.rules)
    number = 0
    for key, text in config.sources.items():
        role, _, name = key.partition(":")
        if role == "promise":
            continue
        if role != "rules":
            sources[key] = text
            continue
        document: dict[str, Any] = dict(read(text, name).plain() or {})
        groups = []
        for group in document.get("groups") or []:
            kept = [one for one in group.get("rules") or [] if id(next(rules)) in wanted]
            if kept:
                groups.append({**group, "rules": kept})
        if groups:
            file = f"{number:03d}-{PurePosixPath(name).name}"
            sources[f"rules:{file}"] = yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True)
            number += 1
    return sources
