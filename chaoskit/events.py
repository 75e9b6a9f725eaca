"""The event types: everything a run may write to `events.jsonl`, and nothing else (docs/history.md).

One line is one event, tagged by `type`. `n` counts from 0 without holes (a missing number is a hole, and a
history with holes is refused). `t` is seconds since the epoch on the observer's clock. Intervals are pairs
`(a, b)` of such instants that certainly hold the truth.

The first event is always `header`: it carries the scenario, profile and alert configuration as texts, so that
the file alone can be judged again, on any machine, years later. From schema 2 on changes only add: a field with a
default, or a type whose events say `optional: true` where what is judged without them is judged rightly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from chaoskit import json_text

SCHEMA = 2
"""Version of this set: the one that is written."""
SCHEMAS = (1, 2)
"""The versions that are read; others are refused."""

Interval = tuple[float, float]
Labels = dict[str, Annotated[str, msgspec.Meta(max_length=2**20)]]
"""Values longer than that are refused when a history is read: judging and showing them takes minutes."""
SinkKey = tuple[str, str, int]
"""Where notices arrive: receiver, integration, index."""
T = TypeVar("T")
F = TypeVar("F", bound=float | None)


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The fields of every event; `n` and `t` are filled in by the journal."""

    n: int = -1
    t: float = 0.0


class ExpectedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The annotations that a unit test expects of the alert with these labels; `place` is where it says so."""

    labels: Labels
    annotations: dict[str, str]
    place: str


class ExpectedQuiet(msgspec.Struct, frozen=True, kw_only=True):
    """A unit test expects no alert of this name `at_vs` virtual seconds after the series began; `place` says where."""

    alert: str
    at_vs: float
    place: str


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of judging a run on scripted series, beside its scenario."""

    rules: list[str] | None = None
    """The rules that were loaded, each by its place and name; None: all."""
    owed: list[str] = []
    """Expectations that fail where a receiver has no integration; for others that is only a note."""
    doubts: dict[str, str] = {}
    """The reason by alert why a failed template of its rule is no FAIL."""
    texts: list[ExpectedTexts] = []
    quiet: list[ExpectedQuiet] = []
    late_vs: float = 60.0
    """Virtual seconds by which an evaluation may be later than a unit test's."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The person, host and command that began a run; for readers, not for the verdict."""

    by: str = ""
    host: str = ""
    commit: str = ""
    """The git commit in the working folder; `-dirty` at its end: with changes. Empty outside of a repository."""
    utc_offset_s: int = 0
    """Local time minus UTC on the run's machine when the run began, in seconds."""
    command: str = ""
    """The command line that plays the same run again."""


class Header(Event, frozen=True, kw_only=True, tag="header"):
    """The inputs of a run: their texts, versions, seed. `sources` maps role/file to text, secrets redacted."""

    schema: int
    run_id: str
    scenario: str
    """File name of the scenario in `sources`."""
    profile: str
    sources: dict[str, str]
    settings: list[str]
    """The run's `--set` overrides, as given."""
    time_scale: float
    seed: int
    versions: dict[str, str]
    doors: list[dict[str, Any]]
    """Every sink address: receiver, integration, index, kind (smtp/http), send_resolved."""
    targets: dict[str, list[str]]
    """Inventory the plan was made with: handle -> names (role:worker -> worker-1, ...)."""
    notes: list[str]
    """Statements the reader must know: pinned time intervals, replaced integrations."""
    lingering: list[dict[str, str]] = []
    """Label sets of alerts that had fired on an attached target shortly before: their groups may have lived on."""
    set_aside: dict[str, str] = {}
    """promtool's message by expression, for rules that every promtool here refuses."""
    doubts: list[str] = []
    """Questions that are not settled: refusals by a program older than the user's, settings unknown here."""
    beside: list[str] = []
    """Alerts that other scenarios expect, which ran on the same stack: they may fire."""
    rehearsal: Rehearsal | None = None
    """None where the run has a target."""
    origin: Origin | None = None
    """None in histories that did not tell."""


class Phase(Event, frozen=True, kw_only=True, tag="phase"):
    """The run enters a phase: starting, steady, steps, undo, tail, stopping."""

    name: Literal["starting", "steady", "steps", "undo", "tail", "stopping"]


