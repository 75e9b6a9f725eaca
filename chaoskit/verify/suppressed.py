"""Suppressed means seen to be suppressed: by its source, and without a notice that lists it as firing meanwhile.

Silence alone proves nothing: an alert without a route is silent too. So Alertmanager must have shown the
alert as suppressed with the source among its inhibitors, and the scenario names a positive control. Where the source
itself lapsed for want of a processor, nothing tells whether it would have muted. Of a silence
Alertmanager shows the id; that the alert is told once the silence has ended is its control.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from chaoskit.events import Interval, Notice, Suppression
from chaoskit.hop import Hop
from chaoskit.verify.anchors import Silenced
from chaoskit.verify.case import Instance
from chaoskit.verify.check import Check, Need, Owed, Strict, broken, but, kept, unknown
from chaoskit.verify.evidence import Episode
from chaoskit.verify.excuses import FLAP_REAL_S

_TOLD_REAL_S = 2.0
"""Real seconds from when an alert fires again to when a notice that was decided without it may still arrive."""
_CHAIN = ("prometheus", "alertmanager", "target")


def _judge(one: Instance) -> Iterator[Strict]:
    """A suppressed alert fires and is not heard of, for its source or a silence mutes it."""
    source, silence, episode = one.alert.expectation.suppressed_by, one.silenced, one.episode
    if source is None and silence is None:
        return
    if episode is None or episode.firing is None:
        yield unknown(Hop.SUPPRESSED, one.about, f"{one.about}: not judged: the alert was not seen firing")
    elif silence is not None:
        yield _silenced(one, silence, episode, episode.firing)
    elif source is not None:
        yield _suppressed(one, source, episode, episode.firing)


def _suppressed(one: Instance, source: str, episode: Episode, firing: Interval) -> Strict:
    case, about = one.case, one.about
    evidence, until = case.evidence, case.until
    ends = episode.resolved[1] if episode.resolved else until
    sources = [e for e in evidence.episodes if e.name == source and e.firing and e.firing[0] <= ends]
    source_end = max((e.resolved[0] if e.resolved else until for e in sources), default=until)
    told = _told(one, episode, firing)
    later = [n for n in told if n.sent[1] >= source_end]
    if early := [n for n in told if n.sent[1] < source_end]:
        reason = _heard(one, early, source)
        return broken(Hop.SUPPRESSED, about, reason, *_lapsed(one, source, early, reason))
    if later and one.alert.expectation.then == "silent":
        reason = f"{about}: {later[0].receiver} heard of the alert after {source} ended"
        return broken(Hop.SUPPRESSED, about, reason, *_lapsed(one, source, later, reason))
    known_to = evidence.known_to(until)
    needs = () if later else (_silent(one, firing, known_to),)
    if not later and one.alert.expectation.then == "delivered":
        return _missing(one, firing, f"the alert was not delivered after {source} ended", (), until, until, *needs)
    by = case.muting(_mutes(one, episode))
    if source not in by:
        if "" in by.values():
            who = ", ".join(words for words, name in by.items() if not name)
            return unknown(Hop.SUPPRESSED, about, f"{about}: not judged: {who} muted the alert, which may be {source}")
        what, end = f"Alertmanager never showed the alert suppressed by {source}", min(source_end, known_to)
        return _missing(one, firing, what, ("alertmanager",), end, until, *needs)
    return kept(Hop.SUPPRESSED, about, "shown suppressed", *needs)


def _silenced(one: Instance, silence: Silenced, episode: Episode, firing: Interval) -> Strict:
    """A silenced alert fires, Alertmanager shows the silence's id with it, and no notice comes before its end."""
    named = f"silence {', '.join(sorted(silence.ids))}"
    if silence.lapsed or silence.begun is None:
        why = silence.lapsed or "the silence was not seen to be active"
        return unknown(Hop.SUPPRESSED, one.about, f"{one.about}: not judged: its silence did not hold: {why}")
    known_to = one.case.evidence.known_to(one.case.until)
    end = min(silence.ending if silence.ending is not None else known_to, known_to)
    if early := [n for n in _told(one, episode, firing) if n.sent[1] < end]:
        return broken(Hop.SUPPRESSED, one.about, _heard(one, early, named))
    silent = _silent(one, firing, end)
    if any(silence.ids & {*event.silenced_by} for event in _mutes(one, episode)):
        return kept(Hop.SUPPRESSED, one.about, f"shown suppressed by {named}", silent)
    what = f"Alertmanager never showed the alert suppressed by {named}"
    return _missing(one, firing, what, ("alertmanager",), end, end, silent)


