"""How many notices came, against the bounds of the scenario: in a whole run, and at one receiver of one alert.

A scenario that stands for a kind of day is held against what is promised of such a day.

All-clears count as notices, what was refused does not. A sink that was not watched all the time may have missed some:
then too few is UNKNOWN, and so is "not too many"; too many is too many all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from chaoskit.events import Notice
from chaoskit.hop import Hop
from chaoskit.units import amount
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.check import Check, Need, Strict, broken, but, kept, unknown
from chaoskit.verify.evidence import Episode

_CHAIN = ("alertmanager", "prometheus", "target")


def _volumes(case: Case) -> Iterator[Strict]:
    """One row for each of the scenario's `notices`."""
    notices = counted(case)
    counts = Counter(notice.receiver for notice in notices)
    counts["total"] = len(notices)
    for name, bounds in case.plan.scenario.notices.items():
        yield _judged(Hop.FINDING, f"notices {name}", counts[name], bounds, f"{name} got", "", *_whole(case))


def _day(case: Case) -> Iterator[Strict]:
    """One row where the scenario stands for a kind of day: the run's notices against those that are promised."""
    day = case.plan.scenario.volume
    if not day:
        return
    promised = case.plan.config.promise.volume.get(day)
    if promised is None:
        where = f"the scenario's volume: {day} ({case.plan.scenario.place})"
        yield unknown(Hop.FINDING, f"volume {day}", f"not judged: nothing is promised of a {day} day; asked by {where}")
        return
    kinds = by_kind(counted(case))
    apart = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
    governed, bounds = f" ({apart}); promised at {promised.place}", (promised.least, promised.most)
    yield _judged(
        Hop.FINDING, f"volume {day}", kinds.total(), bounds, "people got", governed, *_whole(case),
        says=f"{promised} is promised", apart=f": {apart}",
    )  # fmt: skip


def _whole(case: Case) -> tuple[Need, Need]:
    """That the sinks looked, and that the target ran, from the first step to the end of looking on."""
    evidence, since, until = case.evidence, case.since, case.until
    return (
        Need((since, evidence.known_to(until)), str, since, observers=evidence.witnesses),
        Need((since, until), str, since, equipment=("target",), busy=("target",)),
    )


KINDS = ("first", "repeated", "resolved")


def by_kind(notices: Iterable[Notice]) -> Counter[str]:
    """How many notices told of something new, how many told the same again, and how many told of an end alone."""
    found: Counter[str] = Counter()
    told: dict[object, set[frozenset[tuple[str, str]]]] = {}
    for notice in notices:
        here = told.setdefault(notice.sink_key, set())
        firing = {frozenset(item.labels.items()) for item in notice.alerts if item.status == "firing"}
        ended = {frozenset(item.labels.items()) for item in notice.alerts if item.status == "resolved"}
        if firing - here:
            found["first"] += 1
        else:
            found["resolved" if ended or notice.status == "resolved" else "repeated"] += 1
        here |= firing
        here -= ended
    return found


def _notices(one: Instance) -> Iterator[Strict]:
    """One row for each door at which the scenario says how many notices it gets of an instance."""
    for planned in one.alert.notices:
        if planned.ask.notices is None:
            continue
        governed = f"governed by the scenario's notices: of the receiver ({one.alert.expectation.place})"
        who = f"{one.about} -> {planned.to}"
        if one.episode is None or one.episode.firing is None:
            reason = f"{who}: not judged: the alert was not seen firing, so no notice counts; {governed}"
            yield unknown(Hop.NOTICES, one.about, reason, planned.to)
        else:
            watched, running = _needs(one, one.episode, planned.sinks)
            count = sum(
                notice.sink_key == planned.sink_key
                and not notice.refused
                and running.span[0] <= notice.sent[1] <= running.span[1]
                and one.episode.is_told(notice)
                for notice in one.case.evidence.notices
            )
            yield _judged(
                Hop.NOTICES, one.about, count, planned.ask.notices, f"{who}: it got", f"; {governed}", watched, running,
                to=planned.to,
            )  # fmt: skip


def _needs(one: Instance, episode: Episode, sinks: tuple[str, ...]) -> tuple[Need, Need]:
    """That the sink looked for as long as this life lasts, and that nothing muted or starved what leads to it."""
    evidence, begin = one.case.evidence, episode.begun[0]
    later = [e.begun[0] for e in evidence.episodes if e.labels == episode.labels and e.begun > episode.begun]
    until = min(later, default=one.case.until)
    known_to = min(later, default=evidence.known_to(until))
    return (
        Need((begin, known_to), str, begin, "pending", sinks, sinks),
        Need((begin, until), str, begin, "pending", busy=_CHAIN, instance=one),
    )


def counted(case: Case) -> list[Notice]:
    """The notices since the first step, save those that were refused, those that tell of nothing but others', and the
    all-clears of what had ended before it."""
    plan, ended = case.plan, _ended_before(case)
    return [
        notice
        for notice in case.evidence.notices
        if case.since <= notice.sent[1] <= case.until
        and not notice.refused
        and not tells_only(case, notice, plan.foreign)
        and not tells_only(case, notice, plan.only_beside)
        and not (notice.alerts and all(item.status == "resolved" and ended(item.labels) for item in notice.alerts))
    ]


def _ended_before(case: Case) -> Callable[[Mapping[str, str]], bool]:
    """Tells of labels in a notice whether all firing of that alert was over before the first step."""
    fired = [episode for episode in case.evidence.episodes if episode.firing is not None]
    over = [one for one in fired if one.resolved is not None and one.resolved[0] < case.since]
    others = [one for one in fired if one.resolved is None or one.resolved[0] >= case.since] if over else []

    def ended(labels: Mapping[str, str]) -> bool:
        return any(one.is_in(labels) for one in over) and not any(one.is_in(labels) for one in others)

    return ended


def tells_only(case: Case, notice: Notice, others: Callable[[Mapping[str, str]], bool]) -> bool:
    """Whether a notice is of nothing but alerts that are others'."""
    return bool(notice.alerts) and all(others(case.origin(item.labels)) for item in notice.alerts)


def _judged(
    hop: Hop,
    about: str,
    count: int,
    bounds: tuple[int, int | None],
    got: str,
    governed: str,
    watched: Need,
    running: Need,
    *,
    says: str = "",
    apart: str = "",
    to: str = "",
) -> Strict:
    """How many there were against how many there may be. A sink that did not watch may have missed some."""
    least, most = bounds
    wanted = str(least) if least == most else f"{least}..{'' if most is None else most}"
    said = f"{got} {amount(count, 'notices')}, {says or f'the scenario says {wanted}'}"
    watched, running = (replace(need, says=but(said, governed)) for need in (watched, running))
    too_many = most is not None and count > most
    if too_many or count < least:
        return broken(hop, about, f"{said}{governed}", *(() if too_many else (watched,)), running, to=to)
    return kept(hop, about, amount(count, "notices") + apart, *(() if most is None else (watched,)), to=to)


VOLUMES = Check(
    "volumes",
    Case,
    _volumes,
    lambda case: [(f"notices {name}", Hop.FINDING, "") for name in case.plan.scenario.notices],
)
DAY = Check(
    "the volume of a day",
    Case,
    _day,
    lambda case: [(f"volume {case.plan.scenario.volume}", Hop.FINDING, "")] if case.plan.scenario.volume else [],
)
NOTICES = Check(
    "how many notices",
    Instance,
    _notices,
    lambda one: [(one.about, Hop.NOTICES, each.to) for each in one.alert.notices if each.ask.notices is not None],
)
