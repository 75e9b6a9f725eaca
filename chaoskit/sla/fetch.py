"""One stretch of evidence from one Prometheus, at most a UTC day: its answers, made into slices of every level.

up, raw            -> states of instances -> seconds up, down, unknown; where nothing was scraped it is dark
counters, borders  -> differences; a slice in which a series came, or may have begun again, is read raw
dark slices        -> one row across them where no counter began again, else time of which nothing is known
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from chaoskit.errors import BadInput, Problem
from chaoskit.sla.counters import (
    Counter,
    Increase,
    Labels,
    began_again,
    counters,
    labels_of,
    prior,
    raw_slices,
    read_raw,
    steps,
)
from chaoskit.sla.gaps import Tally, event_rows
from chaoskit.sla.model import DAY_S, SETTLED_S, SLICE_S, Buckets, Episode, Slice
from chaoskit.sla.source import Series, Source, doubled, environment_of, selector
from chaoskit.sla.targets import Level, Targets, matches
from chaoskit.sla.uptime import combined, instances, seen, states
from chaoskit.yaml_source import nearest

HOUR_S = 3600
SHOWN_S = 6 * HOUR_S
"""How much time one histogram is about: quantiles are shown from them, and judged by slices."""
_SLICE = "[299999ms]"
"""All of a slice but its first instant, which Prometheus 2 counts and later ones do not: it is the slice's before."""
_SLACK_S = 15
"""Beyond a slice and the one before, so that no pair of samples escapes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A level that can be recorded: under which key, and how the bounds of its histogram's buckets are written."""

    level: Level
    key: str
    les: Mapping[float, str] = field(default_factory=dict)
    thresholds: tuple[float, ...] = ()
    """All that some level asks of the same histogram: they are fetched together."""

    def up(self) -> str:
        """The selector of the series that says when the level's instances were scraped."""
        return selector(self.level.up or "up", self.level.match)

    def histogram(self) -> str:
        """The selector of all buckets of the level's histogram."""
        return selector(f"{self.level.histogram}_bucket", self.level.match)

    def metrics(self) -> list[tuple[str, Callable[[Mapping[str, str]], bool | None]]]:
        """Selectors of its counters, each with what tells which of their series are good, and which are not its own."""
        level = self.level
        where = {**level.match, **level.critical}
        if level.kind == "ratio":
            return [(selector(level.good, where), lambda _: True), (selector(level.bad, where), lambda _: False)]
        if level.kind == "latency":
            bounds = sorted({*self.thresholds, level.below_s, math.inf})
            texts = "|".join(self.les[one].replace("+", "\\\\+").replace(".", "\\\\.") for one in bounds)
            own = {level.below_s: True, math.inf: False}
            metric = selector(f"{level.histogram}_bucket", where, f'le=~"{texts}"')
            return [(metric, lambda labels: own.get(float(labels["le"])))]
        return [(selector(level.total, where), lambda labels: matches(labels, level.good_where))]


def together(asked: Sequence[Asked]) -> list[Asked]:
    """The questions to Prometheus, each with the buckets that the others ask of the same histogram."""

    def histogram(one: Asked) -> tuple[object, ...]:
        return one.level.histogram, tuple(one.level.match.items())

    bounds: dict[object, list[float]] = {}
    for one in asked:
        bounds.setdefault(histogram(one), []).append(one.level.below_s)
    return [
        replace(one, thresholds=tuple(bounds[histogram(one)])) if one.level.kind == "latency" else one for one in asked
    ]


@dataclass(slots=True)
class Fetched:
    """The evidence of a stretch of time."""

    slices: list[Slice] = field(default_factory=list)
    buckets: list[Buckets] = field(default_factory=list)
    episodes: dict[str, list[Episode]] = field(default_factory=dict)
    """The episodes of alerts, by environment."""


def names_of(level: Level) -> list[str]:
    """The metrics that a level rests on."""
    found = (level.up, level.total, level.good, level.bad, f"{level.histogram}_bucket" if level.histogram else "")
    return [one for one in found if one]


