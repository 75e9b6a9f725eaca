"""One alert in two configurations: what differs for those who hear of it.

The one idea: only what reaches people is compared (receivers, windows, mutes, words), never how the files say it;
so whatever is equal here may be written as anybody likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from chaoskit.alerting.windows import Window
from chaoskit.diff.expressions import Recorded, meaning
from chaoskit.diff.model import NEVER, Change
from chaoskit.diff.reasons import called, why_lost
from chaoskit.diff.written import Written
from chaoskit.explain.people import Heard, People, Span, Told
from chaoskit.explain.subject import Subject
from chaoskit.explain.words import span
from chaoskit.units import format_duration


class Alerts:
    """Two configurations, prepared for comparing their alerts."""

    def __init__(self, old: People, new: People, written: tuple[Written, Written]) -> None:
        self._old, self._new = old, new
        self._written = written
        self.heard: set[str] = set()
        """Receivers that hear of any alert compared so far, in either configuration."""
        self._recorded = Recorded(old.config.rules), Recorded(new.config.rules)

    def added(self, subject: Subject) -> Change:
        told = self._told(self._new, subject)
        return Change("added", subject.rule.alert, "", "", "", _who(told), "", subject.rule.place)

    def removed(self, subject: Subject) -> Change:
        told = self._told(self._old, subject)
        return Change("removed", subject.rule.alert, "", "", _who(told), "", "", subject.rule.place)

    def changed(self, before: Subject, after: Subject) -> Iterator[Change]:
        """Everything that people notice about an alert that both configurations have."""
        old, new = self._told(self._old, before), self._told(self._new, after)
        name = after.rule.alert
        if before.rule.alert != name:
            yield Change("renamed", name, "", "name", before.rule.alert, name, "", after.rule.place)
        yield from self._condition(before, after)
        yield from _said(before, after)
        yield from self._receivers(old, new)
        yield from self._mutes(before, after)

    def _told(self, people: People, subject: Subject) -> Told:
        told = people.told(subject)
        self.heard.update(each.receiver for each in told.heard)
        return told

    def _condition(self, before: Subject, after: Subject) -> Iterator[Change]:
        old, new = before.rule, after.rule
        if meaning(old.expr) != meaning(new.expr):
            yield Change("condition", new.alert, "", "fires on", _flat(old.expr), _flat(new.expr), "", new.place)
        below = self._recorded[0].below(old.expr), self._recorded[1].below(new.expr)
        for name in sorted(below[0].keys() & below[1].keys()):
            if below[0][name] != below[1][name]:
                texts = self._written_as(name)
                place = self._recorded[1].rules(name)[0].place
                yield Change("condition", new.alert, "", f"{name}, which it reads, is", *texts, "", place)
        if meaning(old.expr) == meaning(new.expr):
            for name in sorted(below[0].keys() ^ below[1].keys()):
                side = 0 if name in below[0] else 1
                texts = self._written_as(name)
                place = self._recorded[side].rules(name)[0].place
                yield Change("condition", new.alert, "", f"{name}, which it reads, is", *texts, "", place)
        for key in ("for", "keep_firing_for"):
            was, is_ = getattr(old, f"{key}_s"), getattr(new, f"{key}_s")
            if was != is_:
                yield Change("condition", new.alert, "", key, format_duration(was), format_duration(is_), "", new.place)

    def _written_as(self, name: str) -> tuple[str, str]:
        """The expressions that record this name, in both configurations."""
        was, is_ = (" or ".join(_flat(rule.expr) for rule in side.rules(name)) for side in self._recorded)
        return was or "not recorded", is_ or "not recorded"

    def _receivers(self, old: Told, new: Told) -> Iterator[Change]:
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
                quiet = _quiet(self._written[0], was[receiver]), _quiet(self._written[1], is_[receiver])
                if quiet[0] != quiet[1]:
                    yield Change("quiet", name, receiver, "", *quiet, "", is_[receiver][0].route.place)

    def _mutes(self, before: Subject, after: Subject) -> Iterator[Change]:
        was = dict(self._old.mutes.names(before.alert))
        is_ = dict(self._new.mutes.names(after.alert))
        if was == is_:
            return
        places = {m.source.name: m.rule.place for m in self._old.mutes.of(before.alert)}
        places |= {m.source.name: m.rule.place for m in self._new.mutes.of(after.alert)}
        for source in sorted(was.keys() | is_.keys()):
            if was.get(source) != is_.get(source):
                said = _muted(source, was), _muted(source, is_)
                yield Change("mute", after.rule.alert, "", f"muted by {source}", *said, "", places[source])


def _differently(
    name: str, receiver: str, was: tuple[Heard, ...], is_: tuple[Heard, ...], old: Told, new: Told
) -> Iterator[Change]:
    place = is_[0].route.place
    if (texts := _pair(was, is_, _phone)) is not None:
        yield Change("time", name, receiver, "from fault to phone", *texts, _settings(was, is_, old, new), place)
    elif (texts := _pair(was, is_, lambda each: span(each.phone_live_s))) is not None:
        why = _settings(was, is_, old, new)
        yield Change("time", name, receiver, "where its group has told before", *texts, why, place)
    if (texts := _pair(was, is_, _ended)) is not None:
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


def _by_receiver(told: Told) -> Mapping[str, tuple[Heard, ...]]:
    found: dict[str, list[Heard]] = {}
    for heard in told.heard:
        found.setdefault(heard.receiver, []).append(heard)
    return {receiver: tuple(some) for receiver, some in found.items()}


def _pair(was: tuple[Heard, ...], is_: tuple[Heard, ...], said: Callable[[Heard], str]) -> tuple[str, str] | None:
    texts = _all(was, said), _all(is_, said)
    return None if texts[0] == texts[1] else texts


def _all(heard: tuple[Heard, ...], said: Callable[[Heard], str]) -> str:
    return " and ".join(dict.fromkeys(sorted(said(each) for each in heard)))


def _phone(heard: Heard) -> str:
    return span(heard.phone_s) + ("" if heard.certain else " (if its labels say so)")


def _ended(heard: Heard) -> str:
    return span(heard.all_clear_s) if heard.all_clear_s else NEVER


def _grouped(heard: Heard) -> str:
    return "set of labels" if heard.group_labels is None else ", ".join(heard.group_labels) or "receiver"


def _quiet(written: Written, heard: tuple[Heard, ...]) -> str:
    return " and ".join(sorted({written.quiet(each.route) or "always told" for each in heard}))


def _muted(source: str, by: Mapping[str, bool]) -> str:
    if source not in by:
        return "no"
    return "yes" if by[source] else "if their labels say so"


def _who(told: Told) -> str:
    return "; ".join(f"{name} {_all(heard, _phone)}" for name, heard in _by_receiver(told).items()) or "nobody"


def _settings(was: tuple[Heard, ...], is_: tuple[Heard, ...], old: Told, new: Told) -> str:
    """The hops whose settings differ, with both."""
    hops: list[tuple[Window | None, Window | None]] = [
        (old.windows.detect, new.windows.detect),
        (old.windows.hold, new.windows.hold),
        (was[0].notify, is_[0].notify),
    ]
    said = [_hop(a, b) for a, b in hops if _differ(a, b)]
    intervals = [heard[0].route.group_interval_s for heard in (was, is_)]
    if intervals[0] != intervals[1]:
        said.append(" becomes ".join(f"group_interval {format_duration(each)}" for each in intervals))
    return "; ".join(said)


def _differ(a: Window | None, b: Window | None) -> bool:
    return (a.setting if a else "", _bounds(a)) != (b.setting if b else "", _bounds(b))


def _bounds(window: Window | None) -> Span:
    return (window.lo_vs, window.hi_vs) if window else (0.0, 0.0)


def _hop(a: Window | None, b: Window | None) -> str:
    return f"{a.setting if a else 'no for'} becomes {b.setting if b else 'no for'}"


def _flat(text: str) -> str:
    return " ".join(text.split())
