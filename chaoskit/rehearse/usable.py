"""Which of promtool's unit tests a rehearsal can play, and how: promtool is asked, as it is for series of our own.

First the test as it stands: what fails there already fails here. Then each way to script its series, scraped as often
as the rehearsal does: no alert at rest, the test's alerts at their instant and still when they have been noticed, none
after the series are at rest again.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaoskit.alerting.expression import expression
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.promql_meaning import CALENDAR
from chaoskit.alerting.routing import alert_labels, match_routes, receivers_of
from chaoskit.alerting.windows_expression import range_of
from chaoskit.errors import EquipmentError
from chaoskit.events import ExpectedQuiet, ExpectedTexts
from chaoskit.faults.series import Course, notation
from chaoskit.rehearse.derive import closure, recording_rules
from chaoskit.rehearse.drill import Given
from chaoskit.rehearse.inputs import Asked
from chaoskit.rehearse.perform import with_rules
from chaoskit.rehearse.promtool import answered, asking, dumped, results_of, run_tests
from chaoskit.rehearse.tree import calls
from chaoskit.rehearse.unit_tests import GivenTest, GroupRow, UnitTest, Way, ways
from chaoskit.rehearse.waves import SCALES, muted_by, scale_for_length
from chaoskit.rehearse.written import STEP, described, scenario_of
from chaoskit.units import format_duration
from chaoskit.verify.verdict import Result

_SETTLE = 4
"""Intervals until a change is certainly seen."""
_MARGIN_S = 120.0
"""Seconds that the alert must last beyond its group_wait."""
_SIDE_BY_SIDE = os.cpu_count() or 1
_NO_MARK = "\0"
_EARLY = "early"
_FAILED = re.compile(
    r"^\s+alertname: (?P<alert>.*), time: (?P<time>\S+), *\n\s+exp:(?P<exp>.*?), *\n\s+got:(?P<got>.*?\])$",
    re.MULTILINE | re.DOTALL,
)
_MOST = 300
_OTHER_ALERTS = re.compile(r"\bALERTS(_FOR_STATE)?\b")
_GLOBALS = re.compile(r"\$?external(Labels|URL)|\bpathPrefix\b")

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Chooser:
    """Finds the drills of unit tests; `least` is the least time scale, `version` is promtool's, for people."""

    asked: Asked
    promtool: Path
    version: str
    least: float = SCALES[0]

    @property
    def config(self) -> AlertConfig:
        """The alert configuration."""
        return self.asked.config

    def choose(self, tests: Sequence[UnitTest]) -> tuple[list[Given], list[GroupRow]]:
        """The drills of all groups that can be played, and a row for every group."""
        (self.asked.folder / "tests").mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            found = list(pool.map(self._chosen, range(len(tests)), tests))
        return [one for given, _ in found for one in given], [row for _, row in found]

    def _chosen(self, number: int, test: UnitTest) -> tuple[list[Given], GroupRow]:
        row = GroupRow(test.place, test.title, tuple(test.expected))
        try:
            given, row = self._choose(number, test, row)
        except (EquipmentError, ValueError, ArithmeticError) as error:
            return [], replace(row, result=Result.UNKNOWN, reason=str(error))
        return given, replace(row, drills=tuple(one.name for one in given))

    def _choose(self, number: int, test: UnitTest, row: GroupRow) -> tuple[list[Given], GroupRow]:
        if test.wrong:
            return [], replace(row, result=Result.UNKNOWN, reason=test.wrong)
        if not test.expected:
            said = "expects no alert to fire" if test.wanted else "tests no alert"
            return [], replace(row, reason=f"it {said}")
        rules, only = self._rules(test), self.asked.only
        known = {rule.alert for rule in rules}
        asked = [n for n in test.expected if n in known and (only is None or n in only)]
        left = [f"no given rule is called {name}" for name in test.expected if name not in known]
        if not asked:
            return [], replace(row, reason="; ".join(left) or "this command names none of the test's alerts")
        if not test.series:
            return [], replace(row, reason="it has no input_series")
        loaded = self._loaded(rules)
        if any(calls(expression(rule.expr), CALENDAR) for rule in loaded):
            why = "its rules ask for the time of day, which promtool sets to 1970 and a rehearsal does not set"
            return [], replace(row, reason=why)
        name = f"{Path(test.place.file).stem}-{number:03d}"
        broken, _ = _Trial(self, test, loaded, name).as_it_stands(asked, known)
        if broken:
            return [], replace(row, result=broken[0], reason=broken[1])
        # Of rules that share name and labels one is loaded at a time, to tell them apart.
        alike: dict[object, list[Rule]] = {}
        for rule in rules:
            alike.setdefault((rule.alert, frozenset(rule.labels.items())), []).append(rule)
        given: list[Given] = []
        said_of: dict[str, None] = {}
        for turn in range(max(map(len, alike.values()))):
            others = {one.key for some in alike.values() if len(some) > 1 for one in some if some.index(one) != turn}
            mine = [some[turn] for some in alike.values() if len(some) > turn and some[0].alert in asked]
            trial = _Trial(self, test, [one for one in loaded if one.key not in others], f"{name}-{turn}")
            found, why_not = trial.drills(mine, trial.as_it_stands(asked, ())[1])
            given += found
            said_of |= dict.fromkeys(why_not)
        return given, replace(row, reason="; ".join([*said_of, *left]))

    def _rules(self, test: UnitTest) -> list[Rule]:
        """The alert rules that the test speaks of; those of the files that it loads, where they were given."""
        named = {one.alert for one in test.wanted}
        found = [rule for rule in self.config.rules if rule.alert in named]
        own = [rule for rule in found if str(Path(rule.place.file).resolve()) in test.rule_files]
        return own or found

    def _loaded(self, rules: Sequence[Rule]) -> list[Rule]:
        records = recording_rules(self.config.rules)
        read = {one.key: one for rule in rules for one in (rule, *closure(rule, records).values())}
        if any(_OTHER_ALERTS.search(one.expr) for one in read.values()):
            read = {one.key: one for one in self.config.rules}
        return list(read.values())


