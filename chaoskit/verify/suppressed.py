"""Suppressed means seen to be suppressed: by its source, and without a notice that lists it as firing meanwhile.

Silence alone proves nothing: an alert without a route is silent too. So Alertmanager must have shown the
alert as suppressed with the source among its inhibitors, and the scenario names a positive control. Where the source
itself lapsed for want of a processor, nothing tells whether it would have muted. Of a silence
Alertmanager shows the id; that the alert is told once the silence has ended is its control.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from chaoskit.events import Interval, Notice
from chaoskit.hop import Hop
from chaoskit.verify.case import Instance
from chaoskit.verify.check import Check, Need, Owed, Strict, broken, but, kept, unknown
from chaoskit.verify.evidence import Episode
from chaoskit.verify.excuses import FLAP_REAL_S

_TOLD_REAL_S = 2.0
"""Real seconds from when an alert fires again to when a notice that was decided without it may still arrive."""
_CHAIN = ("prometheus", "alertmanager", "target")


def _judge(one: Instance) -> Iterator[Strict]:
    """A suppressed alert fires and is not heard of, for its source or a silence mutes it."""
    yield from _silenced(one)
    source, firing = one.alert.expectation.suppressed_by, one.episode.firing if one.episode else None
    if source is None:
        return
    if one.episode is None or firing is None:
        yield unknown(Hop.SUPPRESSED, one.about, f"{one.about}: not judged: the alert was not seen firing")
    else:
        yield _suppressed(one, source, one.episode, firing)


def _suppressed(one: Instance, source: str, episode: Episode, firing: Interval) -> Strict:
    case, about = one.case, one.about
    evidence, until = case.evidence, case.until
    ends = episode.resolved[1] if episode.resolved else until
    sources = [e for e in evidence.episodes if e.name == source and e.firing and e.firing[0] <= ends]
    source_end = max((e.resolved[0] if e.resolved else until for e in sources), default=until)
    told = [n for n in evidence.notices if not n.refused and _tells_of(n, episode, evidence.episodes)]
    later = [n for n in told if n.sent[1] >= source_end]
    if early := [n for n in told if n.sent[1] < source_end]:
        receivers = ", ".join(sorted({notice.receiver for notice in early}))
        reason = f"{about}: {receivers} heard of the alert although {source} should mute it"
        return broken(Hop.SUPPRESSED, about, reason, *_lapsed(one, source, early, reason))
    if later and one.alert.expectation.then == "silent":
        reason = f"{about}: {later[0].receiver} heard of the alert after {source} ended"
        return broken(Hop.SUPPRESSED, about, reason, *_lapsed(one, source, later, reason))
    known_to = evidence.known_to(until)
    needs = () if later else (_silent(one, firing, known_to),)

    def missing(what: str, observers: tuple[str, ...], end: float) -> Strict:
        reason = f"{about}: {what}"
        looked = Need((firing[1], end), but(reason), firing[1], "firing", observers, observers)
        return broken(Hop.SUPPRESSED, about, reason, *needs, looked, _running(firing[0], until, f"{reason}, but"))

    if not later and one.alert.expectation.then == "delivered":
        return missing(f"the alert was not delivered after {source} ended", (), until)
    mutes = (event for event in evidence.suppressions if event.state == "suppressed" and episode.is_in(event.labels))
    by = case.muting(mutes)
    if source not in by:
        if "" in by.values():
            who = ", ".join(words for words, name in by.items() if not name)
            return unknown(Hop.SUPPRESSED, about, f"{about}: not judged: {who} muted the alert, which may be {source}")
        what = f"Alertmanager never showed the alert suppressed by {source}"
        return missing(what, ("alertmanager",), min(source_end, known_to))
    return kept(Hop.SUPPRESSED, about, "shown suppressed", *needs)


def _silenced(one: Instance) -> Iterator[Strict]:
    """A silenced alert fires, Alertmanager shows the silence's id with it, and no notice comes before its end."""
    silence, episode = one.silenced, one.episode
    if silence is None:
        return
    about, evidence, until = one.about, one.case.evidence, one.case.until
    named = f"silence {', '.join(sorted(silence.ids))}"
    if episode is None or episode.firing is None:
        yield unknown(Hop.SUPPRESSED, about, f"{about}: not judged: the alert was not seen firing")
        return
    if silence.lapsed or silence.begun is None:
        why = silence.lapsed or "the silence was not seen to be active"
        yield unknown(Hop.SUPPRESSED, about, f"{about}: not judged: its silence did not hold: {why}")
        return
    firing, known_to = episode.firing, evidence.known_to(until)
    end = min(silence.ending if silence.ending is not None else known_to, known_to)
    told = [n for n in evidence.notices if not n.refused and _tells_of(n, episode, evidence.episodes)]
    if early := [n for n in told if n.sent[1] < end]:
        receivers = ", ".join(sorted({notice.receiver for notice in early}))
        yield broken(Hop.SUPPRESSED, about, f"{about}: {receivers} heard of the alert although {named} should mute it")
        return
    silent = _silent(one, firing, end)
    shown = (event for event in evidence.suppressions if event.state == "suppressed" and episode.is_in(event.labels))
    if any(silence.ids & {*event.silenced_by} for event in shown):
        yield kept(Hop.SUPPRESSED, about, f"shown suppressed by {named}", silent)
        return
    reason = f"{about}: Alertmanager never showed the alert suppressed by {named}"
    looked = Need((firing[1], end), but(reason), firing[1], "firing", ("alertmanager",), ("alertmanager",))
    yield broken(Hop.SUPPRESSED, about, reason, silent, looked, _running(firing[0], end, f"{reason}, but"))


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


def _tells_of(notice: Notice, episode: Episode, episodes: Sequence[Episode]) -> bool:
    """Whether a notice lists this life of the alert as firing, and not an earlier or a later one of the same labels."""
    assert episode.firing is not None
    if not episode.is_told(notice, "firing") or notice.sent[1] < episode.firing[0]:
        return False
    later = [e.firing[0] for e in episodes if e.firing and e.labels == episode.labels and e.firing > episode.firing]
    return all(notice.sent[1] < begun for begun in later)


def _owes(one: Instance) -> Iterator[Owed]:
    if one.alert.expectation.suppressed_by is not None or one.alert.expectation.silenced_by is not None:
        yield one.about, Hop.SUPPRESSED, ""


SUPPRESSED = Check("suppression", Instance, _judge, _owes)