class Equipment(Event, frozen=True, kw_only=True, tag="equipment"):
    """Something the run relies on came up, went down uninvited, has said nothing for long though it runs, or was
    stopped by us at the end."""

    name: str
    """prometheus, alertmanager, mail-sink, webhook-sink, witness, load, target, or an observer."""
    state: Literal["up", "down", "silent", "stopped"]
    detail: str = ""
    invited: bool = False
    """Down because the scenario wants it down: judged by what the scenario expects, not excused."""


class Steady(Event, frozen=True, kw_only=True, tag="steady"):
    """The steady state was reached, or not, with the reasons that remained."""

    reached: bool
    missing: list[str]


class StepBegin(Event, frozen=True, kw_only=True, tag="step-begin"):
    """A step of the scenario begins."""

    step: str
    verb: Literal["inject", "change", "undo", "do", "wait"]


class StepEnd(Event, frozen=True, kw_only=True, tag="step-end"):
    """A step was done, failed, ran out of time, or was skipped since an earlier one failed."""

    step: str
    outcome: Literal["done", "failed", "timeout", "skipped"]
    detail: str = ""


class Invoke(Event, frozen=True, kw_only=True, tag="invoke"):
    """A fault is about to take effect; `undo` is all that is needed to take it back. On disk before the effect."""

    step: str
    fault: str
    """Identity of the fault within the run: step name and index, `kill#0`."""
    kind: str
    targets: list[str]
    label: str
    """The alert label that carries the targets' names; empty where none does."""
    settings: dict[str, Any]
    undo: dict[str, Any]
    max_s: float
    """Real seconds after which the fault is undone in any case."""
    address: dict[str, Any] = {}
    """Where the target is (url, file, pattern, …); a token that speaks of another place is not obeyed."""


class FaultOk(Event, frozen=True, kw_only=True, tag="fault-ok"):
    """The fault's effect was seen; it began inside the interval `effect`."""

    fault: str
    effect: Interval
    detail: str = ""


class Alter(Event, frozen=True, kw_only=True, tag="alter"):
    """A fault in force is about to get another level; this token now undoes the old level and the new one."""

    step: str
    fault: str
    settings: dict[str, Any]
    undo: dict[str, Any]


class FaultFail(Event, frozen=True, kw_only=True, tag="fault-fail"):
    """The effect was not seen, or lapsed while it should have been in force."""

    fault: str
    reason: str
    lapsed: bool = False


class UndoBegin(Event, frozen=True, kw_only=True, tag="undo-begin"):
    """A fault is about to be taken back."""

    fault: str


class UndoOk(Event, frozen=True, kw_only=True, tag="undo-ok"):
    """The effect is seen to be gone since an instant inside `gone`."""

    fault: str
    gone: Interval
    detail: str = ""


class UndoFail(Event, frozen=True, kw_only=True, tag="undo-fail"):
    """A fault could not be taken back: it may still be in force."""

    fault: str
    reason: str


class ActionOk(Event, frozen=True, kw_only=True, tag="action-ok"):
    """An action, or the change of a level, was seen to take effect inside `done`."""

    step: str
    action: str
    done: Interval
    result: dict[str, Any]


class AlertState(Event, frozen=True, kw_only=True, tag="alert"):
    """The state of one alert instance by Prometheus's evaluations, from raw evaluation instants.

    `at` is the evaluation that first showed the state; `previous` the evaluation before it, so that the truth
    of a change lies at `at` exactly when the two are one interval apart, and otherwise in (previous, at].
    For `inactive`, `at` is the first evaluation known to lack the alert and `previous` the last that had it.
    """

    labels: Labels
    state: Literal["pending", "firing", "inactive"]
    at: float
    previous: float | None
    active_at: float | None = None
    """The instant from which Prometheus says that the alert is active (its ActiveAt)."""
    value: str = ""


class Poll(Event, frozen=True, kw_only=True, tag="poll", gc=False):
    """One look at Prometheus or Alertmanager: asked and answered instants, and whether the answer was whole."""

    source: Literal["prometheus", "alertmanager"]
    asked: float
    ok: bool
    seen_to: float | None = None
    """The newest evaluation instant that this look covers without a gap since the last good one."""
    skew: Interval | None = None
    """The other clock minus ours, as an interval."""
    detail: str = ""


class Watch(Event, frozen=True, kw_only=True, tag="watch", gc=False):
    """A sink was listening during the whole of `seen`; its event loop was never late by more than `lag_s`.

    Witnesses of an attached target say the same: what reached its recorder, mailbox or chat then was seen.
    """

    sink: str
    """mail-sink, webhook-sink, witness, recorder, `mailbox on-call/email`, or `chat team-chat/slack`."""
    seen: Interval
    lag_s: float
    refused: int = 0
    """Connections that were sent away for want of a place, right before."""