def _mutes(one: Instance, episode: Episode) -> list[Suppression]:
    """Alertmanager's words that this life of the alert is suppressed."""
    return [e for e in one.case.evidence.suppressions if e.state == "suppressed" and episode.is_in(e.labels)]


def _heard(one: Instance, told: Sequence[Notice], by: str) -> str:
    """That these notices came, in words, although something should have muted the alert."""
    receivers = ", ".join(sorted({notice.receiver for notice in told}))
    return f"{one.about}: {receivers} heard of the alert although {by} should mute it"


def _missing(
    one: Instance, firing: Interval, what: str, observers: tuple[str, ...], end: float, ran_to: float, *needs: Need
) -> Strict:
    """FAIL of what these observers should have seen until `end`, of a chain that ran until `ran_to`."""
    reason = f"{one.about}: {what}"
    looked = Need((firing[1], end), but(reason), firing[1], "firing", observers, observers)
    return broken(Hop.SUPPRESSED, one.about, reason, *needs, looked, _running(firing[0], ran_to, f"{reason}, but"))


def _silent(one: Instance, firing: Interval, end: float) -> Need:
    """Every sink had to look from firing to `end`."""
    sinks = one.case.evidence.witnesses
    return Need((firing[0], end), but(f"{one.about}: no notice was seen"), firing[0], "firing", sinks, sinks)


def _running(begin: float, end: float, said: str) -> Need:
    """The chain had to run, also in the scrapes just before; `said` comes before why it did not."""
    span = (begin - FLAP_REAL_S, end)
    return Need(span, lambda trouble: f"{said} {trouble}", begin, "firing", equipment=("target",), busy=_CHAIN)


def _lapsed(one: Instance, source: str, told: Sequence[Notice], reason: str) -> Iterator[Need]:
    """The need behind notices that came while the muting alert was resolved for a moment; nothing for any other.

    An alert whose samples are missing resolves, and mutes no alert until it fires again: so Prometheus had to be quick.
    """
    firing = ((e.firing, e.resolved) for e in one.case.evidence.episodes if e.name == source and e.firing)
    lives = sorted((began[0], resolved) for began, resolved in firing)
    since = [
        next(
            (
                resolved[0]
                for (_, resolved), (again, _) in itertools.pairwise(lives)
                if resolved and resolved[0] <= notice.sent[1] and again >= notice.sent[0] - _TOLD_REAL_S
            ),
            None,
        )
        for notice in told
    ]
    begun = [at for at in since if at is not None]
    if len(begun) == len(told):
        yield _running(min(begun), max(n.sent[1] for n in told), f"{reason}, but the source had ended for a while, and")


def _told(one: Instance, episode: Episode, firing: Interval) -> list[Notice]:
    """The notices that list this life of the alert as firing, and not an earlier or a later one of the same labels."""
    evidence = one.case.evidence
    later = (e.firing[0] for e in evidence.episodes if e.labels == episode.labels and e.firing and e.firing > firing)
    end = min(later, default=math.inf)
    came = (n for n in evidence.notices if not n.refused and firing[0] <= n.sent[1] < end)
    return [notice for notice in came if episode.is_told(notice, "firing")]


def _owes(one: Instance) -> list[Owed]:
    muted = one.alert.expectation.suppressed_by or one.alert.expectation.silenced_by
    return [(one.about, Hop.SUPPRESSED, "")] if muted else []


SUPPRESSED = Check("suppression", Instance, _judge, _owes)
