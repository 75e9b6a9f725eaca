"""Was there load, do its books balance, and do its latencies speak of the service or of the generator itself?

The load generator is equipment of ours, a witness like Prometheus or a sink. Its troubles are never the fault of the
tested system, so nothing here fails: it is UNKNOWN, with the reason. The alerts are judged all the same.

The sums are made again here from the windows; the generator's own totals are only compared with them:

    started = finished + in flight + dropped         in every window since the load began, and in the totals

And what was there is compared with what was asked for, second by second: users alive with users, requests due (the
dropped ones with them) with the level. A second in which the generator gave no sign of life counts as none.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chaoskit.events import Equipment, Interval, LoadTotals, LoadWindow
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.units import amount
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Strict, kept, unknown
from chaoskit.verify.evidence import Evidence

GAP_S = 3.0
"""Real seconds without a word from the load generator after which it is unknown whether there was load."""

BUSY = 0.9
"""The share of one core from which on a process of the generator has no time left to look at the clock."""

OWN_SHARE = 0.05
"""Where more of the requests than this are the generator's own doing, the 95th percentile may be: a smaller part
cannot have moved it."""

_LEAST_WINDOWS = 2
_LEAST_WINDOW_S = 0.5
"""The first and the last window may be slivers, in which a few milliseconds of CPU are a whole core."""

ABSENT = 0.1
"""How much of the fault may have had less than half of its load."""
_LEAST_ABSENT = 2
_WHOLE_S = 0.99
_FEW = 4.0
"""Requests that must have been due before their absence says anything."""

_FROM_FIRST = "the time from the first step on"
_NAMED = 5
"""How many names a sentence holds."""


def _judge(case: Case) -> Iterator[Strict]:
    """One row that passes, or one for each thing that is wrong with the load; none where there is none."""
    if not case.loaded:
        return
    windows, totals = list(case.history.of(LoadWindow)), list(case.history.of(LoadTotals))
    reasons = _wrong(case.history, case.evidence, windows, totals)
    raised = raised_in(windows)
    if reasons and raised:
        reasons[0] += f"; {_raising(raised)}"
    for reason in reasons:
        yield unknown(Hop.LOAD, "load", reason if "load.log" in reason else f"{reason}; see load.log")
    if not reasons:
        more = f", {amount(sum(raised.values()), 'exceptions')} in the locustfile" if raised else ""
        yield kept(Hop.LOAD, "load", amount(totals[0].finished, "requests") + more)


LOAD = Check("load", Case, _judge, lambda case: [("load", Hop.LOAD, "")] if case.loaded else [])


def _wrong(
    history: History, evidence: Evidence, windows: Sequence[LoadWindow], totals: Sequence[LoadTotals]
) -> list[str]:
    """Everything that is wrong with the load; a death stands for the rest."""
    down = next((e for e in history.of(Equipment) if e.name == "load" and e.state == "down"), None)
    if down is not None:
        return [f"the load generator died during the run ({down.detail}); after that there was no traffic"]
    if not totals:
        return ["the load generator sent no totals at its end"]
    zero = history.events[0].t
    span = (evidence.phases.get("steps", zero), evidence.phases.get("stopping", history.last_t))
    force = evidence.in_force(span)
    absent = _absent(windows, force, "the time in force", zero) if force else ""
    absent = absent or _absent(windows, span, _FROM_FIRST, zero)
    reasons = [*_books(windows, totals), *totals[0].astray, *_silence(windows, span), *filter(None, [absent])]
    reasons += (_stood(windows, force, "the time in force") if force else []) or _stood(windows, span, _FROM_FIRST)
    return [*reasons, *_own_doing(windows, span)]


def load_notes(history: History) -> list[str]:
    """The notes of a verdict on the load: its requests, latency and processor time; none where there was no load."""
    totals = next(history.of(LoadTotals), None)
    raised = raised_in(history.of(LoadWindow))
    notes = [f"load: {_raising(raised)}; see load.log"] if raised else []
    if totals is None:
        return notes
    p95 = "unknown" if totals.p95_ms is None else f"{totals.p95_ms:.1f} ms"
    notes += [
        f"load: {totals.started} requests started, {totals.finished} finished, {totals.failed} failed, "
        f"{totals.in_flight} in flight at the end, {totals.dropped} dropped; P95 {p95} (real)"
    ]
    if totals.unreported:
        names = ", ".join(f"{name} {count}" for name, count in _most(totals.unreported))
        notes.append(
            f"load: {sum(totals.unreported.values())} requests were answered and never reported to Locust, which does "
            f"not count them (catch_response=True without `with`): {names}"
        )
    notes += [f"load: {text}; load: {{drain: …}} lets the end take longer" for text in totals.cut_short]
    if totals.odd:
        odd = ", ".join(f"{what} ({count} times)" for what, count in _most(totals.odd))
        notes.append(f"load: odd events `request` of the locustfile, counted all the same: {odd}")
    if totals.busy is not None and totals.span is not None:
        lasted_s = totals.span[1] - totals.span[0]
        notes.append(
            f"load generator: {totals.cpu_s:.1f} s of CPU in {lasted_s:.1f} s, {totals.busy:.0%} of a core in its "
            f"busiest second; at most {totals.lag_ms:.0f} ms late, {totals.late:.1%} of the time more than 50 ms; "
            f"longest wait for an answer at a second's end {totals.oldest_ms:.0f} ms (real)"
        )
    return notes


def raised_in(windows: Iterable[LoadWindow]) -> dict[str, int]:
    """Exceptions of the locustfile's own code, the first reason first."""
    found: Counter[str] = Counter()
    for window in windows:
        if window.raised:
            found.update(window.raised)
    return found


