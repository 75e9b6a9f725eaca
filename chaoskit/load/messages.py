"""The messages between parent and child: one JSON object a line, commands down, counts up.

Every request that was due is in exactly one of four places, in every window and in the totals:

    started = finished + in_flight + dropped        (cumulative; `failed` is a part of `finished`)
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from chaoskit import events
from chaoskit.errors import Problem
from chaoskit.histogram import merge, percentile_ms
from chaoskit.load.model import LoadSpec


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A line in either direction; windows and totals are such lines as well."""


class Look(Line, frozen=True, tag="look"):
    """May come before the start: import the load's locustfile, and answer what is wrong with it. The host is not known
    yet."""

    spec: LoadSpec


class Looked(Line, frozen=True, tag="looked"):
    """The answer to `Look`."""

    problems: list[Problem]


class Gather(Line, frozen=True, tag="gather"):
    """May come before the start, to Locust's master: listen there, and await workers that were started elsewhere."""

    bind: str
    port: int
    token: str
    expect: int
    within_s: float


class Gathered(Line, frozen=True, tag="gathered"):
    """The answer: the workers that take part, by their names; `wrong`: why it cannot be so."""

    names: list[str]
    wrong: str = ""


class Hello(Line, frozen=True, tag="hello"):
    """A worker is ready to take part, and says so every second until it does; `t` is its clock."""

    t: float
    host: str
    chaoskit: str
    locust: str


class Refused(Line, frozen=True, tag="refused"):
    """The master's answer to a hello that it cannot take, such as one of another version."""

    why: str


class Together(msgspec.Struct, frozen=True):
    """A process is one of several under a master of Locust's."""

    folder: str
    """The folder of the socket at which master and workers meet; empty where they meet over the network."""
    workers: int
    is_master: bool = False


class Start(Line, frozen=True, tag="start"):
    """The load begins: this process's share of the whole load, and which of how many processes it is."""

    spec: LoadSpec
    shard: int = 0
    shards: int = 1
    together: Together | None = None
    lease_s: float | None = None
    """The load ends where the parent says nothing for so long; None: it may be silent."""


class Change(Line, frozen=True, tag="change"):
    """Go on with another level, mix or shape, without a gap."""

    spec: LoadSpec


class Beat(Line, frozen=True, tag="beat"):
    """The parent is well, and so the load may go on."""


class Stop(Line, frozen=True, tag="stop"):
    """Ends the load: no new requests; await answers, count, say goodbye. May be said again, to hurry."""

    hurried: bool = False
    """With no more than the usual drain, even where the spec allows a longer one."""


class ByName(msgspec.Struct, array_like=True):
    """The counts of one kind and name of request, such as `GET leads`."""

    started: int = 0
    finished: int = 0
    failed: int = 0
    dropped: int = 0
    latency: dict[int, int] = {}
    """Buckets of chaoskit.histogram, of those finished whose latency is known."""
    failures: dict[str, int] = {}


class LoadState(Line, frozen=True, tag="state"):
    """`ready`: able to send. `changed`: a change is in force. `ended`: a limit or the shape ended the load.
    `down`: it died uninvited (said by the parent), or could not begin. `silent`: a process runs and says nothing (said
    by the parent), `heard`: it does again. `deserted`: users were asked for, and the last one has ended by itself."""

    state: Literal["ready", "changed", "ended", "down", "silent", "heard", "deserted"]
    t: float
    detail: str = ""
    refused: bool = False
    """Whether the load could not begin because of its locustfile."""


class LoadWindow(events.LoadWindow, frozen=True, kw_only=True, tag="window"):
    """One second. Counts are exact: each event belongs to the second in which it happened, by its own clock.

    `second` holds epoch seconds; the first and last window of a load are shorter. Latencies are real milliseconds of
    the requests that finished inside. In a window in which nothing finishes they are None; `in_flight` (which includes
    what was cut off earlier) and `oldest_ms` then tell of a frozen target. `users` are those alive at the last beat; in
    an open load, and where there was no beat, there are none.
    """

    started: int = 0
    finished: int = 0
    failed: int = 0
    dropped: int = 0
    in_flight: int = 0
    users: int = 0
    beats: int = 0
    cpu_s: float = 0.0
    busy: float = 0.0
    """The generator's share of one core; near 1 it measures itself instead of the target."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    untracked: int = 0
    """Finished requests of clients that announce no beginning; they count as started when they finished."""
    by_name: dict[str, ByName] = msgspec.field(default_factory=dict)
    latency: dict[int, int] = msgspec.field(default_factory=dict)
    """Latencies, as counts in the buckets of chaoskit.histogram."""

    def event(self) -> events.LoadWindow:
        """The window as the journal keeps it."""
        return _kept(events.LoadWindow, self)


class LoadTotals(events.LoadTotals, frozen=True, kw_only=True, tag="totals"):
    """The whole load: own counts beside Locust's. `reconciled` is false wherever they disagree, with the reason."""

    span: events.Interval
    busy: float = 0.0
    by_name: dict[str, ByName] = msgspec.field(default_factory=dict)
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    latency: dict[int, int] = msgspec.field(default_factory=dict)

    def event(self) -> events.LoadTotals:
        """The totals as the journal keeps them."""
        return _kept(events.LoadTotals, self)