@dataclass(slots=True)
class _Trial:
    """One test group before promtool."""

    chooser: Chooser
    test: UnitTest
    loaded: Sequence[Rule]
    name: str

    def as_it_stands(
        self, asked: Sequence[str], known: Collection[str]
    ) -> tuple[tuple[Result, str] | None, dict[float, list[Labels]]]:
        """The result and reason where the test itself is wrong, else None; by instant, the alerts that fire then."""
        test = self.test
        instants = sorted({at for name, at in test.expected.items() if name in asked})
        entries = [
            {
                "eval_time": format_duration(one.at_s),
                "alertname": one.alert,
                "exp_alerts": [{"exp_labels": dict(each[0]), "exp_annotations": dict(each[1])} for each in one.alerts],
            }
            for one in test.wanted
            if one.alert in known
        ]
        queries = [_query(0, f"at{n}", asked, at_s) for n, at_s in enumerate(instants)]
        asking = {**test.asked, "alert_rule_test": entries, "promql_expr_test": queries}
        code, said = self._ask("asis", [asking], test.evaluation)
        found = answered(said).get(0, {})
        if failed := [_failure(match) for match in _FAILED.finditer(said)]:
            return (Result.FAIL, f"{self.chooser.version} fails it as it stands: {'; '.join(failed)}"), {}
        if code and not found:
            words = " ".join(said.replace("Unit Testing:", "").split())
            return (Result.UNKNOWN, f"promtool refuses it: {words[-300:]}"), {}
        return None, {at: _alerts(found.get(f"at{n}", "")) for n, at in enumerate(instants)}

    def drills(self, rules: Sequence[Rule], firing: Mapping[float, list[Labels]]) -> tuple[list[Given], list[str]]:
        """The least drills that show every expected alert, and why some are not shown."""
        given: list[Given] = []
        said: list[str] = []
        left: list[Rule] = []
        for rule in rules:
            if _of(rule, firing.get(self.test.expected[rule.alert], [])):
                left.append(rule)
        while left:
            at_s = max(self.test.expected[rule.alert] for rule in left)
            now = [rule for rule in left if _of(rule, firing[at_s])]
            left = [rule for rule in left if rule not in now]
            for members, way, results, hasty in self._shown(now, at_s, said):
                given.append(self._drill(len(given), members, way, results, at_s, hasty))
                silent = [rule.alert for rule in members if not self._shows_texts(rule, results[rule.alert])]
                if silent:
                    said.append(f"exp_annotations of {', '.join(silent)} not compared: only webhooks show annotations")
        return given, list(dict.fromkeys(said))

    def _shown(
        self, rules: list[Rule], at_s: float, said: list[str]
    ) -> Iterator[tuple[list[Rule], Way, dict[str, tuple[Labels, ...]], bool]]:
        """For groups of rules that disturb each other in nothing, a way that promtool confirms; whether it is hasty."""
        by_clock = any(calls(expression(rule.expr), {"time"}) for rule in self.loaded)
        tried = [way for way in ways(self.test, at_s, by_clock) if self._scale(rules, at_s - way.begins_s)]
        if not tried:
            said.append(
                f"{', '.join(rule.alert for rule in rules)}: expected after {format_duration(at_s)}, which with what "
                f"the rule looks back on takes longer than {self.chooser.asked.longest_real_s:g} real seconds at the "
                "largest time scale; raise --longest"
            )
            return
        confirmed = self._confirmed(tried, rules, at_s)
        outcomes = [found for found, _ in confirmed]
        left = list(rules)
        for way, (found, hasty) in sorted(
            zip(tried, confirmed, strict=True),
            key=lambda each: -sum(not isinstance(o, str) for o in each[1][0].values()),
        ):
            held = {key: result for key, result in found.items() if not isinstance(result, str)}
            mine = [rule for rule in left if rule.key in held]
            left = [rule for rule in left if rule not in mine]
            for members in self._apart(mine, held):
                yield members, way, {rule.alert: held[rule.key] for rule in members}, hasty
        for rule in left:
            reasons = [str(found[rule.key]) for found in outcomes]
            said.append(f"{rule.alert}: its series {max(reasons, key=_LACKS.index)}")

    def _apart(self, rules: Sequence[Rule], held: Mapping[str, tuple[Labels, ...]]) -> list[list[Rule]]:
        """Rules of one name, and those of which one mutes the other, are played apart."""
        apart: list[list[Rule]] = []
        for rule in rules:
            for there in apart:
                both = {one.key: (one, held[one.key], _NO_MARK) for one in (rule, *there)}
                if rule.alert not in {one.alert for one in there} and not muted_by(self.chooser.config, both):
                    there.append(rule)
                    break
            else:
                apart.append([rule])
        return apart

    # -- what promtool says of a way

    def _confirmed(
        self, tried: Sequence[Way], rules: Sequence[Rule], at_s: float
    ) -> list[tuple[dict[str, tuple[Labels, ...] | str], bool]]:
        """By way: by rule, the labels of what fires, or what the way lacks; and whether any alert that is loaded is
        true before the series are there, or while they rest."""
        chooser, every = self.chooser, self.chooser.asked.interval_s
        names = sorted({rule.alert for rule in rules})
        loaded = sorted({rule.alert for rule in self.loaded if rule.alert})
        span_s = max(range_of(chooser.config, rule) for rule in rules)
        settle_s = _SETTLE * max(every, *(rule.interval_s for rule in rules))
        rest = math.ceil((span_s + settle_s) / every)
        keep_s = max(rule.keep_firing_for_s for rule in rules)
        tests = []
        for number, way in enumerate(tried):
            held = math.ceil((at_s - way.begins_s + settle_s) / every)
            late = held + math.ceil(max(self._noticed_s(rule) for rule in rules) / every)
            end = rest + late + 1
            fallen = end + math.ceil((span_s + keep_s + settle_s) / every)
            course = Course(0.0, rest * every, end * every)
            series = []
            for one in way.series:
                values = notation(one, course, every, fallen + 1, self.test.interval_s, begin=1)
                series.append({"series": one.key, "values": values})
            whens = {"rest": rest - 1, "end": rest + held, "late": rest + late, "fallen": fallen}
            queries = [_query(number, word, names, at * every, pending=word == "rest") for word, at in whens.items()]
            early = [at for at in (0, *(2**n for n in range(20))) if at < rest]
            queries += [_query(number, f"{_EARLY}{at}", loaded, at * every, pending=True) for at in early]
            tests.append({**self.test.asked, "interval": format_duration(every), "input_series": series,
                          "promql_expr_test": queries})  # fmt: skip
        code, said = self._ask("ways", tests, format_duration(every)) if tests else (0, "")
        found = answered(said)
        if code and not found:
            raise EquipmentError("promtool", f"refuses a test's input_series: {' '.join(said.split())[-300:]}")
        said_of = [found.get(n, {}) for n in range(len(tried))]
        return [
            ({r.key: self._outcome(r, mine) for r in rules}, any(word.startswith(_EARLY) for word in mine))
            for mine in said_of
        ]

    def _outcome(self, rule: Rule, found: Mapping[str, str]) -> tuple[Labels, ...] | str:
        at = {word: _of(rule, _alerts(got)) for word, got in found.items()}
        if at.get("rest"):
            return _LACKS[0]
        if not at.get("end"):
            return _LACKS[1]
        if {frozenset(one.items()) for one in at["end"]} != {frozenset(one.items()) for one in at.get("late", ())}:
            return _LACKS[2]
        return _LACKS[3] if at.get("fallen") else tuple(at["end"])

    def _scale(self, rules: Sequence[Rule], lasts_s: float) -> float | None:
        """The time scale for so much of the test and what its rules look back on; None where none is large enough."""
        asked, least = self.chooser.asked, self.chooser.least
        length_s = lasts_s + max(range_of(asked.config, rule) for rule in rules)
        return scale_for_length(length_s, asked.interval_s, asked.time_scale, asked.longest_real_s, least)

    def _noticed_s(self, rule: Rule) -> float:
        config = self.chooser.config
        routes = match_routes(config.route, alert_labels(config, rule, {}))
        return max((route.group_wait_s for route in routes), default=0.0) + _MARGIN_S

    def _ask(self, word: str, tests: Sequence[Mapping[str, Any]], evaluation: str) -> tuple[int, str]:
        folder = self.chooser.asked.folder / "tests"
        sources = with_rules(self.chooser.config, frozenset(rule.key for rule in self.loaded))
        files = []
        for key, text in sources.items():
            if key.startswith("rules:"):
                file = folder / f"{self.name}-{key.partition(':')[2]}"
                file.write_text(text, encoding="utf-8")
                files.append(str(file))
        document = {"rule_files": files, "evaluation_interval": evaluation, "tests": list(tests)}
        if self.test.order:
            document["group_eval_order"] = list(self.test.order)
        return run_tests(self.chooser.promtool, folder / f"{self.name}-{word}.yml", document)

    # -- the drill

    def _drill(
        self,
        number: int,
        rules: Sequence[Rule],
        way: Way,
        results: Mapping[str, tuple[Labels, ...]],
        at_s: float,
        hasty: bool,
    ) -> Given:
        test, lasts_s = self.test, at_s - way.begins_s
        scale = self._scale(rules, lasts_s)
        assert scale is not None
        names = {rule.alert for rule in rules}
        others = {r.alert for r in self.loaded if r.alert} - names
        loaded = [one for one in self.loaded if one.record or one in rules or one.alert in others]
        expect = [entry for rule in rules for entry in self._expected(rule, results[rule.alert])]
        series = [described(one) for one in way.series]
        text = dumped(scenario_of(f"{test.title} ({test.place})", test.interval_s, series, expect))
        made = GivenTest(
            frozenset(rule.key for rule in loaded),
            {rule.alert: max(0.0, lasts_s - rule.for_s) for rule in rules},
            scale,
            results,
            tuple(self._told(rules, results)),
            tuple(
                ExpectedQuiet(alert=one.alert, at_vs=one.at_s - way.begins_s, place=str(one.place))
                for one in test.wanted
                if not one.alerts and way.begins_s < one.at_s < at_s
            ),
            2 * self.chooser.asked.interval_s + 2 * max(rule.interval_s for rule in rules) + test.interval_s,
            hasty,
        )
        return Given(f"{self.name}-{number + 1}.yml", text, made)

    def _expected(self, rule: Rule, results: Sequence[Labels]) -> Iterator[dict[str, Any]]:
        """An entry for those that the same receivers hear of."""
        config = self.chooser.config
        by_receivers: dict[tuple[str, ...], list[Labels]] = {}
        for one in results:
            routes = match_routes(config.route, alert_labels(config, rule, one))
            by_receivers.setdefault(tuple(dict.fromkeys(r.receiver for r in routes)), []).append(one)
        for receivers, some in by_receivers.items():
            shared = {k: v for k, v in some[0].items() if all(other.get(k) == v for other in some)}
            entry: dict[str, Any] = {"alert": rule.alert, "from": STEP, "labels": shared}
            if len(some) > 1:
                entry["instances"] = len(some)
            if len(by_receivers) > 1:
                entry["notifies"] = list(receivers)
            yield entry

    def _told(self, rules: Sequence[Rule], results: Mapping[str, tuple[Labels, ...]]) -> Iterator[ExpectedTexts]:
        # External labels are the test's own, and other ones here.
        for rule in (r for r in rules if not any(_GLOBALS.search(text) for text in r.annotations.values())):
            fired = [dict(result) for result in results[rule.alert]]
            for one in self.test.wanted:
                now = one.alert == rule.alert and one.at_s == self.test.expected[one.alert]
                for labels, texts in one.alerts if now else ():
                    wanted = {key: value for key, value in labels.items() if value and key != "alertname"}
                    if wanted in fired:
                        named = {**wanted, "alertname": rule.alert}
                        yield ExpectedTexts(labels=named, annotations=dict(texts), place=str(one.place))

    def _shows_texts(self, rule: Rule, results: Sequence[Labels]) -> bool:
        """Whether a receiver of the alert hears its annotations as they are, or none are expected."""
        config = self.chooser.config
        expected = any(texts for one in self.test.wanted if one.alert == rule.alert for _, texts in one.alerts)
        heard = {name for labels in results for name in receivers_of(config, alert_labels(config, rule, labels))}
        return not expected or any(one.kind == "webhook" for n in heard for one in config.receivers[n].integrations)


