"""One alert in two configurations: what differs for its receivers.

The one idea: only what reaches people is compared (receivers, windows, mutes, words), never how the files say it:
two spellings of the same are no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from chaoskit.alerting.alert import Alert, Answer, answer, answer_all
from chaoskit.alerting.model import AlertConfig, Matcher, Route, Rule
from chaoskit.alerting.windows import Window
from chaoskit.diff.expressions import below, meaning, mentioned
from chaoskit.diff.model import NEVER, Change, Doubt
from chaoskit.diff.written import Written
from chaoskit.errors import Place
from chaoskit.explain.recipients import Delivery, Reach, Recipients, quiet, span
from chaoskit.explain.subject import Subject
from chaoskit.units import format_duration


def called(route: Route) -> str:
    """A route as people count: `the root route`, `route 2`, `route 2.1`."""
    return f"route {'.'.join(str(index + 1) for index in route.path)}" if route.path else "the root route"


def why_lost(old: Route, config: AlertConfig, alert: Alert) -> str:
    """The reason, with its file and line, why the new configuration no longer leads the alert over this old route."""
    if alert.sent is Answer.NO:
        return f"alert_relabel_configs drop the alert ({config.relabels[0].place})"
    if old.receiver not in config.receivers:
        return f"the receiver {old.receiver} is gone"
    there = sorted(_likest(old, config.route), key=lambda way: (way[-1].path != old.path, way[-1].path))
    if not there:
        return f"no route leads to {old.receiver} any more"
    reasons = [reason for way in there if (reason := _stopped(way, alert))]
    return reasons[0] if reasons else f"{called(there[0][-1])} passes it on to a child route ({there[0][-1].place})"


@dataclass(frozen=True, slots=True)
class Ways:
    """The routes that an alert may take: a node, its matchers that open labels leave undecided, the nodes below."""

    route: tuple[object, ...]
    open: tuple[Matcher, ...]
    below: tuple[Ways, ...]

    @property
    def certain(self) -> bool:
        """Whether everything on all ways is decided."""
        return not self.open and all(each.certain for each in self.below)


def possible(route: Route, alert: Alert, *, waits: bool) -> Ways:
    """The part of the tree that the alert can meet, by what decides who hears and, with `waits`, when."""
    below = []
    for child in route.children:
        found = answer_all(child.matchers, alert)
        if found is not Answer.NO:
            below.append(possible(child, alert, waits=waits))
        if found is Answer.YES and not child.continues:
            break
    times = (route.group_wait_s, route.group_interval_s, route.repeat_interval_s, route.muted_in, route.active_in)
    group = None if route.group_by is None else frozenset(route.group_by)
    open_ = tuple(sorted({m for m in route.matchers if answer(m, alert) is Answer.MAYBE}, key=repr))
    continues = route.continues and bool(open_ or route.path)
    return Ways((route.receiver, continues, *((group, *times) if waits else ())), open_, tuple(below))


def _likest(old: Route, root: Route) -> list[tuple[Route, ...]]:
    """The ways to the routes of the same receiver: those with the same matchers, if there are any, else all."""
    ways = [way for way in _ways(root, ()) if way[-1].receiver == old.receiver]
    same = [way for way in ways if set(way[-1].matchers) == set(old.matchers)]
    return same or ways


def _ways(node: Route, above: tuple[Route, ...]) -> Iterator[tuple[Route, ...]]:
    way = (*above, node)
    yield way
    for child in node.children:
        yield from _ways(child, way)


def _stopped(way: tuple[Route, ...], alert: Alert) -> str:
    for parent, node in pairwise(way):
        failed = next((each for each in node.matchers if answer(each, alert) is Answer.NO), None)
        if failed is not None:
            has = alert.value(failed.label)
            carries = f"{failed.label} is '{has}'" if has else f"it carries no {failed.label}"
            return f"{called(node)} wants {failed}, and {carries} ({node.place})"
        for sibling in parent.children[: node.path[-1]]:
            if not sibling.continues and answer_all(sibling.matchers, alert) is Answer.YES:
                return f"{called(node)} is now shadowed by {called(sibling)} ({sibling.place})"
    taken = next((c for c in way[-1].children if answer_all(c.matchers, alert) is Answer.YES), None)
    return f"{called(taken)} below {called(way[-1])} takes it now ({taken.place})" if taken else ""


_DURATIONS = {
    "for_s": "for",
    "keep_firing_for_s": "keep_firing_for",
    "interval_s": "evaluated every",
    "query_offset_s": "evaluated in the past by",
}
_ASKS = re.compile(r"\{\{(?:(?!\}\}).)*\bquery\b", re.DOTALL)


class Alerts:
    """Two configurations, prepared for comparing their alerts."""

    def __init__(self, old: Recipients, new: Recipients, written: tuple[Written, Written]) -> None:
        self._old, self._new = old, new
        self.written = written
        self.doubts: list[Doubt] = []
        """Differences found so far of which the texts do not tell whether a receiver notices them."""
        self.heard: set[str] = set()
        """Receivers that hear of any alert compared so far, in either configuration."""

    def alone(self, subject: Subject, *, new: bool) -> Change:
        """An alert that only the new configuration, or only the old one has."""
        who = _who(self._reach(self._new if new else self._old, subject))
        kind, *texts = ("added", "", who) if new else ("removed", who, "")
        return Change(kind, subject.rule.alert, "", "", texts[0], texts[1], "", subject.rule.place)

    def changed(self, before: Subject, after: Subject) -> Iterator[Change]:
        """Everything that people notice about an alert that both configurations have."""
        old, new = self._reach(self._old, before), self._reach(self._new, after)
        name = after.rule.alert
        if before.rule.alert != name:
            yield Change("renamed", name, "", "name", before.rule.alert, name, "", after.rule.place)
        yield from self._condition(before, after)
        yield from _said(before, after)
        yield from self._asked(before, after)
        found = [*self._receivers(old, new)]
        yield from found
        if not all(each.certain for each in (*old.heard, *new.heard)):
            self._undecided(before, after, waits=not found)
        yield from self._mutes(before, after)

    def _reach(self, recipients: Recipients, subject: Subject) -> Reach:
        reach = recipients.reach(subject)
        self.heard.update(each.receiver for each in reach.heard)
        return reach

    def _condition(self, before: Subject, after: Subject) -> Iterator[Change]:
        old, new = before.rule, after.rule
        if meaning(old.expr) != meaning(new.expr):
            yield Change("condition", new.alert, "", "fires on", _flat(old.expr), _flat(new.expr), "", new.place)
        read = below(self._old.config, old.expr), below(self._new.config, new.expr)
        same = meaning(old.expr) == meaning(new.expr)
        yield from self._records("condition", new.alert, "which it reads", *read, both=not same)
        for key, what in _DURATIONS.items():
            was, is_ = getattr(old, key), getattr(new, key)
            if was != is_:
                texts = format_duration(was), format_duration(is_)
                yield Change("condition", new.alert, "", what, *texts, "", new.place)
        limits = self.written[0].limit(old), self.written[1].limit(new)
        if limits[0] != limits[1]:
            yield Change("condition", new.alert, "", "most alerts of its group (limit)", *limits, "", new.place)

    def _asked(self, before: Subject, after: Subject) -> Iterator[Change]:
        """The queries of its labels' and annotations' templates."""
        texts = [_asking(each.rule) for each in (before, after)]
        if texts[0] != texts[1] or not texts[0]:
            return  # no template asks, or the texts themselves are told
        read = mentioned(self._old.config, texts[0]), mentioned(self._new.config, texts[0])
        yield from self._records("text", after.rule.alert, "which the notice's text asks for", *read)

    def _records(
        self, kind: str, alert: str, how: str, old: Mapping[str, object], new: Mapping[str, object], both: bool = False
    ) -> Iterator[Change]:
        """Recorded names behind which the two sides have other rules; with `both`, of the names that both know."""
        sides = self._old.config.recorded, self._new.config.recorded
        for name in sorted(old.keys() & new.keys() if both else old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                was, is_ = (" or ".join(_flat(rule.expr) for rule in side.get(name, ())) for side in sides)
                place = sides[name in new][name][0].place
                what = f"{name}, {how}, is"
                yield Change(kind, alert, "", what, was or "not recorded", is_ or "not recorded", "", place)

    def _undecided(self, before: Subject, after: Subject, *, waits: bool) -> None:
        """Add a doubt if routes depend on labels that only the series know, and differ.

        `waits` says whether how long they wait counts too.
        """
        ways = [
            possible(side.config.route, subject.alert, waits=waits)
            for side, subject in ((self._old, before), (self._new, after))
        ]
        sent = before.alert.sent, after.alert.sent
        if (ways[0] != ways[1] or sent[0] != sent[1]) and not (
            ways[0].certain and ways[1].certain and Answer.MAYBE not in sent
        ):
            rule = after.rule
            what = f"whether {rule.alert} reaches the same receivers: routes differ, and labels of its series decide"
            self.doubts.append(Doubt(what, self._new.config.route.place))

    def _receivers(self, old: Reach, new: Reach) -> Iterator[Change]:
        was, is_ = _by_receiver(old), _by_receiver(new)
        name = new.subject.rule.alert
        for receiver in dict.fromkeys((*was, *is_)):
            if receiver not in is_:
                route = was[receiver][0].route
                why = why_lost(route, self._new.config, new.subject.alert)
                yield Change("lost", name, receiver, "", _all(was[receiver], _phone), NEVER, why, route.place)
            elif receiver not in was:
                heard = is_[receiver][0]
                why = f"by {called(heard.route)}, {heard.route.place}"
                yield Change("gained", name, receiver, "", NEVER, _all(is_[receiver], _phone), why, heard.route.place)
            else:
                yield from _differently(name, receiver, was[receiver], is_[receiver], old, new)
                silent = _quiet(was[receiver]), _quiet(is_[receiver])
                if silent[0] != silent[1]:
                    yield Change("quiet", name, receiver, "", *silent, "", is_[receiver][0].route.place)

    def _mutes(self, before: Subject, after: Subject) -> Iterator[Change]:
        was = dict(self._old.mutes.names(before.alert))
        is_ = dict(self._new.mutes.names(after.alert))
        if was == is_:
            if not all(was.values()) and not self._same_inhibitions:
                yield from self._conditions(before, after)
            return
        places = {m.source.name: m.rule.place for m in self._old.mutes.of(before.alert)}
        places |= {m.source.name: m.rule.place for m in self._new.mutes.of(after.alert)}
        for source in sorted(was.keys() | is_.keys()):
            if was.get(source) != is_.get(source):
                said = _muted(source, was), _muted(source, is_)
                yield Change("mute", after.rule.alert, "", f"muted by {source}", *said, "", places[source])

    @cached_property
    def _same_inhibitions(self) -> bool:
        sides = self._old.config.inhibit_rules, self._new.config.inhibit_rules
        old, new = ([(rule.source, rule.target, rule.equal) for rule in rules] for rules in sides)
        return old == new

    def _conditions(self, before: Subject, after: Subject) -> Iterator[Change]:
        """Changes of the conditions under which other alerts mute this one."""
        asked: list[dict[str, set[str]]] = [{}, {}]
        places: dict[str, Place] = {}
        for said, side, subject in zip(asked, (self._old, self._new), (before, after), strict=True):
            for mute in side.mutes.of(subject.alert):
                said.setdefault(mute.source.name, set()).add(" and ".join(mute.conditions) or "it fires")
                places[mute.source.name] = mute.rule.place
        for source in sorted(asked[0]):
            was, is_ = (" or ".join(sorted(said[source])) for said in asked)
            if was != is_ and "it fires" not in asked[0][source]:
                what = f"muted by {source} where"
                yield Change("mute", after.rule.alert, "", what, was, is_, "", places[source])


def _differently(
    name: str, receiver: str, was: tuple[Delivery, ...], is_: tuple[Delivery, ...], old: Reach, new: Reach
) -> Iterator[Change]:
    place = is_[0].route.place
    if (texts := _pair(was, is_, _phone)) is not None:
        yield Change("time", name, receiver, "from fault to phone", *texts, _settings(was, is_, old, new), place)
    elif (texts := _pair(was, is_, lambda each: span(each.phone_live_s))) is not None:
        why = _settings(was, is_, old, new)
        yield Change("time", name, receiver, "where its group has told before", *texts, why, place)
    if (texts := _pair(was, is_, lambda each: span(each.all_clear_s) if each.all_clear_s else NEVER)) is not None:
        yield Change("all-clear", name, receiver, "from undo to all-clear", *texts, "", place)
    if (texts := _pair(was, is_, lambda each: format_duration(each.repeat_s))) is not None:
        yield Change("repeat", name, receiver, "said again every", *texts, "", place)
    if (texts := _pair(was, is_, _grouped)) is not None:
        yield Change("grouping", name, receiver, "one notice for each", *texts, "", place)


def _said(before: Subject, after: Subject) -> Iterator[Change]:
    old, new = before.rule, after.rule
    for label in sorted(old.labels.keys() | new.labels.keys()):
        was, is_ = old.labels.get(label, ""), new.labels.get(label, "")
        if was != is_:
            kind = "severity" if label == "severity" else "labels"
            yield Change(kind, new.alert, "", label, was or "none", is_ or "none", "", new.place)
    for key in sorted(old.annotations.keys() | new.annotations.keys()):
        was, is_ = _flat(old.annotations.get(key, "")), _flat(new.annotations.get(key, ""))
        if was != is_:
            yield Change("text", new.alert, "", key, was or "none", is_ or "none", "", new.place)


def _by_receiver(reach: Reach) -> Mapping[str, tuple[Delivery, ...]]:
    found: dict[str, list[Delivery]] = {}
    for heard in reach.heard:
        found.setdefault(heard.receiver, []).append(heard)
    return {receiver: tuple(some) for receiver, some in found.items()}


def _pair(
    was: tuple[Delivery, ...], is_: tuple[Delivery, ...], said: Callable[[Delivery], str]
) -> tuple[str, str] | None:
    texts = _all(was, said), _all(is_, said)
    return None if texts[0] == texts[1] else texts


def _all(heard: tuple[Delivery, ...], said: Callable[[Delivery], str]) -> str:
    return said(heard[0]) if len(heard) == 1 else " and ".join(dict.fromkeys(sorted(map(said, heard))))


def _phone(heard: Delivery) -> str:
    return span(heard.phone_s) + ("" if heard.certain else " (if its labels say so)")


def _grouped(heard: Delivery) -> str:
    return "set of labels" if heard.group_labels is None else ", ".join(heard.group_labels) or "receiver"


def _quiet(heard: tuple[Delivery, ...]) -> str:
    return " and ".join(sorted({quiet(each.route) or "always told" for each in heard}))


def _muted(source: str, by: Mapping[str, bool]) -> str:
    if source not in by:
        return "no"
    return "yes" if by[source] else "if their labels say so"


def _who(reach: Reach) -> str:
    return "; ".join(f"{name} {_all(heard, _phone)}" for name, heard in _by_receiver(reach).items()) or "no receiver"


def _settings(was: tuple[Delivery, ...], is_: tuple[Delivery, ...], old: Reach, new: Reach) -> str:
    """The hops whose settings differ, with both."""
    hops: list[tuple[Window | None, Window | None]] = [
        (old.detect, new.detect),
        (old.hold, new.hold),
        (was[0].notify, is_[0].notify),
    ]
    both = [[(w.setting, w.lo_vs, w.hi_vs) if w else ("no for", 0.0, 0.0) for w in hop] for hop in hops]
    said = [f"{a[0]} becomes {b[0]}" for a, b in both if a != b]
    intervals = [heard[0].route.group_interval_s for heard in (was, is_)]
    if intervals[0] != intervals[1]:
        said.append(" becomes ".join(f"group_interval {format_duration(each)}" for each in intervals))
    return "; ".join(said)


def _asking(rule: Rule) -> tuple[str, ...]:
    """The templates of its labels and annotations that query Prometheus."""
    return tuple(text for _, text in sorted({**rule.annotations, **rule.labels}.items()) if _ASKS.search(text))


def _flat(text: str) -> str:
    return " ".join(text.split())