_Kept = TypeVar("_Kept", bound=msgspec.Struct)


def _kept(kind: type[_Kept], line: msgspec.Struct) -> _Kept:
    return kind(**{name: getattr(line, name) for name in kind.__struct_fields__})


Told = LoadState | LoadWindow | LoadTotals
"""Every kind of report that a load process sends."""


class Relayed(Line, frozen=True, tag="relayed"):
    """A worker's report, from the master to the parent; `skew_s`: how far its clock is behind that of the master."""

    shard: int
    report: Told
    skew_s: float


Command = Look | Gather | Refused | Start | Change | Beat | Stop
Report = Told | Relayed

decode_command = msgspec.json.Decoder[Command](Command).decode
"""Raises msgspec.DecodeError, or BadInput where the spec is wrong; `decode_report` raises msgspec.DecodeError."""
decode_report = msgspec.json.Decoder[Report](Report).decode
decode_worker = msgspec.json.Decoder[Hello | Told](Hello | Told).decode
_ENCODER = msgspec.json.Encoder()


def encode(line: Line | events.Event) -> bytes:
    """A message as a line of JSON, with its newline."""
    return _ENCODER.encode(line) + b"\n"


def percentiles(latency: dict[int, int]) -> dict[str, Any]:
    """The three percentiles that windows and totals carry, as keyword arguments."""
    return {name: percentile_ms(latency, q) for name, q in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))}


def join_windows(parts: list[LoadWindow]) -> LoadWindow:
    """The windows of several processes for the same second, added up to one."""
    if len(parts) == 1:
        return parts[0]
    return LoadWindow(
        second=_around([p.second for p in parts]),
        ended=merge(p.ended for p in parts),
        still={name: share for p in parts for name, share in p.still.items()},
        asked_requests=_sum_of(parts, "asked_requests"),
        asked_users=_sum_of(parts, "asked_users"),
        **joined(parts, "users", "beats"),
    )


def _sum_of(parts: list[LoadWindow], name: str) -> float | None:
    told = [value for part in parts if (value := getattr(part, name)) is not None]
    return sum(told) if told else None


def _around(spans: list[events.Interval]) -> events.Interval:
    return min(begin for begin, _ in spans), max(end for _, end in spans)


def joined(parts: list[LoadWindow] | list[LoadTotals], *summed: str) -> dict[str, Any]:
    """The fields of several processes' windows or totals joined into one, as keyword arguments; `summed` are added."""
    latency = merge(p.latency for p in parts)
    by_name: dict[str, ByName] = {}
    for part in parts:
        add_names(by_name, part.by_name)
    # A master that makes no requests has time enough.
    making = [p.late for p in parts if p.started or p.in_flight] or [p.late for p in parts]
    return {
        "late": round(sum(making) / len(making), 4),
        "by_name": by_name,
        "failures": merge(p.failures for p in parts),
        "raised": merge(p.raised for p in parts),
        "latency": latency,
        **percentiles(latency),
        **{name: sum(getattr(p, name) for p in parts) for name in (*_SUMMED, *summed)},
        **{name: max(getattr(p, name) for p in parts) for name in WORST},
    }


def join_totals(parts: list[LoadTotals]) -> LoadTotals:
    """The totals of several processes; reconciled only if each one is."""
    if len(parts) == 1:
        return parts[0]
    reported = sum(p.finished - sum(p.unreported.values()) for p in parts), sum(p.failed for p in parts)
    by_locust = sum(p.locust_requests for p in parts), sum(p.locust_failures for p in parts)
    details = {p.detail for p in parts if p.detail}
    if reported != by_locust:
        details.add(
            f"finished and reported {reported[0]} (failed {reported[1]}), but Locust's master says {by_locust[0]}"
            f" ({by_locust[1]})"
        )
    return LoadTotals(
        span=_around([p.span for p in parts]),
        reconciled=all(p.reconciled for p in parts) and reported == by_locust,
        detail="; ".join(sorted(details)),
        unreported=merge(p.unreported for p in parts),
        cut_short=[text for p in parts for text in p.cut_short],
        odd=merge(p.odd for p in parts),
        exit_code=max((p.exit_code for p in parts if p.exit_code is not None), key=abs, default=None),
        **joined(parts, "cut", "locust_requests", "locust_failures"),
    )


WORST = ("oldest_ms", "lag_ms", "busy")
"""Of several processes or windows, the worst one speaks for all."""
_SUMMED = ("started", "finished", "failed", "dropped", "in_flight", "untracked", "cpu_s")


def add_names(total: dict[str, ByName], more: dict[str, ByName]) -> None:
    """Adds the counts of each name to a total."""
    for name, one in more.items():
        old = total.setdefault(name, ByName())
        old.started += one.started
        old.finished += one.finished
        old.failed += one.failed
        old.dropped += one.dropped
        old.latency = merge([old.latency, one.latency])
        old.failures = merge([old.failures, one.failures])
