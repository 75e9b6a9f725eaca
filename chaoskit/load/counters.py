"""The generator's own books: each request is entered when it begins and struck off when it has an outcome.

Kept apart from Locust's statistics, which know a request only once it is over: with a frozen target they stay empty.
Every entry goes to the second in which it was made, so a window is exact however late it is read.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chaoskit.histogram import bucket, merge
from chaoskit.load.messages import WORST, ByName, LoadTotals, LoadWindow, add_names, percentiles
from chaoskit.printable import plain

LATE_S = 0.05
"""The generator's delay that shows in a percentile: more than a quick request takes, less than a person notices."""

_SHORTEST_S = 1e-3
_MOST_NAMES = 200
_MOST_FAILURES = 50
_MOST_REASONS = 8
_COUNTS = ("started", "finished", "failed", "dropped")
OTHER = "(other)"
"""Where requests are counted once there are 200 names: a user's locustfile may put an id in each URL. Likewise texts
of failures, places that raise, and what is odd."""


class Ticket(msgspec.Struct, eq=False, gc=False):
    """An open request. `due_s` is where its latency begins; `label`: its kind and name, as it is counted; `answered`,
    after `took_ms`, while only its report is outstanding."""

    due_s: float
    label: str = ""
    answered: bool = False
    took_ms: float = 0.0


@dataclass(slots=True)
class _Second:
    untracked: int = 0
    lag_s: float = 0.0
    moments: int = 0
    late: int = 0
    beats: int = 0
    users: int = 0
    level: float = 0.0
    """The sum of what was asked at each beat."""
    ended: dict[str, int] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)
    by_name: defaultdict[str, ByName] = field(default_factory=lambda: defaultdict(ByName))
    latencies_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """As they came; sorted into buckets when the second is over, which costs the requests themselves nothing."""