class Processor(Event, frozen=True, kw_only=True, tag="processor", gc=False):
    """How long each piece of equipment ran and how long it was ready and had to wait for a processor, in real
    seconds summed over all its threads: the kernel's own count of what a busy machine took from it."""

    during: Interval
    used_s: dict[str, float]
    waited_s: dict[str, float]
    stopped: dict[str, list[str]] = {}
    """Names of processes that a signal had stopped at the end, by equipment; empty where all ran."""


class Pressure(Event, frozen=True, kw_only=True, tag="pressure"):
    """The kernel's sum of real seconds in which a program had to wait for a core, at several instants."""

    readings: list[Interval]
    """Instants with the sum at each; of equal sums in a row the first and the last."""


class LogLine(Event, frozen=True, kw_only=True, tag="log-line"):
    """A program said in its log that a template of an alert or of a notification failed."""

    source: Literal["prometheus", "alertmanager"]
    line: str


class Scrapes(Event, frozen=True, kw_only=True, tag="scrapes"):
    """Whether a scrape of scripted series failed: then they are stale, and what was pending or firing ends."""

    during: Interval
    failed: bool | None
    """None where Prometheus did not tell."""


class Suppression(Event, frozen=True, kw_only=True, tag="suppression"):
    """Alertmanager's word on an alert it has: active or suppressed, and by which alerts or silences."""

    labels: Labels
    state: Literal["active", "suppressed", "unprocessed", "gone"]
    inhibited_by: list[dict[str, str]]
    silenced_by: list[str]
    receivers: list[str]
    seen: Interval
    silences: dict[str, str] = {}
    """Of silences by id, who made them and why, where Alertmanager was asked."""


class NoticedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert inside a notice, as the payload told it; mails carry what can be read from their text."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = {}
    starts_at: float | None = None
    ends_at: float | None = None


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """A notification arrived at a sink's door; it was sent inside `sent` (never after it arrived)."""

    receiver: str
    integration: str
    index: int
    sent: Interval
    status: Literal["firing", "resolved", "mixed", "unknown"]
    alerts: list[NoticedAlert]
    group_key: str = ""
    recipients: list[str] = []
    sender: str = ""
    subject: str = ""
    html: str = ""
    """The mail's HTML part, whole up to a bound."""
    text: str = ""
    """The mail's plain part, or another service's payload as it came."""
    problems: list[str] = []
    """The parts that the sink could not read, a sentence each."""
    refused: int = 0
    """The code with which the receiver refused it; 0 when it was taken. A refused notice has not been heard."""
    by: str = ""
    """The witness that saw the notice, as in `watch`; empty for the sink of its integration."""
    arrived: Interval | None = None
    """When the mail came to lie in the mailbox, where that is known beside the instant of sending."""
    group_labels: Labels | None = None
    """The labels of the notice's group, as Alertmanager told them; None where the integration tells none."""

    @property
    def sink_key(self) -> SinkKey:
        """The receiver, integration and index that sent the notice: the key of its sink address."""
        return (self.receiver, self.integration, self.index)


class Deliveries(Event, frozen=True, kw_only=True, tag="deliveries"):
    """Alertmanager's own counters of failed notifications, where they changed, at the beginning and at the
    end; `failed` is by integration, with `/RECEIVER` where the counter tells the receiver."""

    seen: Interval
    """The interval in which Alertmanager's counters were read: asked and answered."""
    failed: dict[str, float] | None
    """None where the counters could not be read."""
    detail: str = ""
    """Why Alertmanager's counters could not be read; empty where they were."""
    optional: bool = True
    """Whether an older chaoskit that does not know this event may judge without it: yes."""


class Level(Event, frozen=True, kw_only=True, tag="level"):
    """The level that an alert measures, as Prometheus tells it of a step during which the alert must not fire."""

    alert: str
    step: str
    during: Interval
    """From when the level filled what the rule looks at, until the step's level ended."""
    low: float | None
    """The lowest value of any of its series; None, like the highest, where there was none."""
    high: float | None
    samples: int
    """The number of instants at which the query had a value, of `expected` instants."""
    expected: int
    near_s: float | None = None
    """The longest span in which a series stayed within a fifth of the quiet level; None in an older history."""
    detail: str = ""
    """Why Prometheus could not be asked for the level; empty where it was."""
    optional: bool = True
    """Whether an older chaoskit that does not know this event may judge without it: yes."""


