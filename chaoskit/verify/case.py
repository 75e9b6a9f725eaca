"""The case to be judged: one run with its plan and evidence, and every instance of an alert that the plan expects."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from chaoskit.alerting.windows import delivery_of
from chaoskit.events import Interval, LogLine, Notice, Pressure, Rehearsal, Steady, Suppression
from chaoskit.history import History
from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice
from chaoskit.verify.anchors import Anchors, Silenced, assign, own_silences
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.live_groups import GroupHistory

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_FIELDS = re.compile(rf"(\w+)=(?:{_QUOTED}|(\S+))")
_DOOR = re.compile(r"^(?P<receiver>.*)/(?P<integration>\w+)\[(?P<index>\d+)\]: .*?(?P<what>template: .*)", re.DOTALL)
_ALERT = re.compile(r"template: __alert_(?P<alert>.*?):\d+:\d+: (?P<what>.*)", re.DOTALL)
_MOST_SAID = 200


class Templates:
    """Errors of templates: by alert in its annotations or labels, by receiver and integration in the notification."""

    def __init__(self, lines: Iterable[LogLine]) -> None:
        """Reads them from the log lines of Prometheus and Alertmanager; other lines are ignored."""
        self.alerts: dict[str, str] = {}
        self.doors: dict[tuple[str, str], str] = {}
        for one in lines:
            said = {key: _plain(quoted) or bare for key, quoted, bare in _FIELDS.findall(one.line)}.get("err", "")
            # The alert is named in the error; what stands beside it is not always it.
            if one.source == "prometheus" and (match := _ALERT.search(said)):
                self.alerts[match["alert"]] = match["what"][:_MOST_SAID]
            elif one.source == "alertmanager" and (match := _DOOR.match(said)):
                self.doors[match["receiver"], match["integration"]] = match["what"][:_MOST_SAID]


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": " ", "t": " "}.get(match[1], match[1]), text)


class Case:
    """One run to be judged: its history put in order, by its plan; total and pure."""

    def __init__(self, history: History, plan: Plan) -> None:
        self.plan, self.history = plan, history
        self.evidence = evidence = Evidence(history, plan)
        self.since = evidence.phases.get("steps", history.events[0].t)
        """The first step, in real seconds like `until`."""
        self.until = evidence.until
        self.owners = assign(plan, evidence)
        """By id(episode), the expectation that it fulfils."""
        self.groups = _group_history(plan, evidence, history)
        self.mutes = mutes_of(plan, evidence)
        steady = next(history.of(Steady), None)
        self.began = steady is not None and steady.reached
        """Whether the steady state was reached, so that faults were injected."""
        self.templates = Templates(history.of(LogLine))
        self.readings = sorted(reading for one in history.of(Pressure) for reading in one.readings)
        """Instants, each with the time until then in which any program waited for a core; empty where none was read."""
        self.instances = [one for alert in plan.alerts for one in _instances(self, alert)]

    @property
    def rehearsal(self) -> Rehearsal | None:
        """The expectations of a rehearsal; None for a run that has a target."""
        return self.history.header.rehearsal

    @property
    def loaded(self) -> bool:
        """Whether the run was to have load."""
        return self.plan.profile.load.given and self.rehearsal is None

    def untemplated(self, door: tuple[str, str]) -> str:
        """Why a template of this receiver and integration fails, where one that we could not read may explain it."""
        return self.plan.config.lost_templates if door in self.templates.doors else ""

    def lives_of(self, alert: PlannedAlert) -> list[Episode]:
        """The episodes that fulfil an expectation."""
        return [episode for episode in self.evidence.episodes if self.owners.get(id(episode)) is alert]

    @property
    def scale(self) -> float:
        """Virtual seconds in a real one."""
        return self.plan.time_scale

    def origin(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The labels in Prometheus of an alert that is told with these; the same where relabelling changes nothing."""
        return self.evidence.origin(labels) if self.plan.config.relabels else labels

    def muting(self, events: Iterable[Suppression]) -> dict[str, str]:
        """The alerts that Alertmanager named as muting another, by words for a message; of those that it never showed,
        which have nothing but a fingerprint, the name is empty."""
        found = [self.origin(by) for event in events for by in event.inhibited_by]
        unshown = "an alert without a name (fingerprint {})"
        names = [(by.get("alertname", ""), by.get("fingerprint", "?")) for by in found]
        return {name or unshown.format(fingerprint): name for name, fingerprint in names}


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of an alert that an expectation asks for; `about` names it in rows."""

    case: Case
    alert: PlannedAlert
    episode: Episode | None
    """The life of this instance; None for one that never showed."""
    about: str
    anchors: Anchors

    @property
    def begun(self) -> Interval | None:
        """When the alert first showed; None where that, like the two that follow, was not seen."""
        return self.episode.begun if self.episode else None

    @property
    def firing(self) -> Interval | None:
        return self.episode.firing if self.episode else None

    @property
    def resolved(self) -> Interval | None:
        return self.episode.resolved if self.episode and self.episode.firing else None

    @property
    def silenced(self) -> Silenced | None:
        """The silence that is to mute it; None where none is."""
        step = self.alert.expectation.silenced_by
        return Silenced(self.case.plan, self.case.evidence, step) if step is not None else None

    @property
    def unsilenced(self) -> Interval | None:
        """When no silence muted the alert any more, at the earliest when it fired; None where that was not seen."""
        gone, firing = self.silenced.gone if self.silenced else None, self.firing
        return (max(gone[0], firing[0]), max(gone[1], firing[1])) if gone and firing else None

    @property
    def strays(self) -> list[Episode]:
        """Episodes of this very instance that no expectation has to do with."""
        alert, owners = self.alert, self.case.owners
        found = [e for e in self.case.evidence.episodes if id(e) not in owners and alert.matches(e.labels)]
        return [e for e in found if not alert.names or f"{alert.rule.alert} {e.labels.get(alert.label)}" == self.about]

    def heard(self, notice: PlannedNotice, status: str, by: str = "") -> Notice | None:
        """The first notice at this door that lists the instance with the status, within its episode.

        `by` asks a witness that is nearer to Alertmanager than the one that is judged.
        """
        episode = self.episode
        if episode is None:
            return None
        seen = [n for n in self.case.evidence.controls if n.by == by] if by else self.case.evidence.notices
        since = episode.begun[0] if status == "firing" or episode.resolved is None else episode.resolved[0]
        came = (one for one in seen if one.sink_key == notice.sink_key and not one.refused)
        return next((one for one in came if one.sent[1] >= since and episode.is_told(one, status)), None)


def _instances(case: Case, alert: PlannedAlert) -> list[Instance]:
    mine = case.lives_of(alert)
    lives: list[tuple[Episode | None, str]]
    if alert.names:
        by_name = {episode.labels.get(alert.label): episode for episode in mine}
        lives = [(by_name.get(name), f"{alert.rule.alert} {name}") for name in alert.names]
    else:
        static = {**alert.rule.labels, **alert.expectation.labels}
        lives = [(episode, describe(episode.labels, static)) for episode in mine]
        lives += [(None, alert.rule.alert)] * (alert.count - len(mine))
    return [
        Instance(case, alert, episode, about, Anchors(case.plan, case.evidence, alert, episode))
        for episode, about in lives
    ]


def _group_history(plan: Plan, evidence: Evidence, history: History) -> GroupHistory:
    """The other alerts in the groups of a run's alerts, with those that fired before the first look."""
    owed = {(alert.rule.alert, alert.expectation.suppressed_by) for alert in plan.alerts}
    mutes = [
        event
        for event in evidence.suppressions
        if event.state == "suppressed"
        and any((event.labels.get("alertname"), by.get("alertname")) in owed for by in event.inhibited_by)
    ]
    delivery_vs = delivery_of(plan.config, plan.time_scale)
    return GroupHistory(plan.config, evidence.episodes, plan.time_scale, delivery_vs, history.header.lingering, mutes)