def examine(source: Source, level: Level, key: str, begin: int, end: int) -> tuple[Asked, list[Problem]]:
    """Whether a level's series are there in this time, and what is wrong if not: metrics, labels, buckets."""

    def there(metric: str, label: str = "__name__") -> list[str]:
        return source.label_values(label, selector(metric, level.match), begin, end)

    problems: list[Problem] = []

    def say(said: str, todo: str) -> None:
        problems.append(Problem(level.place, f"the level '{level.name}': {said}", todo))

    for metric in names_of(level):
        if not there(metric):
            known = source.label_values("__name__", '{__name__!=""}', begin, end)
            if source.label_values("__name__", selector(metric, level.match), end, end + 2 * SETTLED_S):
                said = f"the first sample of {metric} at {source.url} is younger than {SETTLED_S / 60:.0f} minutes"
                say(said, "record again later: a slice is final that long after its end")
            elif metric in known:
                say(f"no series of {metric} has {selector('', level.match)} at {source.url}", "correct `match`")
            else:
                near = nearest(metric, known) or nearest(metric.removesuffix("_bucket"), known)
                say(f"there is no metric {metric} at {source.url}", near or "check the name")
    les: dict[float, str] = {}
    if not problems and level.kind == "latency":
        les = {float(one): one for one in there(f"{level.histogram}_bucket", "le")}
        if level.below_s not in les:
            bounds = ", ".join(f"{one:g}" for one in sorted(les) if one < math.inf)
            said = f"{level.histogram} has no bucket of {level.below_s:g} s, so it cannot count the requests below that"
            say(said, f"its buckets are {bounds}: take one of these as the level, or add that bucket to the histogram")
    for label in level.good_where if not problems else ():
        if not there(level.total, label):
            say(f"no series of {level.total} carries the label '{label}', so all events would be bad", "correct `good`")
    return Asked(level, key, les), problems


@dataclass(slots=True)
class _Metric:
    """A counter metric over a stretch: steps of each slice, and what raw slices showed."""

    counters: dict[Labels, Counter]
    raw: dict[Labels, dict[int, Increase]]


