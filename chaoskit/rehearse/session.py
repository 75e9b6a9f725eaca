"""A whole rehearsal: derive, prove, put into waves, play them on real programs, judge, and say what remains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction

from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.promise_text import COMPUTED, promise_text
from chaoskit.alerting.promql import CannotScale
from chaoskit.alerting.promql import scale as scale_expression
from chaoskit.alerting.routing import alert_labels, receivers_of
from chaoskit.alerting.virtual import exact_scale, instant_records
from chaoskit.alerting.windows_expression import range_of, unread_below
from chaoskit.errors import BadInput, ExitCode
from chaoskit.explain.promise import computed_promise
from chaoskit.hop import Hop
from chaoskit.observe.pressure import is_busy
from chaoskit.rehearse.apart import with_own_groups
from chaoskit.rehearse.derive import BUG, Subject, closure, recording_rules
from chaoskit.rehearse.drill import Drill, Given, given_drill, wave_drill
from chaoskit.rehearse.hours import play_hours
from chaoskit.rehearse.inputs import Asked
from chaoskit.rehearse.lanes import Lane, partition, play, took_s
from chaoskit.rehearse.outcome import Rehearsed, RuleOutcome, unrehearsed, with_static
from chaoskit.rehearse.perform import Performed
from chaoskit.rehearse.proof import Engine, Proven, edges, prove, roused
from chaoskit.rehearse.unit_tests import AGAIN, GroupRow, played
from chaoskit.rehearse.usable import Chooser
from chaoskit.rehearse.waves import (
    CALM,
    MOST_IN_A_WAVE,
    MOST_WHEN_BUSY,
    SCALES,
    fastest,
    foreign_to,
    make_waves,
    muted_by,
    scale_for,
    with_a_past,
)
from chaoskit.rehearse.written import stub_for
from chaoskit.stack.binaries import Binaries
from chaoskit.units import amount
from chaoskit.verify.verdict import Result, Row

Say = Callable[[str], None]
Pace = tuple[float, bool, float]
"""A time scale, whether a past is written, and the seconds between two values of the series."""


@dataclass(slots=True)
class Session:
    """Carries one rehearsal out; `say` is told what goes on, one line at a time."""

    asked: Asked
    binaries: Binaries
    say: Say
    _left_out: dict[str, Row] = field(default_factory=dict, init=False)
    """By name, the scenarios that were given and cannot be played."""
    _busy: bool = field(default=False, init=False)

    def rehearse(self) -> Rehearsed:
        """Plays the given scenarios, and derives series for every rule that they leave. A scenario that cannot be
        planned is left out, and series are derived for its alerts as well. Raises BadInput, Refused or
        EquipmentError."""
        begun = time.monotonic()
        self._busy = is_busy()  # before anything of ours keeps the machine busy
        if self._busy:
            self.say(f"this machine is busy with other work: at most {MOST_WHEN_BUSY} alerts at once, and slower")
        done = Performed(notes=list(self.asked.notes))
        proven: list[Proven] = []
        given, tests = self._given()
        if given:
            self._play_given(given, done)
        subjects, without = self._subjects(done.outcomes)
        if (subjects or without or not given) and not done.codes:
            proven = self._derive(subjects, without, done)
        hours = [] if done.codes else play_hours(self.asked.config, self.binaries, self.asked.folder / "hours")
        outcomes, left_out = self._with_static(done.outcomes, proven), self._left_out.values()
        findings = [
            *hours,
            *left_out,
            *self._in_doubt(outcomes),
            *(row for rows in done.findings.values() for row in rows),
        ]
        return Rehearsed(
            outcomes=outcomes,
            findings=tuple(dict.fromkeys(findings)),
            unreached=self._unreached(outcomes),
            notes=tuple(dict.fromkeys(done.notes)),
            promise="given" if self.asked.promise_given else "computed",
            took_s=time.monotonic() - begun,
            codes=(*done.codes, *(ExitCode.USAGE for row in left_out if row.hop is Hop.SCENARIO)),
            tests=tuple(played(row, done.ended) for row in tests),
        )

    def _given(self) -> tuple[list[Given], list[GroupRow]]:
        """The scenarios that were given and those that unit tests become, and a row for each group of those tests."""
        asked = self.asked
        if not asked.tests:
            return list(asked.given), []
        self.say(f"asking promtool about {amount(len(asked.tests), 'test groups')}")
        version = f"promtool {self.binaries.versions.get('promtool', '')}".strip()
        chooser = Chooser(asked, self.binaries.promtool, version, self._least(len(asked.tests)))
        given, rows = chooser.choose(asked.tests)
        return [*asked.given, *given], rows

    def _play_given(self, given: Sequence[Given], done: Performed) -> None:
        asked = self.asked
        scale = self._exact(asked.time_scale or fastest(asked.interval_s, SCALES[0]))
        apart = self._tests_apart(given)
        drills = self._given_drills(given, apart, scale)
        for drill in drills:
            self.say(f"{drill.name}: {drill.plan.scenario.title}, at most {drill.plan.longest_real_s:.0f} s")
        places = self._places(drills)
        lanes = self._partitioned(drills, apart, places)
        done.add(self._play(lanes, places))
        unknown = done.unknown

        def again(slower: float, side_by_side: int) -> list[Lane]:
            some = [
                replace(drill, name=f"{drill.name}{AGAIN}")
                for drill in self._given_drills(given, apart, scale, slower)
                if any(alert.rule.key in unknown for alert in drill.plan.alerts)
            ]
            return self._partitioned(some, apart, side_by_side)

        self._retry(again, took_s(lanes, places), done)

    def _tests_apart(self, given: Sequence[Given]) -> AlertConfig:
        """The configuration in which the alerts of unit tests, which share stacks, share no notification group."""
        config, sent = self.asked.config, list[Mapping[str, str]]()
        for test in (one.test for one in given if one.test):
            for rule in (rule for rule in config.rules if rule.alert and rule.key in test.rules):
                seen = test.results.get(rule.alert, ({},))
                sent += [alert_labels(config, rule, result) for result in seen]
        return with_own_groups(config, sent)

    @staticmethod
    def _partitioned(drills: Sequence[Drill], apart: AlertConfig, side_by_side: int) -> list[Lane]:
        """Unit tests share stacks; a scenario has one of its own, for rules that it does not name look back as well."""
        own = [Lane((drill,), drill.plan.config) for drill in drills if drill.test is None]
        return [*own, *partition([drill for drill in drills if drill.test is not None], side_by_side, apart)]

    def _given_drills(
        self, given: Sequence[Given], apart: AlertConfig, scale: float, slower: float = 1.0
    ) -> list[Drill]:
        asked = self.asked
        found = []
        for one in given:
            own = self._exact(one.test.scale) if one.test else scale
            own = own if slower == 1 else self._slower(own, slower)
            config = apart if one.test else asked.config
            try:
                found.append(given_drill(one, config, asked.promise_given, own, asked.interval_s))
            except BadInput as error:
                reason = f"left out: {'; '.join(map(str, error.problems))}"
                hop = Hop.TEST if one.test else Hop.SCENARIO
                self._left_out[one.name] = Row(about=one.name, hop=hop, result=Result.UNKNOWN, reason=reason)
        return found

    def _places(self, drills: Sequence[Drill]) -> int:
        """How many stacks at once: a stack waits most of the time, so a core bears two whose waves are small."""
        cores = os.cpu_count() or 1
        largest = max((len(drill.plan.alerts) for drill in drills), default=1)
        room = cores if self._busy else cores * MOST_IN_A_WAVE // largest
        return self.asked.side_by_side or max(cores, min(2 * cores, room))

    def _play(self, lanes: Sequence[Lane], side_by_side: int) -> Performed:
        asked, found = self.asked, Performed()
        for one in play(lanes, side_by_side, asked.folder, self.binaries, asked.interval_s, self.say):
            found.add(one)
        return found

    def _retry(self, again: Callable[[float, int], list[Lane]], first_s: float, done: Performed) -> None:
        """Plays UNKNOWN drills again, those that suit each other in common waves, on fresh stacks, one for a core;
        never those that failed. A quarter as fast, but not so slow that it takes longer than the first attempts did
        and than _AGAIN_S, and never more than half as fast."""
        unknown = len(done.unknown)
        if not unknown or any(done.codes):
            return
        cores = os.cpu_count() or 1
        places = min(self.asked.side_by_side or cores, cores)
        lanes, most_s = again(_SLOWER, places), max(first_s, _AGAIN_S)
        if (longest_s := took_s(lanes, places)) > most_s and not self.asked.time_scale:
            lanes = again(max(_LEAST_SLOWER, _SLOWER * most_s / longest_s), places)
        if lanes:
            scales = " and ".join(
                f"{scale:.3g}x" for scale in sorted({lane.drills[0].plan.time_scale for lane in lanes})
            )
            most = f"at most {took_s(lanes, places):.0f} s"
            self.say(f"{amount(unknown, 'alerts')} UNKNOWN: once more at {scales}, {most}")
            done.replace_unknown(self._play(lanes, places))

    def _slower(self, scale: float, times: float) -> float:
        return scale if self.asked.time_scale else self._exact(max(1.0, scale / times))

    def _exact(self, scale: float) -> float:
        """A scale that makes no interval shorter than it is: near the usual one, or not above the one asked for."""
        return exact_scale(self.asked.config, scale, 1.0 if self.asked.time_scale else _FASTER)

    def _derive(self, subjects: Sequence[Subject], found: dict[str, RuleOutcome], done: Performed) -> list[Proven]:
        self.say(f"deriving series for {len(subjects)} alert rules")
        proven, unproven = prove(subjects, self._engine("proof"))
        self.say(f"{len(proven)} of {len(subjects)} made to fire and to fall back by promtool")
        for lacking in unproven:
            rule = lacking.subject.rule
            found[rule.key] = unrehearsed(rule, lacking.reason, stub_for(rule, lacking.subject.mark))
        by_scale: dict[Pace, list[Proven]] = {}
        for one, wanted in self.paced(proven):
            scale = self._exact(wanted)
            if reason := self._uncompressed(one.subject.rule, scale):
                found[one.subject.rule.key] = unrehearsed(one.subject.rule, reason)
            else:
                pace = (scale, one.far is not None, one.subject.every_s(self.asked.interval_s))
                by_scale.setdefault(pace, []).append(one)
        done.add(Performed(found))
        self._apart([one for members in by_scale.values() for one in members])
        drills = self._all_drills(by_scale, done)
        places = self._places(drills)
        lanes = partition(drills, places, self.asked.config)
        alerts, waves = amount(sum(map(len, by_scale.values())), "alerts"), amount(len(drills), "waves")
        self.say(f"{alerts} in {waves} on {amount(len(lanes), 'stacks')}, at most {took_s(lanes, places):.0f} s")
        done.add(self._play(lanes, places))
        unknown = done.unknown

        def again(slower: float, side_by_side: int) -> list[Lane]:
            paces: dict[Pace, list[Proven]] = {}
            for (scale, far, every_s), members in by_scale.items():
                left = [one for one in members if one.subject.rule.key in unknown]
                paces.setdefault((self._slower(scale, slower), far, every_s), []).extend(left)
            return partition(self._all_drills(paces, done, AGAIN), side_by_side, self.asked.config)

        self._retry(again, took_s(lanes, places), done)
        done.codes += {ExitCode.BUG for one in unproven if one.reason.startswith(BUG)}
        return proven

    @property
    def _records(self) -> dict[str, Rule]:
        return recording_rules(self.asked.config.rules)

    def _engine(self, folder: str) -> Engine:
        asked, external = self.asked, self.asked.config.external_labels
        return Engine(self._records, self.binaries.promtool, asked.folder / folder, asked.interval_s, external)

    def paced(self, proven: Sequence[Proven]) -> list[tuple[Proven, float]]:
        """Each rule with its time scale; one that takes too long as it is, with a written past."""
        asked, least = self.asked, self._least(len(proven))
        bounds = asked.interval_s, asked.time_scale, asked.longest_real_s
        scales = [scale_for(p, *bounds, least) for p in proven]
        long = [p for p, scale in zip(proven, scales, strict=True) if scale is None]
        known = edges(long, self._engine("proof/edges"))
        return [
            with_a_past(p, known[p.subject.number], *bounds) if scale is None else (p, scale)
            for p, scale in zip(proven, scales, strict=True)
        ]

    def _apart(self, proven: Sequence[Proven]) -> None:
        config = self.asked.config
        sent = [alert_labels(config, one.subject.rule, result) for one in proven for result in one.results]
        foreign = foreign_to(config, self._records, proven)
        self.asked = replace(self.asked, config=with_own_groups(config, sent, foreign))

    def _least(self, rules: int) -> float:
        """The least time scale for so many rules: a promise's own bounds, and a busy machine, want more real time."""
        if self._busy or self.asked.promise_given:
            return SCALES[0]
        return next(scale for most, scale in CALM if rules <= most)

    def _all_drills(self, by_scale: Mapping[Pace, Sequence[Proven]], done: Performed, suffix: str = "") -> list[Drill]:
        found: list[Drill] = []
        most = MOST_WHEN_BUSY if self._busy else MOST_IN_A_WAVE
        for (scale, far, every_s), members in sorted(by_scale.items()):
            name = f"at-{scale:g}x-{f'past-{every_s:g}s-' if far else ''}wave"
            for n, wave in enumerate(self._waves(members, most), 1):
                found += self._wave(f"{name}-{n}{suffix}", wave, scale, done)
        return found

    def _waves(self, left: Sequence[Proven], most: int) -> Iterator[Sequence[Proven]]:
        """Waves in which no alert is true while all series of its wave are at rest, as promtool says."""
        engine = self._engine("proof/waves")
        while left:
            waves = [wave.members for wave in make_waves(self.asked.config, engine.records, left, most)]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                some = [wave for wave in waves if len(wave) > 1 and not wave[0].far]
                loud = frozenset[int]().union(*pool.map(lambda wave: roused(wave, engine), some))
            left = [one for wave in waves for one in wave if one.subject.number in loud]
            yield from (rest for wave in waves if (rest := [m for m in wave if m.subject.number not in loud]))
            most = 1 if len(left) == sum(map(len, waves)) else most

    def _wave(self, name: str, members: Sequence[Proven], scale: float, done: Performed) -> list[Drill]:
        """The wave's drill; where it cannot be planned, its halves', until the rule that is the reason is alone."""
        asked, half = self.asked, len(members) // 2
        try:
            every_s = members[0].subject.every_s(asked.interval_s) if members[0].far else asked.interval_s
            return [wave_drill(name, asked.config, members, asked.promise_given, scale, every_s)]
        except BadInput as error:
            if half:
                parts = (f"{name}-first", members[:half]), (f"{name}-second", members[half:])
                return [drill for called, some in parts for drill in self._wave(called, some, scale, done)]
            rule, reasons = members[0].subject.rule, tuple(problem.message for problem in error.problems)
            done.add(Performed({rule.key: RuleOutcome(rule, Result.UNKNOWN, reasons, wave=name)}))
            return []

    # -- what can be rehearsed

    def _subjects(self, done: Mapping[str, RuleOutcome]) -> tuple[list[Subject], dict[str, RuleOutcome]]:
        """The rules for which series are to be derived, and the outcomes of those for which they cannot be."""
        config, only = self.asked.config, self.asked.only
        subjects, without = [], {}
        for number, rule in enumerate(config.rules):
            if not rule.alert or rule.key in done or (only is not None and rule.alert not in only):
                continue
            span = range_of(config, rule)
            if unread := unread_below(config, rule):
                without[rule.key] = unrehearsed(rule, f"it reads {', '.join(unread)}, which chaoskit cannot read")
            elif span > _LONGEST_SPAN_S:
                reason = f"the rule looks back {span / 86400:.0f} days, too far for a rehearsal"
                without[rule.key] = unrehearsed(rule, reason)
            else:
                subjects.append(Subject(number, rule, span))
        return subjects, without

    def _uncompressed(self, rule: Rule, scale: float) -> str:
        """Why a rule cannot run that much faster; empty where it can."""
        read = closure(rule, self._records).values()
        instants = instant_records((each.record, each.expr) for each in read)
        for expr in (rule.expr, *(each.expr for each in read)):
            try:
                scale_expression(expr, Fraction(scale).limit_denominator(1000), instants=instants)
            except CannotScale as error:
                return f"the rule cannot run {scale:g} times as fast: {error}; rehearse it with --time-scale 1"
        return ""

    # -- what remains

    def _with_static(self, found: Mapping[str, RuleOutcome], proven: Sequence[Proven]) -> tuple[RuleOutcome, ...]:
        config = self.asked.config
        by_rule = {p.subject.rule.key: p for p in proven}
        muting = muted_by(config, {key: (p.subject.rule, p.results, p.subject.mark) for key, p in by_rule.items()})
        outcomes = []
        for rule in (rule for rule in config.rules if rule.key in found):
            results = by_rule[rule.key].results if rule.key in by_rule else ({},)
            seen = [alert_labels(config, rule, result) for result in results]
            receivers = {r: config.receivers[r] for labels in seen for r in receivers_of(config, labels)}
            outcome = with_static(found[rule.key], receivers, muting.get(rule.key, ()), self.asked.require_told)
            outcomes.append(outcome)
        return tuple(outcomes)

    def _unreached(self, outcomes: Sequence[RuleOutcome]) -> tuple[str, ...]:
        reached = {receiver for one in outcomes for receiver in one.receivers}
        here = {one.rule.key for one in outcomes}
        for rule in self.asked.config.rules:
            # A rule that was not asked for still reaches its receivers.
            if rule.alert and rule.key not in here:
                reached |= set(receivers_of(self.asked.config, alert_labels(self.asked.config, rule, {})))
        return tuple(name for name in self.asked.config.receivers if name not in reached)

    def _in_doubt(self, outcomes: Sequence[RuleOutcome]) -> Iterator[Row]:
        """An UNKNOWN row for each part of the requested rules or of their receivers that is not understood."""
        asked, config = self.asked, self.asked.config
        names = {rule.alert for rule in config.rules if rule.alert} | config.unread - config.receivers.keys()
        names = names if asked.only is None else names & asked.only
        told = {receiver for one in outcomes for receiver in one.receivers}
        read = {name for one in outcomes for name in unread_below(config, one.rule)}
        for each in config.not_understood:
            if each.concerns(names | told | read):
                about = each.of[0] if each.of else "configuration"
                yield Row(about=about, hop=Hop.CONFIGURATION, result=Result.UNKNOWN, reason=str(each))
        for doubt in asked.doubts:
            yield Row(about="configuration", hop=Hop.CONFIGURATION, result=Result.UNKNOWN, reason=doubt)

    def promise_text(self, rules: Sequence[RuleOutcome]) -> str:
        """The promise that the configuration implies for the rules of this rehearsal."""
        return promise_text(computed_promise(self.asked.config, {one.rule.alert for one in rules}), COMPUTED)


_FASTER = 1.05
_SLOWER, _LEAST_SLOWER = 4.0, 2.0
"""Of a machine that was too slow, 200x became 100x, which was still more than it could see."""
_AGAIN_S = 180.0
_LONGEST_SPAN_S = 31 * 86400.0