def describe(labels: Mapping[str, str], rule_labels: Mapping[str, str] = {}) -> str:
    """An instance for people: its alert's name and the labels that tell it from others of its rule."""
    own = [f"{value}" for key, value in sorted(labels.items()) if key not in _COMMON and key not in rule_labels]
    return " ".join([labels.get("alertname", "?"), *own])


_COMMON = frozenset({"alertname", "severity", "component", "team", "job", "instance"})


class Mute(NamedTuple):
    """An alert was silenced or inhibited from outside the run, at some time in [begin, end]; `words` say by what."""

    labels: Mapping[str, str]
    begin: float
    end: float
    words: str


def mutes_of(plan: Plan, evidence: Evidence) -> list[Mute]:
    """The mutes from outside the run, as Alertmanager's API shows them; empty where the target is our own."""
    found: list[Mute] = []
    open_: dict[tuple[tuple[str, str], ...], tuple[float, str]] = {}
    for event in sorted(evidence.suppressions if plan.attached else (), key=lambda one: one.seen[1]):
        key = tuple(sorted(event.labels.items()))
        before = open_.pop(key, None)
        words = _words(plan, evidence, event)
        if before is not None:
            found.append(Mute(event.labels, before[0], event.seen[1], before[1]))
        if words:
            open_[key] = (event.seen[0], words)
    return [*found, *(Mute(dict(key), begin, math.inf, words) for key, (begin, words) in open_.items())]


def _words(plan: Plan, evidence: Evidence, event: Suppression) -> str:
    if event.state != "suppressed":
        return ""
    others = [one for one in event.silenced_by if one not in own_silences(evidence)]
    said = [f"silence {one} muted it ({event.silences.get(one, 'no comment')})" for one in others]
    said += [
        f"{by.get('alertname', by.get('fingerprint', '?'))} inhibited it, an alert that is not of this run"
        for by in event.inhibited_by
        for labels in (evidence.origin(by) if plan.config.relabels else by,)
        if not any(alert.matches(labels) for alert in plan.alerts)
    ]
    return " and ".join(said)
