"""`record`: fetches what is missing, a UTC day at a time, from every source, and keeps the evidence that saw more.

It begins on the hour before what is missing and ends with the last slice that is settled by Prometheus's own clock, so
a recorder whose clock is wrong, that was killed, or that runs twice at once leaves the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from chaoskit.errors import BadInput, EquipmentError, ExitCode, Problem, worst
from chaoskit.sla.alert_history import BEFORE_S, fetch_episodes
from chaoskit.sla.compute import evidence_key, recorded_to, remember
from chaoskit.sla.cross_check import disagreement
from chaoskit.sla.fetch import HOUR_S, Asked, Fetched, Stretch, examine, together
from chaoskit.sla.model import DAY_S, SETTLED_S, SLICE_S, Episode, Slice
from chaoskit.sla.source import Server, Source
from chaoskit.sla.store import Store
from chaoskit.sla.targets import Level, Targets
from chaoskit.units import format_duration

FURTHEST_S = 400 * DAY_S
"""How far back the first record looks for data."""
_WRONG_CLOCK_S = 60
_TOGETHER = 2
"""Requests at a time: a Prometheus has other work."""
Say = Callable[[str], None]


def record(store: Store, targets: Targets, *, say: Say, since: int | None = None, check: bool = False) -> ExitCode:
    """Records what is missing, or everything since an instant; tells what it did and what is wrong through `say`.

    The answer is 3 where a source did not answer or disagrees, 2 where something in the targets cannot be recorded;
    what can be is recorded all the same.
    """
    codes = [ExitCode.PASS]
    with ThreadPoolExecutor(_TOGETHER) as pool:
        sources, now = [], 0
        for at in targets.sources:
            source = Source(at)
            try:
                theirs, server = source.now(), source.server()
                _tell_clock(source, theirs, say)
                _tell_retention(source, server, say)
                end = int(theirs - SETTLED_S) // SLICE_S * SLICE_S
                if not server.genuine and not check and store.meta(f"agreed/{at.url}") != server.version:
                    hint = "`chaoskit sla record --check` tries whether it counts alike, and takes it if so"
                    said = f"what answers at {at.url} is not Prometheus ({server.version or 'it does not say what'})"
                    raise BadInput(Problem(at.place, said, hint))
                sources.append((source, server, end))
                now = max(now, int(theirs))
            except (BadInput, EquipmentError) as error:
                codes.append(_told(error, say))
                if isinstance(error, EquipmentError):
                    _owe(store, at.url, since)
        if sources:
            codes += _Recorder(store, targets, pool, say, now).run(sources, since, check)
    return worst(codes)


class _Recorder:
    def __init__(self, store: Store, targets: Targets, pool: ThreadPoolExecutor, say: Say, now: int) -> None:
        self.store, self.targets, self.pool, self.say, self.now = store, targets, pool, say, now

    def run(self, sources: Sequence[tuple[Source, Server, int]], since: int | None, check: bool) -> Iterable[ExitCode]:
        """Every source examined, then the days one after the other."""
        begins = self._begins(sources, since)
        ready: list[tuple[Source, int, int, list[Asked]]] = []
        for source, server, settled in sources:
            # The last hour is fetched again if nothing is missing.
            begin = min([*begins.values(), settled - settled % HOUR_S - HOUR_S])
            try:
                first = first_day(source, self.targets, begin, settled)
                if first is None and not self.store.environments():
                    match = " or ".join(dict.fromkeys(Asked(one, "").up() for one in self.targets.levels))
                    said = f"{source.url} has no sample of {match} since {_day(begin)}"
                    raise BadInput(
                        Problem(source.at.place, said, "correct `match`, or let this Prometheus scrape the service")
                    )
                if (first or settled) > begin + DAY_S or first is None:
                    self.say(f"{source.url} has nothing of {_instant(begin)} to {_instant(first or settled)}: unknown")
                first = begin if first is None else max(begin, first)
                asked = []
                for level in self.targets.levels:
                    one, problems = self._examined(source, level, first, settled)
                    if problems:
                        yield _told(BadInput(problems), self.say)
                    else:
                        asked.append(one)
                if asked and (check or not server.genuine):
                    unlike = disagreement(source, self.targets, together(asked), settled, self.pool)
                    for line in unlike:
                        self.say(line)
                    if unlike and not server.genuine:
                        hint = "record from a Prometheus; nothing of this source was recorded"
                        raise BadInput(
                            Problem(source.at.place, f"{source.url} does not count as Prometheus does", hint)
                        )
                    if unlike:
                        yield ExitCode.UNKNOWN
                    else:
                        self.say(f"{source.url} agrees with one-shot queries over the last day")
                        self.store.set_meta(f"agreed/{source.url}", server.version)
                ready.append((source, first, settled, together(asked)))
            except (BadInput, EquipmentError) as error:
                yield _told(error, self.say)
        if not ready:
            return
        remember(self.store, self.targets, self.now)
        for one in {one.key: one for *_, levels in ready for one in levels}.values():
            self.store.set_meta(f"evidence/{one.key}", one.level.evidence, keep=True)
        end = max(settled for _, _, settled, _ in ready)
        start = min(begin for _, begin, _, _ in ready)
        count, failed = 0, set[str]()
        days = range(start - start % DAY_S, end, DAY_S)
        stretches = [self._stretches(day, ready, begins) for day in days[:1]]
        for number, day in enumerate(days):
            # The next day is asked for while this one is worked out.
            stretches += [self._stretches(each, ready, begins) for each in days[number + 1 : number + 2]]
            several: list[Fetched] = []
            for stretch in stretches.pop(0):
                if stretch.source.url in failed:
                    continue
                try:
                    fetched = stretch.fetch()
                    fetched.episodes = self._episodes(stretch, fetched)
                    several.append(fetched)
                except (BadInput, EquipmentError) as error:
                    failed.add(stretch.source.url)
                    yield _told(error, self.say)
                    _owe(self.store, stretch.source.url, stretch.begin)
            for said in _disagreements(several, day):
                self.say(said)
                yield ExitCode.UNKNOWN
            count += self._keep(several)
        for source, *_ in ready:
            if source.url not in failed:
                self.store.set_meta(f"owed/{source.url}", "")
        self.say(f"recorded {_instant(start)} to {_instant(end)} UTC: {count} slices in {self.store.url}")

    def _examined(self, source: Source, level: Level, begin: int, end: int) -> tuple[Asked, list[Problem]]:
        """A level's series since `begin`; those of the month before where they are gone, which is told."""
        key = evidence_key(self.store, level)
        one, problems = examine(source, level, key, begin, end)
        if problems and begin > end - 31 * DAY_S:
            one, earlier = examine(source, level, key, end - 31 * DAY_S, end)
            if not earlier:
                self.say(f"{problems[0].message} since {_instant(begin)}: counted as no traffic")
                return one, []
        return one, problems

    def _stretches(
        self, day: int, ready: Sequence[tuple[Source, int, int, list[Asked]]], begins: Mapping[str, int]
    ) -> list[Stretch]:
        """A day of each source, asked for."""
        found = []
        for source, begin, settled, asked in ready:
            a, b = max(day, begin), min(day + DAY_S, settled)
            levels = [one for one in asked if begins[one.key] < day + DAY_S]
            if a < b and levels:
                light = partial(self.store.last_light, before=a)
                stretch = Stretch(source, self.targets, a, b, light, self.store.environments)
                found.append(stretch.ask(levels, self.pool))
        return found

    def _episodes(self, stretch: Stretch, fetched: Fetched) -> dict[str, list[Episode]]:
        begin, end = stretch.begin, stretch.end

        def before(environment: str) -> list[Episode]:
            return self.store.episodes(environment, begin - BEFORE_S, begin)

        return fetch_episodes(stretch.source, self.targets, fetched.slices, before, begin, end)

    def _keep(self, several: Sequence[Fetched]) -> int:
        slices = _better([one.slices for one in several])
        buckets = {
            (one.environment, one.level, one.starts_at): one for each in reversed(several) for one in each.buckets
        }
        lives = [one for each in several for some in each.episodes.values() for one in some]
        # Of two sources the one that saw it longer.
        longest = {
            (one.environment, one.fingerprint, one.active_at): one for one in sorted(lives, key=lambda e: e.last_at)
        }
        # One transaction, so that no environment is behind another one.
        names = {one.environment for one in slices} | {one.environment for one in longest.values()}
        self.store.write(names, slices, buckets.values(), longest.values(), recorded_at=self.now)
        return len(slices)

    def _begins(self, sources: Sequence[tuple[Source, Server, int]], since: int | None) -> dict[str, int]:
        """By level, from when on it is to be recorded: on an hour."""
        owed = [int(at) for source, *_ in sources if (at := self.store.meta(f"owed/{source.url}"))]
        environments = self.store.environments()
        found = {}
        for level in self.targets.levels:
            key = evidence_key(self.store, level)
            ends = [one[1] for name in environments if (one := self.store.recorded(name, key)) is not None]
            begin = self.targets.in_service_since or max(0, self.now - FURTHEST_S)
            # An environment that is gone is not waited for.
            begin = max([*ends, begin]) if ends else begin
            begin = since if since is not None else min([begin, *owed])
            found[key] = begin - begin % HOUR_S
        return found