class Stranger(Event, frozen=True, kw_only=True, tag="stranger"):
    """A request at a sink's door that the run's Alertmanager did not send: refused, and no evidence of anything."""

    sink: Literal["mail-sink", "webhook-sink"]
    receiver: str
    """The receiver whose sink address the stranger used; empty where it used none."""
    integration: str
    index: int
    reason: str
    """How the sink told the message from one that Alertmanager sends."""
    count: int
    """How often, since the last such event."""

    def __str__(self) -> str:
        door = f"the door of {self.receiver} ({self.integration})" if self.receiver else "no door"
        return f"{self.sink} refused {self.count} messages of foreign senders, at {door}: {self.reason}"


class LoadWindow(Event, frozen=True, kw_only=True, tag="load", gc=False):
    """One second of traffic. Since the load began: started = finished + in_flight + dropped; `failed` is a part of
    `finished`. Latencies in real milliseconds; in an open load they count from when the request was due."""

    second: Interval
    started: int
    finished: int
    failed: int
    in_flight: int
    dropped: int
    users: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_s: float
    """CPU seconds of all processes of the generator itself."""
    failures: dict[str, int] = {}
    oldest_ms: float = 0.0
    """At the end of the window, the age of the longest unanswered request."""
    lag_ms: float = 0.0
    """The most by which the generator itself was late; that is part of an open load's latencies."""
    late: float = 0.0
    """The share of its moments (requests due, and a beat of its own) at which it was late by more than 50 ms."""
    busy: float | None = None
    """The share of one core that its busiest process used; None in histories that did not tell."""
    asked_requests: float | None = None
    """Requests that an open load was to begin in this second; None of a closed one, and where it was not told."""
    asked_users: float | None = None
    """Users that a closed load was to have; `users` says how many it had."""
    beats: int | None = None
    """Signs of life that the generator gave itself inside; without any it stood still, and its users with it."""
    ended: dict[str, int] = {}
    """Users that ended unasked, by reason."""
    raised: dict[str, int] = {}
    """Exceptions of a locustfile's own code, by their place."""
    still: dict[str, float] = {}
    """Processes of a generator of several that stood still, with the share of the load of each."""


class NameCounts(msgspec.Struct, frozen=True, array_like=True):
    """Counts of the requests of one kind and name: finished, failed, dropped, latencies."""

    finished: int = 0
    failed: int = 0
    dropped: int = 0
    latency: tuple[tuple[int, int], ...] = ()
    """Buckets of chaoskit.histogram with their counts, of those finished whose latency is known."""
    failures: dict[str, int] = {}

    @property
    def buckets(self) -> dict[int, int]:
        """The latencies as a histogram, as `chaoskit.histogram` has it."""
        return dict(self.latency)


class LoadNames(Event, frozen=True, kw_only=True, tag="load-names"):
    """Requests by kind and name, such as `GET leads`, over a stretch of one phase; a `mixed` one holds its end."""

    phase: str
    span: Interval
    names: dict[str, NameCounts]
    mixed: bool = False


class LoadTotals(Event, frozen=True, kw_only=True, tag="load-totals"):
    """The generator's own count of the whole run beside Locust's; they must reconcile."""

    started: int
    finished: int
    failed: int
    in_flight: int
    dropped: int
    locust_requests: int
    locust_failures: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    reconciled: bool
    detail: str = ""
    span: Interval | None = None
    """From the beginning of the load to the end of its last window."""
    cut: int = 0
    """Of those in flight, how many the generator cut off itself when it ended."""
    untracked: int = 0
    """Of those finished, how many were known only by their outcome: from clients that announce no beginning."""
    cpu_s: float = 0.0
    busy: float | None = None
    """The largest of all windows, as are `lag_ms` and `oldest_ms`."""
    lag_ms: float = 0.0
    oldest_ms: float = 0.0
    late: float = 0.0
    """The same figure as in a window, for the whole load."""
    unreported: dict[str, int] = {}
    """Of those finished, by name, how many were answered and never reported to Locust, which did not count them."""
    cut_short: list[str] = []
    """The locustfile's own code that was still running when the load ended, a sentence each."""
    raised: dict[str, int] = {}
    """The same figure as in a window, for the whole load."""
    odd: dict[str, int] = {}
    """Counts of reports by the locustfile that cannot be used, such as a response time that is a text."""
    exit_code: int | None = None
    """The process_exit_code that the locustfile set; None where it set none."""
    astray: list[str] = []
    """The workers on other machines whose clock is off, a sentence each with its share."""