class Counters:
    """All instants are seconds of one clock that never goes back and reads like the epoch."""

    def __init__(self, start_s: float, *, is_open: bool = True, is_asked: bool = True) -> None:
        """`is_open`: what is asked for are requests a second, not users; `is_asked`: of this process, and not of
        another one."""
        self._is_open = is_open
        self._is_asked = is_asked
        self.started = self.finished = self.failed = self.dropped = self.cut = self.untracked = 0
        self.open: dict[int, Ticket] = {}
        """Requests that have begun and have no outcome, kept on its own: it checks the sums."""
        self._seconds: dict[int, _Second] = {}
        self._now, self._now_from_s, self._now_to_s = _Second(), 0.0, 0.0
        """The second that was used last: most requests find theirs here."""
        self._start_s = self._rolled_to = start_s
        self._in_flight = 0
        self._cpu_s = 0.0
        self._moments = self._late = 0
        self._worst = dict.fromkeys(WORST, 0.0)
        self._labels: dict[tuple[object, object], str] = {}
        self._failures: set[str] = set()
        self._raised: dict[str, str] = {}
        self._odd: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        """Of the whole load, as in a window."""
        self._whole_by_name: dict[str, ByName] = {}
        self._whole_raised: dict[str, int] = {}
        self._unreported: dict[str, int] = {}
        self._thrown_away: list[tuple[float, Ticket]] = []

    def begin(self, now_s: float, name: Any, due_s: float | None = None, kind: object = "") -> Ticket:
        """Counts a request that begins, of the method `kind`; with `due_s` its latency counts from then."""
        ticket = Ticket(now_s if due_s is None else min(due_s, now_s), self.label(kind, name))
        self.open[id(ticket)] = ticket
        self.started += 1
        second = self._now if self._now_from_s <= now_s < self._now_to_s else self._second(now_s)
        if due_s is not None:
            self._moment(second, now_s - ticket.due_s)
        second.by_name[ticket.label].started += 1
        return ticket

    def finish(
        self, now_s: float, ticket: Ticket, latency_ms: float | None, failure: str | None, label: str = ""
    ) -> bool:
        """Counts a request that has an outcome.

        `failure` says which when it is a bad one. A `latency_ms` of None is in no percentile. False if it had one
        already. `label`: by another name than it began with.
        """
        if self.open.pop(id(ticket), None) is None:
            return False
        second = self._now if self._now_from_s <= now_s < self._now_to_s else self._second(now_s)
        if label and label != ticket.label:
            second.by_name[ticket.label].started -= 1
            second.by_name[label].started += 1
        self._outcome(second, label or ticket.label, latency_ms, failure)
        return True

    def drop(self, now_s: float, name: str, kind: object = "") -> None:
        """A request was due and could not even be sent, because too many are unanswered."""
        name = self.label(kind, name)
        self.started += 1
        self.dropped += 1
        counts = self._second(now_s).by_name[name]
        counts.started += 1
        counts.dropped += 1

    def cut_off(self, ticket: Ticket) -> None:
        """Counts a request whose user was stopped, or whose code failed, before there was an outcome.

        It stays in flight for ever.
        """
        if self.open.pop(id(ticket), None) is not None:
            self.cut += 1

    def throw_away(self, now_s: float, ticket: Ticket) -> None:
        """Counts a request that was answered and whose response is gone unreported.

        May be called at any moment (by the garbage collector), so it only takes a note; the next roll counts it as
        finished.
        """
        self._thrown_away.append((now_s, ticket))

    def settle(self, now_s: float) -> None:
        """Counts, once the load is over, the answered requests that will not be reported any more."""
        self._thrown_away += [(now_s, one) for one in self.open.values() if one.answered]

    def unannounced(
        self, now_s: float, name: object, latency_ms: float | None, failure: str | None, kind: object = ""
    ) -> None:
        """Counts a request that became known only by its outcome, as started in the same instant."""
        label = self.label(kind, name)
        self.started += 1
        self.untracked += 1
        second = self._second(now_s)
        second.untracked += 1
        second.by_name[label].started += 1
        self._outcome(second, label, latency_ms, failure)

    def beat(self, now_s: float, due_s: float, *, users: int, level: float) -> None:
        """The generator looked at the clock, and should have done so when it was due; `users` were alive then, and
        `level` (users, or requests a second) was asked for."""
        second = self._second(now_s)
        self._moment(second, now_s - due_s)
        second.beats += 1
        second.users = users
        second.level += level

    def end_user(self, now_s: float, reason: str) -> None:
        """Counts a user that ended by itself, for this reason."""
        reason = reason if reason in self.ended or len(self.ended) < _MOST_REASONS else OTHER
        for ended in (self.ended, self._second(now_s).ended):
            ended[reason] = ended.get(reason, 0) + 1

    def label(self, kind: object, name: object) -> str:
        """The printable name under which requests of this kind and name are counted; never raises, of any type."""
        try:
            return self._labels[kind, name]
        except KeyError:
            key = (kind, name)
        except TypeError:  # nothing that can be looked up
            key = ("", plain(name))
        if len(self._labels) < _MOST_NAMES:
            label = " ".join(part for part in (plain(kind, 20).replace(" ", "-"), plain(name)) if part)
            return self._labels.setdefault(key, label)
        return OTHER

    def note_odd(self, what: str) -> None:
        """Notes something senseless that a locustfile told of a request, which is counted all the same."""
        what = what if what in self._odd or len(self._odd) < _MOST_REASONS else OTHER
        self._odd[what] = self._odd.get(what, 0) + 1

    def raise_one(self, now_s: float, where: str, reason: str) -> None:
        """Counts an exception of the locustfile's own code; of one place the first reason stands for all."""
        if where not in self._raised:
            self._raised[where] = reason if len(self._raised) < _MOST_FAILURES else OTHER
        raised = self._second(now_s).raised
        reason = self._raised[where]
        raised[reason] = raised.get(reason, 0) + 1

    def roll(
        self, now_s: float, *, level: Callable[[float], float], cpu_s: float, end: bool = False
    ) -> list[LoadWindow]:
        """The windows of all seconds that are over (at the `end`: also of the unfinished one), in order. `cpu_s` is the
        process's CPU time so far, spread over these windows; `level` gives what is asked for at an instant, for seconds
        without a beat."""
        thrown_away, self._thrown_away = self._thrown_away, []
        for at_s, ticket in thrown_away:
            if self.finish(at_s, ticket, ticket.took_ms, None):
                self._unreported[ticket.label] = self._unreported.get(ticket.label, 0) + 1
        edges = [float(s) for s in range(math.floor(self._rolled_to) + 1, math.floor(now_s) + 1)]
        if end and now_s > (edges[-1] if edges else self._rolled_to):
            edges.append(now_s)
        busy = (cpu_s - self._cpu_s) / max(edges[-1] - self._rolled_to, _SHORTEST_S) if edges else 0.0
        windows = [self._window(edge, level, busy) for edge in edges]
        if edges:
            self._cpu_s = cpu_s
        return windows

    def totals(
        self, *, locust_requests: int, locust_failures: int, cut_short: Sequence[str] = (), exit_code: int | None = None
    ) -> LoadTotals:
        """The whole load's totals, after the last roll. Says, rather than hides, where the sums or Locust disagree."""
        in_flight = len(self.open) + self.cut
        wrong = []
        if self.started != self.finished + in_flight + self.dropped:
            wrong.append(
                f"started {self.started} is not finished {self.finished} + in flight {in_flight}"
                f" + dropped {self.dropped}"
            )
        reported = self.finished - sum(self._unreported.values())
        if (reported, self.failed) != (locust_requests, locust_failures):
            wrong.append(
                f"finished and reported {reported} (failed {self.failed}), but Locust says {locust_requests}"
                f" ({locust_failures})"
            )
        latency = merge(one.latency for one in self._whole_by_name.values())
        return LoadTotals(
            span=(self._start_s, self._rolled_to), started=self.started, finished=self.finished, failed=self.failed,
            dropped=self.dropped, in_flight=in_flight, cut=self.cut, untracked=self.untracked,
            locust_requests=locust_requests, locust_failures=locust_failures, cpu_s=round(self._cpu_s, 4),
            oldest_ms=self._worst["oldest_ms"], lag_ms=self._worst["lag_ms"], busy=self._worst["busy"],
            late=_share(self._late, self._moments), reconciled=not wrong, detail="; ".join(wrong),
            by_name=self._whole_by_name, failures=merge(one.failures for one in self._whole_by_name.values()),
            latency=latency, unreported=self._unreported, raised=self._whole_raised, odd=self._odd,
            exit_code=exit_code, cut_short=list(cut_short), **percentiles(latency),
        )  # fmt: skip

    def _window(self, edge_s: float, level: Callable[[float], float], busy: float) -> LoadWindow:
        begin_s, self._rolled_to = self._rolled_to, edge_s
        one = self._seconds.pop(math.floor(begin_s), _Second())
        if one is self._now:
            self._now_to_s = self._now_from_s
        asked = one.level / one.beats if one.beats else level((begin_s + edge_s) / 2)
        due = asked * (edge_s - begin_s)
        by_name = dict(one.by_name)
        for label, latencies_ms in one.latencies_ms.items():
            by_name[label].latency = dict(Counter(map(bucket, latencies_ms)))
        counts = {name: sum(getattr(each, name) for each in by_name.values()) for name in _COUNTS}
        latency = merge(name.latency for name in by_name.values())
        self._in_flight += counts["started"] - counts["finished"] - counts["dropped"]
        add_names(self._whole_by_name, by_name)
        self._whole_raised = merge([self._whole_raised, one.raised])
        self._moments += one.moments
        self._late += one.late
        oldest_s = min((t.due_s for t in self.open.values() if not t.answered), default=edge_s)
        worst: dict[str, Any] = {
            "oldest_ms": round(max(0.0, edge_s - oldest_s) * 1000, 1),
            "lag_ms": round(one.lag_s * 1000, 3),
            "busy": round(busy, 4),
        }
        self._worst = {key: max(value, worst[key]) for key, value in self._worst.items()}
        return LoadWindow(
            second=(begin_s, edge_s), in_flight=self._in_flight, users=one.users, untracked=one.untracked,
            late=_share(one.late, one.moments), cpu_s=round(busy * (edge_s - begin_s), 4), by_name=by_name,
            failures=merge(name.failures for name in by_name.values()), latency=latency, beats=one.beats,
            ended=one.ended, raised=one.raised,
            asked_requests=round(due, 3) if self._is_asked and self._is_open else None,
            asked_users=round(asked, 3) if self._is_asked and not self._is_open else None,
            **counts, **worst, **percentiles(latency),
        )  # fmt: skip

    def _outcome(self, second: _Second, label: str, latency_ms: float | None, failure: str | None) -> None:
        self.finished += 1
        counts = second.by_name[label]
        counts.finished += 1
        if latency_ms is not None:
            second.latencies_ms[label].append(latency_ms)
        if failure is not None:
            self.failed += 1
            counts.failed += 1
            if failure not in self._failures:
                failure = failure if len(self._failures) < _MOST_FAILURES else OTHER
                self._failures.add(failure)
            counts.failures[failure] = counts.failures.get(failure, 0) + 1

    def _moment(self, second: _Second, late_s: float) -> None:
        second.moments += 1
        second.late += late_s > LATE_S
        second.lag_s = max(second.lag_s, late_s)

    def _second(self, now_s: float) -> _Second:
        if not self._now_from_s <= now_s < self._now_to_s:
            key = math.floor(now_s)
            self._now = self._seconds.get(key) or self._seconds.setdefault(key, _Second())
            self._now_from_s, self._now_to_s = float(key), key + 1.0
        return self._now


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