_LACKS = (
    "make it fire before they begin",
    "do not make it fire when they are scraped as often as here",
    "do not keep it firing until it has been told",
    "leave it firing after their end",
)


def _query(number: int, word: str, names: Sequence[str], at_s: float, pending: bool = False) -> dict[str, Any]:
    matcher = "|".join(re.escape(name).replace("\\", "\\\\") for name in names)
    state = "" if pending else ',alertstate="firing"'
    return asking(number, word, f'ALERTS{{alertname=~"{matcher}"{state}}}', at_s)


def _alerts(got: str) -> list[Labels]:
    if not got.startswith("got:"):
        return []
    return [{k: v for k, v in one.items() if k != "alertstate"} for one in results_of(got) if one]


def _failure(match: re.Match[str]) -> str:
    expected, got = (" ".join(match[side].split())[:_MOST] for side in ("exp", "got"))
    return f"{match['alert']} at {match['time']}, expected {expected}, got {got}"


def _of(rule: Rule, alerts: Sequence[Labels]) -> list[Labels]:
    """Those alerts that are of this rule, without the alert's name."""
    static = {k: v for k, v in rule.labels.items() if "{{" not in v and v}
    return [
        {k: v for k, v in one.items() if k != "alertname"}
        for one in alerts
        if one.get("alertname") == rule.alert and all(one.get(k) == v for k, v in static.items())
    ]