def first_day(source: Source, targets: Targets, begin: int, end: int) -> int | None:
    """The begin of the first UTC day since `begin` of which the source has a sample, or `begin`; None for none."""
    day = begin - begin % DAY_S
    found = []
    for up in dict.fromkeys(Asked(one, "").up() for one in targets.levels):
        last = end + (-end) % DAY_S
        series = source.range(f"count_over_time({up}[1d])", day + DAY_S, last, DAY_S)
        found += [one.times[0] // 1000 - DAY_S for one in series if one.times]
    return max(begin, min(found)) if found else None


def _better(several: Sequence[Sequence[Slice]]) -> list[Slice]:
    """Of each slice the evidence that saw most; of those that saw as much, the source's that is named first.

    A row across a gap stands only where no source saw anything within it.
    """
    if len(several) < 2:
        return list(several[0]) if several else []
    best: dict[tuple[str, str, int], Slice] = {}
    for slices in several:
        for one in slices:
            key = (one.environment, one.level, one.starts_at)
            if key not in best or one.coverage > best[key].coverage:
                best[key] = one
    return list(best.values())


def _disagreements(several: Sequence[Fetched], day: int) -> list[str]:
    """Where two sources that both saw all of the same slices tell different things of them."""
    if len(several) < 2:
        return []
    found = []
    first, *others = [{(s.environment, s.level, s.starts_at): s for s in one.slices} for one in several]
    for other in others:
        sums: dict[tuple[str, str], list[float]] = {}
        names = {}
        for key in first.keys() & other.keys():
            a, b = first[key], other[key]
            if min(a.coverage, b.coverage) == 1 and a.ends_at == b.ends_at and "/" not in a.level:
                names[key[:2]] = (a.source, b.source)
                one = sums.setdefault(key[:2], [0.0, 0.0, 0.0, 0.0])
                for place, value in enumerate((a.down_s, b.down_s, a.total, b.total)):
                    one[place] += value or 0.0
        for (environment, level), (down, theirs, total, their_total) in sorted(sums.items()):
            unlike = abs(down - theirs) > 60 or abs(total - their_total) > max(10, 0.001 * total)
            if unlike:
                said = f"{down:g} and {theirs:g} s down" if down or theirs else f"{total:g} and {their_total:g} events"
                one_url, other_url = names[environment, level]
                found.append(
                    f"{one_url} and {other_url} disagree on {level} of {environment} on {_day(day)}: {said}; the first "
                    "is kept. See that both scrape the same targets, and that `match` names no others"
                )
    return found


def _tell_clock(source: Source, theirs: float, say: Say) -> None:
    wrong = time.time() - theirs
    if abs(wrong) > _WRONG_CLOCK_S:
        ahead = "ahead of" if wrong > 0 else "behind"
        say(
            f"this machine's clock is {format_duration(round(abs(wrong)))} {ahead} {source.url}'s, which is what counts"
        )


def _tell_retention(source: Source, server: Server, say: Say) -> None:
    if server.retention_s is not None and server.retention_s < 2 * DAY_S:
        say(
            f"{source.url} keeps samples for {format_duration(server.retention_s)} only: record more often than that, "
            "or raise --storage.tsdb.retention.time"
        )


def _told(error: BadInput | EquipmentError, say: Say) -> ExitCode:
    for line in error.problems if isinstance(error, BadInput) else [error]:
        say(str(line))
    return error.exit_code


def _owe(store: Store, url: str, begin: int | None) -> None:
    """Notes from when on a source has to be asked again."""
    before = store.meta(f"owed/{url}")
    at = begin if begin is not None else recorded_to(store)
    if at is not None:
        store.set_meta(f"owed/{url}", str(min(at, int(before)) if before else at))


def _instant(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
