"""How many notices came, against the bounds of the scenario: in a whole run, and at one receiver of one alert.

All-clears count as notices, what was refused does not. A sink that was not watched all the time may have missed some:
then too few is UNKNOWN, and so is "not too many"; too many is too many all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from chaoskit.events import Notice
from chaoskit.plan.model import Plan, PlannedNotice
from chaoskit.units import amount
from chaoskit.verify import processor
from chaoskit.verify.evidence import Episode, Evidence
from chaoskit.verify.hops import HopJudge, sink_of
from chaoskit.verify.verdict import Result, Row

_Bounds = tuple[int, int | None]


def judge_volumes(plan: Plan, evidence: Evidence, since: float, until: float, blind: Sequence[str]) -> list[Row]:
    """One row for each of the scenario's `notices`. `blind`: the sinks that were not watched all the time."""
    notices = counted(plan, evidence, since, until)
    counts = Counter(notice.receiver for notice in notices)
    counts["total"] = len(notices)
    busy = processor.starved(evidence.processor, ("target",), since, until, plan.time_scale)
    busy = busy or evidence.target_gone(since, until)
    unwatched = f"{', '.join(blind)} was not watched all the time" if blind else ""
    rows = []
    for name, bounds in plan.scenario.notices.items():
        result, said = _judged(counts[name], bounds, unwatched, busy)
        row = Row(about=f"notices {name}", hop="finding", result=result)
        rows.append(_saying(row, said, f"{name} got {said}"))
    return rows


def judge_notices(judged: HopJudge, planned: PlannedNotice, episode: Episode | None) -> list[Row]:
    """One row where the scenario says how many notices this door gets of an instance; none where it does not."""
    bounds = planned.ask.notices
    if bounds is None:
        return []
    result, said = Result.UNKNOWN, "not judged: it was not seen firing, so no notice counts"
    if episode is not None and episode.firing is not None:
        result, said = _of_instance(judged, planned, episode, bounds)
    place = judged.alert.expectation.place
    reason = f"{judged.about} -> {planned.to}: {said}; governed by the scenario's notices: of the receiver ({place})"
    return [_saying(Row(about=judged.about, hop="notices", to=planned.to, result=result), said, reason)]


def _of_instance(judged: HopJudge, planned: PlannedNotice, episode: Episode, bounds: _Bounds) -> tuple[Result, str]:
    evidence, sink = judged.evidence, sink_of(planned)
    later = [e.begun[0] for e in evidence.episodes if e.labels == episode.labels and e.begun > episode.begun]
    until = min(later, default=judged.end_of_watch)
    known_to = min(later, default=evidence.known_to(judged.end_of_watch))
    begin = episode.begun[0]
    mine = [
        notice
        for notice in evidence.notices
        if (notice.receiver, notice.integration, notice.index) == planned.door
        and not notice.refused
        and begin <= notice.sent[1] <= until
        and any(episode.is_in(item.labels) for item in notice.alerts)
    ]
    unwatched = evidence.blind_from(sink, begin, known_to) is not None or evidence.outage((sink,), begin, until)
    busy = judged.mutes.of(episode, begin, until) or processor.starved(
        evidence.processor, ("alertmanager", "prometheus", "target"), begin, until, judged.scale
    )
    result, said = _judged(len(mine), bounds, f"{sink} was not watched all the time" if unwatched else "", busy)
    return result, said if result is Result.PASS else f"it got {said}"


def counted(plan: Plan, evidence: Evidence, since: float, until: float) -> list[Notice]:
    """The notices of a span, save those that were refused and those that tell of nothing but others' alerts."""
    return [
        notice
        for notice in evidence.notices
        if since <= notice.sent[1] <= until
        and not notice.refused
        and not tells_only(notice, plan.foreign)
        and not tells_only(notice, plan.only_beside)
    ]


def tells_only(notice: Notice, others: Callable[[Mapping[str, str]], bool]) -> bool:
    """Whether a notice is of nothing but alerts that are others'."""
    return bool(notice.alerts) and all(others(item.labels) for item in notice.alerts)


def _judged(count: int, bounds: _Bounds, unwatched: str, busy: str) -> tuple[Result, str]:
    """How many there were against how many there may be, in words, with why that is no PASS."""
    least, most = bounds
    too_many = most is not None and count > most
    if not too_many and count >= least and not (unwatched and most is not None):
        return Result.PASS, amount(count, "notices")
    wanted = str(least) if least == most else f"{least}..{'' if most is None else most}"
    said = f"{amount(count, 'notices')}, the scenario says {wanted}"
    trouble = busy if too_many else unwatched or busy
    return (Result.UNKNOWN, f"{said}, but {trouble}") if trouble else (Result.FAIL, said)


def _saying(row: Row, said: str, reason: str) -> Row:
    if row.result is Result.PASS:
        return msgspec.structs.replace(row, rests_on=said)
    return msgspec.structs.replace(row, reason=reason)
