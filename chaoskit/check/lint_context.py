"""Everything that lints ask about, read once: the configuration, its indexes, the scenarios and what else is known.

The one idea: facts that several lints need, or that would be quadratic if each lint computed them, are computed here
at their first use.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import zip_longest
from typing import TypeVar

from chaoskit.alerting.alert import Alert, Answer, alert_of
from chaoskit.alerting.inhibition import conditions
from chaoskit.alerting.labels import through_records
from chaoskit.alerting.model import AlertConfig, InhibitRule, PromisedAlert, PromisedNotice, Route
from chaoskit.alerting.prometheus_shown import Shown
from chaoskit.alerting.routing import down
from chaoskit.check.coverage import KINDS, Key, Part, parts, proven
from chaoskit.check.findings import Violation
from chaoskit.check.metrics import Metrics
from chaoskit.check.mutes import Mutes, Pool
from chaoskit.check.reach import Reached, Tree
from chaoskit.check.service_levels import Level, Watch, watches
from chaoskit.errors import Place
from chaoskit.scenario.model import Expectation, Profile, Scenario
from chaoskit.yaml_source import nearest

P = TypeVar("P", PromisedNotice, PromisedAlert)
_MOST_COMPARISONS = 50_000
"""Finding the nearest of n names costs n comparisons of some ten microseconds each."""


@dataclass
class LintContext:
    """The input of all lints. `runbooks` names the runbook files beside the configuration; None without a folder."""

    config: AlertConfig
    scenarios: Sequence[Scenario] = ()
    profiles: Sequence[Profile] = ()
    metrics: Metrics | None = None
    runbooks: frozenset[str] | None = None
    elsewhere: Mapping[str, Sequence[Violation]] = field(default_factory=dict)
    """By lint: findings of promtool and amtool (no entry if they were not asked), and of the plan about faults."""
    levels: Sequence[Level] | None = None
    """The targets of service levels, where there are any."""
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """From when on time intervals are looked at."""
    proved: Mapping[str, str] = field(default_factory=dict)
    """By alert, the proof of both sides of its threshold."""
    _lines: dict[str, list[str]] = field(default_factory=dict)
    _comparisons: int = _MOST_COMPARISONS

    def has(self, part: str) -> bool:
        """Whether this part was shown: prometheus, rules, alertmanager, promise, scenarios, metrics, targets, ..."""
        match part:
            case "scenarios" | "profiles":
                return bool(getattr(self, part))
            case "metrics" | "runbooks":
                return getattr(self, part) is not None
            case "targets":
                return self.levels is not None
            case "promtool" | "amtool" | "not-understood" | "levels" | "approved-texts":
                return part in self.elsewhere
        return self.config.shows(part)

    @cached_property
    def alerts(self) -> tuple[Alert, ...]:
        """The configuration's alerting rules, in the order of the files."""
        config = self.config
        made = through_records(config.recorded)
        rules = (rule for rule in config.rules if rule.alert)
        return tuple(alert_of(rule, config.external_labels, config.relabels, made) for rule in rules)

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Alert, ...]]:
        """The alerting rules by alert name."""
        found: dict[str, list[Alert]] = {}
        for alert in self.alerts:
            found.setdefault(alert.name, []).append(alert)
        return {name: tuple(alerts) for name, alerts in found.items()}

    def of_name(self, promised: Iterable[P]) -> Iterator[tuple[P, Alert]]:
        """Each part of the promise that is about an alert, with each rule of its name."""
        return ((each, alert) for each in promised for alert in self.by_name.get(each.alert, ()))

    @cached_property
    def shown(self) -> Shown:
        """The Prometheus configuration as it is written."""
        return Shown(self.config)

    @cached_property
    def mutes(self) -> Mutes:
        """The pairs of alerts of which one may mute the other."""
        return Mutes(self.alerts, self.config.inhibit_rules)

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.config.route)

    def reached(self, alert: Alert) -> tuple[Reached, ...]:
        """The routes that the alert may go out on."""
        return self.tree.reached(alert)

    @cached_property
    def inhibitions(self) -> tuple[Sides, ...]:
        """Each inhibition rule with the alerts that can stand on either side."""
        pool = Pool(self.alerts)
        return tuple(
            Sides(rule, tuple(pool.matching(rule.source)), tuple(pool.matching(rule.target)))
            for rule in self.config.inhibit_rules
        )

    def near(self, name: str, known: Collection[str]) -> str:
        """A hint with the known name most like this one; "" once looking for one has cost too much."""
        self._comparisons -= len(known)
        return nearest(name, known) if self._comparisons >= 0 else ""

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """The alerts about service levels."""
        return watches(self.config, self.levels or ())

    def rules_meant_by(self, expectation: Expectation) -> tuple[Alert, ...]:
        """The rules that an expectation can be about: those of its name whose labels agree."""
        named = self.by_name.get(expectation.alert, ())
        return tuple(one for one in named if one.fits(one.name, expectation.labels))

    @cached_property
    def exercised(self) -> Mapping[str, Set[Key]]:
        """The parts of the configuration that the scenarios' expectations exercise; `allow` counts for nothing.

        `alerts` by name, `inhibitions` by number; `routes` by path and `receivers` by name, where such an alert is
        expected to be delivered over them (see chaoskit.check.coverage).
        """
        found: dict[str, set[Key]] = {kind: set() for kind in KINDS}
        hears = {one.name for one in self.config.receivers.values() if one.integrations}
        promised: dict[str, set[str]] = {}
        for name, receiver in self.config.promise.notices:
            promised.setdefault(name, set()).add(receiver)
        for each in (each for scenario in self.scenarios for each in scenario.expect):
            heard = promised.get(each.alert, set())
            if each.notifies is not None:
                heard = {name for name, notify in each.notifies.items() if notify.mode != "never"}
            for alert in self.by_name.get(each.alert, ()):
                mine = proven(self.config, self.tree, each, alert, heard & hears, {})
                found = {kind: found[kind] | mine[kind] for kind in KINDS}
        return found

    @cached_property
    def parts(self) -> Mapping[str, Mapping[Key, Part]]:
        """All that scenarios can prove, by kind; an alert that stands in every profile is not among it."""
        standing = [set(profile.standing) for profile in self.profiles]
        return parts(self.config, self.tree, self.alerts, set.intersection(*standing) if standing else ())

    def at(self, place: Place, key: str) -> Place:
        """Where `key` of the mapping that begins at this place is written; the place itself where it is not."""
        return self._written(place, key) or place

    def at_route(self, route: Route, key: str) -> Place:
        """Where a route's setting is written: at the route, or at the one above that it is inherited from."""
        above = [self.config.route, *down(self.config.route, route)]
        found = (self._written(each.place, key) for each in reversed(above))
        return next((place for place in found if place is not None), route.place)

    def _written(self, place: Place, key: str) -> Place | None:
        lines = self._text(place.file)
        if not 0 < place.line <= len(lines):
            return None
        first = lines[place.line - 1]
        dash = re.match(r"(\s*-\s+)", first)
        indent = len(dash[1]) if dash else len(first) - len(first.lstrip())
        written = re.compile(rf"[\"']?{re.escape(key)}[\"']?\s*:")
        for number in range(place.line, len(lines) + 1):
            line = lines[number - 1]
            begun = number > place.line and line.strip() and not line.lstrip().startswith("#")
            if begun and len(line) - len(line.lstrip()) < indent:
                break
            if written.match(line, indent) and (number == place.line or not line[:indent].strip()):
                return Place(place.file, number)
        return None

    def _text(self, file: str) -> list[str]:
        if file not in self._lines:
            named = ((key.partition(":")[2], text) for key, text in self.config.sources.items())
            # Of each document of a file only its own lines are not blank.
            parts = [t.split("\n") for name, t in named if name == file or name.startswith(f"{file} (document ")]
            self._lines[file] = [next(filter(str.strip, some), "") for some in zip_longest(*parts, fillvalue="")]
        return self._lines[file]


@dataclass(frozen=True)
class Sides:
    """An inhibition rule and the alerts that may match each side."""

    rule: InhibitRule
    sources: tuple[tuple[Alert, Answer], ...]
    targets: tuple[tuple[Alert, Answer], ...]

    def may_mute(self, source: Alert, target: Alert) -> bool:
        """Whether the source can mute the target, for some values of what the series decide."""
        return conditions(self.rule, source, target) is not None
