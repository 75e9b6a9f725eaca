"""Two configurations compared: every alert, every receiver, and both promises.

The one idea: a promise is broken by a change where the new configuration departs from it and the old one did not;
what was broken before is `check`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from chaoskit.alerting.config import placed
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.prometheus_shown import Shown
from chaoskit.check.findings import Finding
from chaoskit.check.lint_context import LintContext
from chaoskit.diff.alerts import Alerts
from chaoskit.diff.expressions import meaning
from chaoskit.diff.model import KINDS, Broken, Change, Difference, Doubt
from chaoskit.diff.prometheus import prometheus_changes, prometheus_doubts, silenced
from chaoskit.diff.written import Written, receiver_changes
from chaoskit.errors import Place
from chaoskit.explain.alert import departures, without_places
from chaoskit.explain.recipients import Recipients
from chaoskit.explain.subject import Subject


def pairs(old: Sequence[Subject], new: Sequence[Subject]) -> Iterator[tuple[Subject | None, Subject | None]]:
    """Every alert of either configuration, in the old one's order first; None on the side that lacks it."""
    found: dict[int, Subject] = {}
    left, right = list(old), list(new)
    identities: tuple[Callable[[Rule], Hashable], ...] = (
        lambda rule: (rule.alert, frozenset(rule.labels.items()), meaning(rule.expr)),
        lambda rule: (rule.alert, frozenset(rule.labels.items())),
        lambda rule: (rule.alert, meaning(rule.expr)),
        lambda rule: rule.alert,
    )
    for identity in identities:
        left, right = _match(left, right, identity, found)
    # A rename is told only where it is beyond doubt: one alert of that meaning went, one came.
    went, came = (_by(side, lambda rule: (meaning(rule.expr), rule.for_s)) for side in (left, right))
    for key in went.keys() & came.keys():
        if len(went[key]) == len(came[key]) == 1:
            found[id(went[key][0])] = came[key][0]
    taken = {id(each) for each in found.values()}
    for each in old:
        yield each, found.get(id(each))
    for each in new:
        if id(each) not in taken:
            yield None, each


def _match(
    left: list[Subject], right: list[Subject], identity: Callable[[Rule], Hashable], found: dict[int, Subject]
) -> tuple[list[Subject], list[Subject]]:
    by, rest = _by(reversed(right), identity), []
    for each in left:
        same = by.get(identity(each.rule))
        if same:
            found[id(each)] = same.pop()
        else:
            rest.append(each)
    over = {id(each) for some in by.values() for each in some}
    return rest, [each for each in right if id(each) in over]


def _by(subjects: Iterable[Subject], identity: Callable[[Rule], Hashable]) -> dict[Hashable, list[Subject]]:
    by: dict[Hashable, list[Subject]] = {}
    for each in subjects:
        by.setdefault(identity(each.rule), []).append(each)
    return by


_ORDER = {kind: number for number, kind in enumerate(KINDS)}


def diff(old: AlertConfig, new: AlertConfig, *, rules_given: bool = False) -> Difference:
    """The differences that receivers notice when the new configuration replaces the old one.

    `rules_given` says that the rules are others than those that the Prometheus configurations name.
    """
    before, after = Recipients(old), Recipients(new)
    shown = Shown(old), Shown(new)
    alerts = Alerts(before, after, (Written(old), Written(new)))
    changes = tuple(_changes(before, after, alerts, shown))
    broken, mended = _promises(before.context, after.context)
    doubts = dict.fromkeys((*prometheus_doubts(*shown, rules_given=rules_given), *alerts.doubts, *_unread(old, new)))
    unread = any(each.broken for each in (*old.not_understood, *new.not_understood))
    return Difference(changes, (*silenced(*shown), *broken), mended, tuple(doubts), unread)


def _unread(old: AlertConfig, new: AlertConfig) -> Iterator[Doubt]:
    """A doubt for each part that is not understood on either side; none where both sides' texts are equal."""
    texts = [
        sorted(text for key, text in each.told_apart.items() if not key.startswith("promise:")) for each in (old, new)
    ]
    for puzzle in (*old.not_understood, *new.not_understood) if texts[0] != texts[1] else ():
        yield Doubt(puzzle.told, puzzle.problem.place or Place(""))


def _changes(before: Recipients, after: Recipients, alerts: Alerts, shown: tuple[Shown, Shown]) -> Iterator[Change]:
    old, new = before.config, after.config
    found: list[Change] = [*prometheus_changes(*shown)]
    wrong = [each for each in (*old.not_understood, *new.not_understood) if each.broken]
    lost = {name for each in wrong for name in each.of or (_file(each.problem.place),)}
    for was, is_ in pairs(before.subjects, after.subjects):
        alone = None if was and is_ else was or is_
        if alone and not lost.isdisjoint((alone.rule.alert, _file(alone.rule.place))):
            continue  # on the other side it may be what cannot be read
        if was and is_:
            found += alerts.changed(was, is_)
        elif alone:
            found.append(alerts.alone(alone, new=is_ is not None))
    found += receiver_changes(old, new, alerts.written, alerts.heard)
    yield from sorted(dict.fromkeys(found), key=lambda each: _ORDER[each.kind])


def _file(place: Place | None) -> str:
    return PurePath(place.file).name if place else ""


def _promises(old: LintContext, new: LintContext) -> tuple[tuple[Broken, ...], tuple[str, ...]]:
    """The promises of either side that the change breaks, and those that it mends."""
    files = frozenset(key.partition(":")[2] for context in (old, new) for key in context.config.sources)
    meant = [placed(each.config.promise, lambda _: Place("")) for each in (old, new)]
    same = meant[0] == meant[1]
    before, after = _said(departures(old), files), _said(departures(new), files)
    # What the old configuration breaks under the same promise as well is not this change's doing.
    under = before if same else _said(departures(_promised(old, new)), files)
    broken = {text: Broken(e.message, e.place, "new") for text, e in after.items() if e.broken and text not in under}
    if not same:
        for text, each in _said(departures(_promised(new, old)), files).items():
            if each.broken and text not in before and text not in broken:
                broken[text] = Broken(each.message, each.place, "old")
    mended = dict.fromkeys(each.message for text, each in under.items() if each.broken and text not in after)
    return tuple(broken.values()), tuple(mended)


def _promised(context: LintContext, other: LintContext) -> LintContext:
    """The configuration with the other one's promise."""
    sources = {key: text for key, text in context.config.sources.items() if not key.startswith("promise:")}
    sources |= {key: text for key, text in other.config.sources.items() if key.startswith("promise:")}
    return LintContext(replace(context.config, promise=other.config.promise, sources=sources))


def _said(found: tuple[Finding, ...], files: frozenset[str]) -> dict[str, Finding]:
    return {f"{each.id} {without_places(each.message, files)}": each for each in found}