@dataclass(slots=True)
class Stretch:
    """The fetching of one stretch, whose begin lies on an hour."""

    source: Source
    targets: Targets
    begin: int
    end: int
    last_light: Callable[[str, str], int | None]
    """Up to where an environment's level was known before: the end of its last slice that was not dark."""
    known: Callable[[], Sequence[str]] = tuple
    """Environments of earlier stretches: that nothing of them is found now is evidence too."""
    _asked: Sequence[Asked] = ()
    _answers: dict[tuple[str, str], Future[list[Series]]] = field(default_factory=dict)
    """By what was asked for (raw, ends, resets, shown) and the selector."""
    _ups: dict[str, dict[str, list[Series]]] = field(default_factory=dict)
    _metrics: dict[str, _Metric] = field(default_factory=dict)

    @property
    def borders(self) -> list[int]:
        """The borders of the stretch's slices: its begin, and each slice's end."""
        return list(range(self.begin, self.end + 1, SLICE_S))

    def ask(self, asked: Sequence[Asked], pool: ThreadPoolExecutor) -> Stretch:
        """Begins to ask for the evidence of these levels; returns at once."""
        self._asked = asked

        def later(what: str, metric: str, *arguments: object) -> None:
            if (what, metric) not in self._answers:
                self._answers[what, metric] = pool.submit(*arguments)  # type: ignore[arg-type]

        shown = [at - at % SHOWN_S for at in (self.begin, self.end)]
        for one in asked:
            later("raw", one.up(), self.source.raw, one.up(), self.begin - SETTLED_S, self.end + SETTLED_S)
            for metric, _ in () if one.level.is_time else one.metrics():
                last = f"last_over_time({metric}{_SLICE})"
                later("ends", metric, self.source.range, last, self.begin, self.end, SLICE_S)
                later("resets", metric, self._resets, metric)
            if one.level.kind == "latency" and shown[0] < shown[1]:
                last = f"last_over_time({one.histogram()}{_SLICE})"
                later("shown", one.histogram(), self.source.range, last, *shown, SHOWN_S)
        return self

    def fetch(self) -> Fetched:
        """The evidence that was asked for; raises EquipmentError where there is no answer, BadInput for replicas."""
        for (what, metric), answer in self._answers.items():
            if what == "raw":
                self._ups[metric] = self._by_environment(metric, answer.result())
        for (what, metric), answer in self._answers.items():
            if what == "ends":
                found = answer.result()
                self._refuse_replicas(metric, found)
                apart = "le" if "le=~" in metric else ""
                resets = self._answers["resets", metric].result()
                self._metrics[metric] = self._read(metric, counters(found, resets, self.borders, apart), apart)
        made = Fetched()
        for one in self._asked:
            made.slices += self._time(one) if one.level.is_time else self._events(one)
            shown = self._answers.get(("shown", one.histogram()))
            if shown is not None:
                made.buckets += self._histogram(one.key, shown.result())
        return made

    def _resets(self, metric: str) -> list[Series]:
        """The slices in which, or before which, a counter may have begun again: first by the hour, which costs half."""
        first = self.begin + ((self.end - self.begin) % HOUR_S or HOUR_S)

        def suspect(begin: int, step_s: int, end: int) -> list[Series]:
            return self.source.range(f"resets({metric}[{step_s + SLICE_S + _SLACK_S}s]) > 0", begin, end, step_s)

        found = []
        for end in sorted({at // 1000 for one in suspect(first, HOUR_S, self.end) for at in one.times}):
            found += suspect(max(self.begin, end - HOUR_S) + SLICE_S, SLICE_S, end)
        return found

    def _by_environment(self, up: str, found: Iterable[Series]) -> dict[str, list[Series]]:
        found = list(found)
        self._refuse_replicas(up, found)
        made: dict[str, list[Series]] = {name: [] for name in self.known()}
        for one in found:
            made.setdefault(self._environment(one.labels), []).append(one)
        return {name: instances(series) for name, series in made.items()}

    def _environment(self, labels: Mapping[str, str]) -> str:
        return environment_of(labels, self.targets.label, self.targets.environment)

    def _refuse_replicas(self, query: str, found: Iterable[Series]) -> None:
        label = doubled(found)
        if label:
            where = f"two series of {query} at {self.source.url}"
            said = f"{where} differ only in the label '{label}': each event would count twice"
            raise BadInput(Problem(self.source.at.place, said, f"name one value of '{label}' in `match`"))

    def _read(self, metric: str, found: dict[Labels, Counter], apart: str) -> _Metric:
        """Reads the slices raw in which a series came, or may have begun again."""
        made = _Metric(found, {})
        numbers = raw_slices(found.values())
        earlier = self._earlier(metric) if any(prior(one, n) is None for one in found.values() for n in one.raw) else {}
        for number in numbers:
            end = self.begin + number * SLICE_S
            samples = {labels_of(one.labels): one for one in self.source.raw(metric, end - SLICE_S, end)}
            concerned = [one for one in found.values() if number in one.raw and labels_of(one.labels) in samples]
            priors: dict[Labels, float | None] = {}
            for one in concerned:
                key = labels_of(one.labels)
                priors[key] = prior(one, number)
                if priors[key] is None:
                    priors[key] = earlier.get(key)
                if priors[key] is None:
                    priors[key] = self._first(one, number, samples, found, earlier)
            groups: dict[Labels, list[Series]] = {}
            for one in concerned:
                rest = frozenset((name, value) for name, value in one.labels.items() if name != apart)
                groups.setdefault(rest, []).append(samples[labels_of(one.labels)])
            for group in groups.values():
                fell = began_again(group, priors) if apart else set()
                for series in group:
                    key = labels_of(series.labels)
                    made.raw.setdefault(key, {})[number] = read_raw(series, priors[key], fell)
        return made

    def _earlier(self, metric: str) -> dict[Labels, float]:
        """The last values before this stretch: of the day before it, or since it was last known."""
        begin = self.begin - self.begin % DAY_S - DAY_S
        for name in self.known():
            for one in self._asked:
                last = self.last_light(name, one.key)
                begin = min(begin, last - SLICE_S) if last is not None else begin
        found = self.source.instant(f"last_over_time({metric}[{self.begin - begin}s])", self.begin)
        return {labels_of(one.labels): one.values[-1] for one in found if one.values}

    def _first(
        self,
        counter: Counter,
        number: int,
        samples: Mapping[Labels, Series],
        found: Mapping[Labels, Counter],
        earlier: Mapping[Labels, float],
    ) -> float | None:
        """Where a series began that was never seen before: at 0 if its target was scraped without it.

        Where another one of its target, alike in all that is asked for, ended in this slice, it goes on from there: a
        label has changed. None where its target was never scraped before: then its first value is where it begins.
        """
        target = _target(counter.labels)
        came = samples[labels_of(counter.labels)].times[0]
        gone = [
            (
                len(set(other.labels.items()) & set(counter.labels.items())),
                samples[key].values[-1] if key in samples else last,
            )
            for key, other in found.items()
            if _target(other.labels) == target
            and self._alike(other.labels, counter.labels)
            and (last := prior(other, number) if key not in samples else samples[key].values[-1]) is not None
            and (other.values[number - 1] is not None or key in samples)
            and (samples[key].times[-1] < came if key in samples else other.values[number] is None)
        ]
        if gone:
            return max(gone)[1]
        if any(_target(dict(key)) == target for key in earlier):
            return 0.0
        if any(_target(other.labels) == target and prior(other, number) is not None for other in found.values()):
            return 0.0
        for by_environment in self._ups.values():
            for series in by_environment.get(self._environment_of(counter.labels), ()):
                times = zip(series.times, series.values, strict=True)
                if _target(series.labels) == target and any(at < came and value > 0 for at, value in times):
                    return 0.0
        return None

    def _alike(self, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
        """Whether two series count the same, by all labels that some level asks for."""
        asked = {name for level in self.targets.levels for name in (*level.good_where, *level.critical, *level.match)}
        return all(one.get(name) == other.get(name) for name in {*asked, "le"})

    def _environment_of(self, labels: Mapping[str, str]) -> str:
        """A series' environment: what it says, else what its target's `up` says."""
        if labels.get(self.targets.label):
            return labels[self.targets.label]
        target = _target(labels)
        for by_environment in self._ups.values():
            for name, series in by_environment.items():
                if any(_target(one.labels) == target for one in series):
                    return name
        return self.targets.environment

    def _time(self, one: Asked) -> list[Slice]:
        made = []
        for name, series in self._ups[one.up()].items():
            known = [states(each.times, each.values) for each in series]
            rows = combined(known, self.borders, one.level.instances)
            for start, (up, down, unknown) in zip(self.borders, rows, strict=False):
                coverage, end = (up + down) / SLICE_S, start + SLICE_S
                source = self.source.url if coverage else ""
                made.append(Slice(name, one.key, start, end, up, down, unknown, coverage=coverage, source=source))
        return made

    def _events(self, one: Asked) -> list[Slice]:
        count = len(self.borders) - 1
        found: dict[tuple[str, str, bool], list[tuple[list[float], Mapping[int, Increase]]]] = {}
        targets: dict[tuple[str, ...], str] = {}
        for metric, is_good in one.metrics():
            read = self._metrics[metric]
            for key, counter in read.counters.items():
                labels = counter.labels
                target = (*_target(labels), labels.get(self.targets.label, ""))
                if target not in targets:
                    targets[target] = self._environment_of(labels)
                good = is_good(labels)
                if good is None:
                    continue
                place = (targets[target], labels.get(one.level.by, ""), good)
                found.setdefault(place, []).append((steps(counter), read.raw.get(key, {})))
        tallies = {
            place: Tally.of(count, (each for each, _ in several), (raw for _, raw in several))
            for place, several in found.items()
        }
        # A histogram's bucket without an upper bound counts all, the good ones too.
        all_ = (False,) if one.level.kind == "latency" else (False, True)
        made: list[Slice] = []
        for name, series in self._ups[one.up()].items():
            light = {number - 1: at for number, at in seen(series, [self.begin - SLICE_S, *self.borders]).items()}

            def sums(part: str | None, goods: tuple[bool, ...], name: str = name) -> Tally:
                chosen = (
                    tally
                    for (environment, by, good), tally in tallies.items()
                    if environment == name and good in goods and part in (None, by)
                )
                return Tally.sum(count, chosen)

            last = self.last_light(name, one.key)
            rows = event_rows(
                name, one.key, self.begin, sums(None, (True,)), sums(None, all_),
                light=light, last_light=last, source=self.source.url,
            )  # fmt: skip
            made += rows
            coverage = {(row.ends_at - self.begin) // SLICE_S: _told(row) for row in rows}
            for part in sorted({by for environment, by, _ in tallies if environment == name} - {""}):
                made += self._hourly(name, f"{one.key}/{part}", sums(part, (True,)), sums(part, all_), coverage)
        return made

    def _hourly(self, name: str, key: str, good: Tally, total: Tally, told: Mapping[int, float]) -> list[Slice]:
        """Whole hours of a part of a level."""
        made, each = [], HOUR_S // SLICE_S
        for first in range(1, len(total.inside) - each + 2, each):
            numbers = range(first, first + each)
            start = self.begin + (first - 1) * SLICE_S
            coverage = sum(told.get(number, 0.0) for number in numbers) / each
            counts = {name_: one.rose_in(numbers) for name_, one in (("good", good), ("total", total))}
            made.append(Slice(name, key, start, start + HOUR_S, **counts, coverage=coverage, source=self.source.url))
        return made

    def _histogram(self, key: str, found: Iterable[Series]) -> list[Buckets]:
        """By how much all buckets of a level rose in each quarter of a day."""
        rose: dict[tuple[str, int], dict[str, float]] = {}
        whole: dict[tuple[str, str], list[Series]] = {}
        names: dict[tuple[str, ...], str] = {}
        for one in found:
            target = (*_target(one.labels), one.labels.get(self.targets.label, ""))
            if target not in names:
                names[target] = self._environment_of(one.labels)
            whole.setdefault((names[target], one.labels.get("le", "")), []).append(one)
        for (name, le), series in whole.items():
            for one in series:
                for (a, x), (b, y) in itertools.pairwise(zip(one.times, one.values, strict=True)):
                    if b - a == SHOWN_S * 1000:
                        counts = rose.setdefault((name, a // 1000), {})
                        counts[le] = counts.get(le, 0.0) + (y - x if y >= x else y)
        return [Buckets(name, key, start, start + SHOWN_S, counts) for (name, start), counts in sorted(rose.items())]


def _told(row: Slice) -> float:
    """The share of a row's last slice of which the events are counted."""
    return 1.0 if row.ends_at - row.starts_at > SLICE_S else row.coverage


def _target(labels: Mapping[str, str]) -> tuple[str, str]:
    """Which target a series was scraped from."""
    return labels.get("job", ""), labels.get("instance", "")