class Deadline(Event, frozen=True, kw_only=True, tag="deadline"):
    """The run stopped waiting for something at the bound that the plan gave it: a trigger, not a verdict."""

    what: str


class Interruption(Event, frozen=True, kw_only=True, tag="interruption"):
    """A signal, an abort condition, a lost lease or `trouble` (what the run itself needs fails) ends the run early."""

    reason: str
    trouble: bool = False


class End(Event, frozen=True, kw_only=True, tag="end"):
    """The run's last event: whether everything was undone and everything started was stopped."""

    healed: bool
    left: list[str]


class Later(Event, frozen=True, kw_only=True, tag="later"):
    """An optional event of a type that this chaoskit does not know, as it stands; written by a later one."""

    fields: dict[str, Any]


AnyEvent = (
    Header | Phase | Equipment | Steady | StepBegin | StepEnd | Invoke | FaultOk | Alter | FaultFail | UndoBegin
    | UndoOk | UndoFail | ActionOk | AlertState | Poll | Watch | Processor | Pressure | LogLine | Scrapes | Suppression
    | Notice | Deliveries | Level | Stranger | LoadWindow | LoadNames | LoadTotals | Deadline | Interruption | End
    | Later
)  # fmt: skip

_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_FIELDS = {kind.__struct_config__.tag: {"type", *kind.__struct_fields__} for kind in get_args(AnyEvent)}
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_BEGIN = b'\n{"type":"'
_ENCODER = msgspec.json.Encoder(order="deterministic")


def decode_lines(lines: bytes) -> list[AnyEvent] | None:
    """The events of whole lines, in a third of the time that each line by itself takes.

    None where that cannot be done: look at each with `decode_all`.
    """
    try:
        events = _DECODER.decode_lines(lines)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if not len(events) == lines.count(b"\n") == lines.count(_BEGIN) + lines.startswith(_BEGIN[1:]):
        return None
    for event in events:
        if (share := _SHARE.get(type(event))) is not None:
            share(event)
    return events


def _share_watch(event: Watch) -> None:
    _set(event, "sink", sys.intern(event.sink))


def _share_window(event: LoadWindow) -> None:
    for name in ("failures", "ended", "raised", "still"):
        if not getattr(event, name):
            _set(event, name, _NOTHING)
    for name in ("asked_requests", "late", "oldest_ms", "busy"):
        _set(event, name, _same(getattr(event, name)))


def _share_processor(event: Processor) -> None:
    if not event.stopped:
        _set(event, "stopped", _NOTHING)
    for spent in (event.used_s, event.waited_s):
        for name, value in spent.items():
            spent[name] = _same(value)


def _same(value: F) -> F:
    return _VALUES.setdefault(value, value) if len(_VALUES) < _MOST else value


_SHARE: dict[type[Event], Callable[[Any], None]] = {
    Watch: _share_watch,
    LoadWindow: _share_window,
    Processor: _share_processor,
}
"""Makes one object of what is equal in many events; without that, a run of days takes a fifth more memory."""
_NOTHING: dict[str, Any] = {}
_VALUES: dict[Any, Any] = {}
"""Floats only: of numbers of several types that are equal one would stand for the others, and be written otherwise."""
_MOST = 20_000
"""Values that are kept for that; a second has 10,000 tenths of a millisecond."""
_set = msgspec.structs.force_setattr


def encode(event: Event) -> bytes:
    """The event as one line of JSON without its newline."""
    return _ENCODER.encode(event)


def decode(line: bytes) -> AnyEvent:
    """The event of one line; raises msgspec.DecodeError or ValidationError with what is wrong."""
    return decode_all(line)[0]


def decode_all(line: bytes) -> tuple[AnyEvent, dict[str, Any]]:
    """The event of one line, and its fields that a later chaoskit has added, as they stand; raises as `decode`."""
    try:
        return json_text.decode_with(_DECODER, line), {}
    except msgspec.ValidationError:
        raw = json_text.decode_with(_ANYTHING, line)
        if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
            raise
        known = _FIELDS.get(raw["type"])
        if known is None and raw.get("optional") is True:
            return msgspec.convert({"type": "later", **{k: raw.get(k) for k in ("n", "t")}, "fields": raw}, Later), {}
        added = {key: raw.pop(key) for key in list(raw) if known and key not in known}
        if not added:
            raise
        return msgspec.convert(raw, AnyEvent), added