def _raising(raised: Mapping[str, int]) -> str:
    shown = ", ".join(f"{reason}: {count} times" for reason, count in _most(raised))
    more = f" and in {len(raised) - _NAMED} more places" if len(raised) > _NAMED else ""
    return f"the locustfile's own code raised {amount(sum(raised.values()), 'exceptions')}: {shown}{more}"


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent, most frequent first."""
    return sorted(counts.items(), key=lambda one: -one[1])[:_NAMED]


def _books(windows: Sequence[LoadWindow], totals: Sequence[LoadTotals]) -> list[str]:
    """Every sum that does not come out; the first of its kind."""
    total = totals[0]
    found = [f"the generator's counts do not add up: {one.detail}" for one in totals if not one.reconciled][:1]
    started = finished = failed = dropped = 0
    for window in windows:
        started, finished = started + window.started, finished + window.finished
        failed, dropped = failed + window.failed, dropped + window.dropped
        if started - finished - dropped != window.in_flight:
            found.append(
                f"the load's windows do not add up at {window.second[1]:.0f}: {started} started, {finished} finished "
                f"and {dropped} dropped until then leave {started - finished - dropped} in flight, and "
                f"{window.in_flight} were counted"
            )
            break
    sums = {"started": started, "finished": finished, "failed": failed, "dropped": dropped}
    if total.started != total.finished + total.in_flight + total.dropped:
        found.append(
            f"the load's totals do not add up: {total.started} started, {total.finished} finished + "
            f"{total.in_flight} in flight + {total.dropped} dropped"
        )
    different = [
        f"{count} {name}, in total {getattr(total, name)}"
        for name, count in sums.items()
        if count != getattr(total, name)
    ]
    if different:
        found.append(f"the load's windows and its totals disagree: in the windows {'; '.join(different)}")
    reported = total.finished - sum(total.unreported.values())
    if (reported, total.failed) != (total.locust_requests, total.locust_failures):
        found.append(
            f"the generator counted {reported} finished and {total.failed} failed, Locust's own statistics say "
            f"{total.locust_requests} and {total.locust_failures}"
        )
    return found


def _silence(windows: Sequence[LoadWindow], span: Interval) -> list[str]:
    reached, end = span
    for window in windows:
        if window.second[0] - reached > GAP_S:
            break
        reached = max(reached, window.second[1])
    return [f"no word from the load generator for more than {GAP_S:g} real seconds"] if end - reached > GAP_S else []


def _absent(windows: Sequence[LoadWindow], span: Interval, what: str, zero: float) -> str:
    """Whether less than half of what was asked for was there, for too much of a span; in words, else empty.

    `zero` is the instant from which the reason counts.
    """
    whole = [w for w in windows if w.second[1] - w.second[0] >= _WHOLE_S and w.beats is not None]
    short = [w for block in _blocks(whole) for w in block if w.second[1] > span[0] and w.second[0] < span[1]]
    if len(short) < _LEAST_ABSENT or len(short) <= ABSENT * (span[1] - span[0]):
        return ""
    first = short[0]
    from_s = first.second[0] - zero
    if first.asked_users is not None:
        found = f"{first.users} of {first.asked_users:g} users were alive"
    else:
        found = f"{first.started} of {first.asked_requests or 0:g} requests that were due had begun"
    stood = sum(not w.beats for w in short)
    why = f"; the generator stood still for {stood} s of it" if stood else ""
    ended = [(w, reason) for w in windows for reason in w.ended if w.second[0] <= short[-1].second[0]]
    if ended:
        why += f"; the first user to end did so {ended[0][0].second[0] - zero:.0f} s after the start: {ended[0][1]}"
    return (
        f"the load that was asked for was not there: {found} in the second from {from_s:.0f} s after the start on, and "
        f"less than half for {len(short)} s of {what} ({span[1] - span[0]:.1f} s, real){why}; see load.log"
    )


def _stood(windows: Sequence[LoadWindow], span: Interval, what: str) -> list[str]:
    """Each of several processes that stood still for too much of a span, and with it its share of the load."""
    seconds: Counter[str] = Counter()
    share: dict[str, float] = {}
    for window in windows:
        if window.second[1] > span[0] and window.second[0] < span[1]:
            bearing = {name: part for name, part in window.still.items() if part}
            seconds.update(bearing.keys())
            share |= bearing
    return [
        f"process {name} of the load generator, which bore {share[name]:.0%} of the load, stood still for {count} s of "
        f"{what} ({span[1] - span[0]:.1f} s, real); see load.log"
        for name, count in seconds.items()
        if count >= _LEAST_ABSENT and count > ABSENT * (span[1] - span[0])
    ]


def _blocks(windows: Sequence[LoadWindow]) -> Iterator[list[LoadWindow]]:
    """The runs of seconds in which less than half was there, each long enough for a few requests of a slow load."""
    block: list[LoadWindow] = []
    due = 0.0
    for before, window in itertools.pairwise([*windows[:1], *windows]):
        if window.asked_users is not None:
            # A level that has just risen is met by users that are still being made.
            asked = min(window.asked_users, window.asked_users if before.asked_users is None else before.asked_users)
            if window.users < asked / 2 or (asked and not window.beats):
                yield [window]
            continue
        block.append(window)
        due += window.asked_requests or 0.0
        if due >= _FEW:
            if sum(w.started if w.beats else 0 for w in block) < due / 2:
                yield block
            block, due = [], 0.0


def _own_doing(windows: Sequence[LoadWindow], span: Interval) -> list[str]:
    """Where the generator was the bottleneck: its latencies then tell of its own queue.

    Two signs, each enough: a process near a full core, and a schedule that runs late. Judged from the first step to
    the end of looking on, by the share of requests concerned, so that neither one stolen moment of a busy machine
    nor a frozen target, for which the generator only waits, counts.
    """
    inside = [w for w in windows if w.second[1] > span[0] and w.second[0] < span[1]]
    judged = [w for w in inside if w.second[1] - w.second[0] >= _LEAST_WINDOW_S]
    started = sum(w.started for w in judged)
    if not started:
        return []
    found = []
    busy = [w for w in judged if w.busy is not None and w.busy >= BUSY]
    if len(busy) >= _LEAST_WINDOWS and sum(w.started for w in busy) > OWN_SHARE * started:
        most = max(w.busy or 0.0 for w in busy)
        found.append(
            f"a process of the load generator used up to {most:.0%} of a core, and at least {BUSY:.0%} in {len(busy)} "
            f"of {len(judged)} seconds: {_SPEAKS}; lower the load or raise load.processes"
        )
    late = sum(w.late * w.started for w in judged) / started
    if late > OWN_SHARE:
        most_ms = max(w.lag_ms for w in judged)
        found.append(
            f"the load generator was behind its own schedule by more than 50 ms for {late:.0%} of its requests, by up "
            f"to {most_ms:.0f} ms: {_SPEAKS}; lower the load, raise load.processes, or run less beside it"
        )
    return found


_SPEAKS = "the latencies measured then say more about the generator than about the service"
