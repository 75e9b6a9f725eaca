"""A scenario and a profile, parsed: reading order is time order, durations are virtual seconds.

Frozen dataclasses with no behaviour; `place` says where each thing stands in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chaoskit.alerting.model import TimePart
from chaoskit.errors import Place
from chaoskit.handles.base import Handle
from chaoskit.scenario.shape import Shape

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault of an inject step: kind, handle to act on, typed settings (validated by the kind itself)."""

    kind: str
    target: Settings
    settings: Settings
    place: Place


@dataclass(frozen=True, slots=True)
class Inject:
    name: str
    faults: tuple[FaultSpec, ...]
    """The faults of the step; several start together."""
    place: Place


@dataclass(frozen=True, slots=True)
class Change:
    """A new level for a fault in force, or for `load`."""

    name: str
    of: str
    settings: Settings
    place: Place


@dataclass(frozen=True, slots=True)
class Undo:
    """`targets` are step names in the order of undoing; empty means all, newest first."""

    name: str
    targets: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Do:
    name: str
    action: str
    target: Settings
    settings: Settings
    place: Place

    @property
    def faults(self) -> tuple[FaultSpec, ...]:
        """The action with its target, as an inject step has its faults."""
        return (FaultSpec(self.action, self.target, self.settings, self.place),)


AwaitedState = Literal["pending", "firing", "notified", "suppressed", "resolved"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Exactly one of the conditions is set: a duration, an alert's state, a query, or settled."""

    name: str
    place: Place
    duration_vs: float | None = None
    alert: str | None = None
    state: AwaitedState | None = None
    query: str | None = None
    at_most_vs: float | None = None
    settled: bool = False


Step = Inject | Change | Undo | Do | Wait


@dataclass(frozen=True, slots=True)
class Notify:
    """The notices that one receiver must get: `promised` (the promise's window), `never`, or bounds of its own."""

    mode: Literal["promised", "never", "bounded"]
    within_vs: float | None = None
    """From pending (from firing where `for` is 0), as the promise counts."""
    not_before_vs: float | None = None
    notices: tuple[int, int | None] | None = None
    contains: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    alert: str
    place: Place
    from_step: str
    until_step: str
    """A step's name, `end`, or `never`."""
    instances: int | None
    """None: one per bound target, else 1."""
    labels: Mapping[str, str]
    notifies: Mapping[str, Notify] | None
    """None: all receivers of the promise. A mapping: exactly these."""
    resolves: Literal[True, "false_alarm"] = True
    suppressed_by: str | None = None
    silenced_by: str | None = None
    """The step whose silence mutes it until that is undone; then it is told."""
    then: Literal["silent", "delivered"] = "silent"
    control: str | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """A negative control: an alert that must not fire while a step's level, below its threshold, is in force."""

    alert: str
    during: str
    """The inject or change step that brings the level."""
    place: Place

    @property
    def about(self) -> str:
        """The name of the control's row in the verdict."""
        return f"{self.alert} during {self.during}"


@dataclass(frozen=True, slots=True)
class Allow:
    alert: str
    because: str
    place: Place


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    """The file's name without its suffix."""
    title: str
    runbook: str
    tags: tuple[str, ...]
    steps: tuple[Step, ...]
    expect: tuple[Expectation, ...]
    """The expectations; empty only for `expect: nothing`."""
    allow: tuple[Allow, ...]
    notices: Mapping[str, tuple[int, int | None]]
    """Bounds on a run's volume per receiver, or under `total`."""
    place: Place
    controls: tuple[Control, ...] = ()
    """Alerts that must not fire during a step; beside `expect: nothing` there are none."""
    volume: str = ""
    """The kind of day that it stands for, whose promised volume its notices keep to; empty for none."""

    def faults(self) -> Iterator[tuple[Inject | Do, FaultSpec]]:
        """Everything that acts on the target, in order, each with its step; an action is one of a `do` step."""
        return ((step, spec) for step in self.steps if isinstance(step, Inject | Do) for spec in step.faults)

    @property
    def alerts(self) -> frozenset[str]:
        """Every alert that the scenario names."""
        expected = (name for each in self.expect for name in (each.alert, each.suppressed_by))
        awaited = (step.alert for step in self.steps if isinstance(step, Wait))
        quiet = (*(each.alert for each in self.allow), *(each.alert for each in self.controls))
        return frozenset(name for name in (*expected, *awaited, *quiet) if name)


@dataclass(frozen=True, slots=True)
class Handles:
    """The handles of a profile, by kind and name."""

    by_kind: Mapping[str, Mapping[str, Handle]] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    """Where each was written, as `role:worker`."""

    def of(self, kind: str) -> Mapping[str, Handle]:
        """The handles of one kind by name; none for a kind that profiles do not name, such as equipment."""
        return self.by_kind.get(kind, {})

    def each(self) -> Iterator[tuple[str, Handle]]:
        """Every handle, as `role:worker` and what it is."""
        return ((f"{kind}:{name}", one) for kind, named in self.by_kind.items() for name, one in named.items())


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is kept, never the secret itself: a file, or an environment variable."""

    file: str = ""
    env: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """An HTTP header as written, or the secret that is its value."""

    name: str
    value: str
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How one endpoint of an attached target is spoken to."""

    username: str = ""
    password: Secret | None = None
    bearer: Secret | None = None
    headers: tuple[Header, ...] = ()
    ca_file: str = ""
    """The authority that vouches for the endpoint; empty: those that the machine trusts."""
    place: Place | None = field(default=None, compare=False)
    """Relative files are beside the profile, unless an option named them."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where an integration's mails can be read: an IMAP folder, or a Maildir on this host."""

    imap: str = ""
    username: str = ""
    password: Secret | None = None
    folder: str = "INBOX"
    ca_file: str = ""
    maildir: str = ""
    delay_s: float = 60.0
    """Seconds after its sending by which a mail lies in the mailbox."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Chat:
    """Where an integration's messages can be read: a Slack channel, a PagerDuty service, or a page of one's own."""

    channel: str = ""
    service: str = ""
    http: str = ""
    find: str = ""
    """A regular expression with the groups `status`, `time` and `text`, which finds each message on the page."""
    api: str = ""
    """Where the service's API answers; empty for its own address."""
    token: Secret | None = None
    delay_s: float = 5.0
    """Seconds after its sending by which a message stands in the chat."""
    place: Place | None = field(default=None, compare=False)


BACKGROUND = "background"
"""The traffic of a system's own, as equipment."""


@dataclass(frozen=True, slots=True)
class Background:
    """Traffic that a running system has of its own: the least result of a query."""

    query: str
    at_least: float
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Attached:
    """A running system: its addresses, and the environment it must say it is."""

    prometheus: str
    alertmanager: str
    metrics: str
    environment: str
    label: str = "environment"
    """The label that says `environment`: of the loaded external labels, of a series, or on the metrics page."""
    witness: str = ""
    """The URL of `chaoskit witness serve`; empty where no witness sees the notices."""
    service: str = ""
    """The URL to which the load is sent."""
    access: Mapping[str, Access] = field(default_factory=dict)
    """By endpoint: prometheus, alertmanager, metrics, witness."""
    waive: tuple[str, ...] = ()
    """Integrations that no witness sees and that are not judged: receiver/integration, or with /index."""
    recorder: str = ""
    """The file of Alertmanager's event recorder, or `witness` where the witness is its output; empty without one."""
    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)
    """By receiver/integration: the mailbox in which its mails can be read."""
    chats: Mapping[str, Chat] = field(default_factory=dict)
    """By receiver/integration: the chat in which its messages can be read."""
    background: Background | None = None
    requests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name: what a load may ask the service for, as `path`, `method`, `json` and `body`."""
    replicas: tuple[str, ...] = ()
    """Every Prometheus, where there are several with the same rules; the first is `prometheus`."""
    peers: tuple[str, ...] = ()
    """Every member of Alertmanager's cluster, where there are several; the first is `alertmanager`."""
    peer_timeout_s: float = 15.0
    """How long a member waits for each one before it (`--cluster.peer-timeout`)."""
    quiet_receivers: tuple[str, ...] = ()
    """Real receivers that no drill may tell."""
    environment_series: str = ""
    """A query of Prometheus each of whose series must carry it; empty where none is asked for."""
    place: Place | None = field(default=None, compare=False)


TIMEOUT_S = 2.0
THINK_S = 1.0
LONGEST_DRAIN_S = 30.0
"""Real seconds that the end of a load may take."""
WORKERS_PORT = 5557
"""The default port of load workers: Locust's own."""


@dataclass(frozen=True, slots=True)
class FailIf:
    """More than this of a healthy service's requests fails the run."""

    name: str
    """The name of the requests that the limit is for; empty for all."""
    failed: float | None
    """The share of these requests that may fail, dropped ones included."""
    percentiles: Mapping[int, float]
    """Real seconds by percent: 95 for P95."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes of the load generator that were started elsewhere (`chaoskit load-worker`), and where they come to."""

    expect: int
    token_file: str
    """The path as written: a relative one is beside the file that names it."""
    bind: str = "127.0.0.1"
    """The address of this machine to which workers come."""
    port: int = WORKERS_PORT


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Traffic in real requests per real second, or users; the mix names requests by weight, an empty one all alike."""

    rate_per_s: float | None
    users: int | None
    locustfile: str | None
    """The path as written: a relative one is beside the file that names it."""
    mix: Mapping[str, int]
    shape: Shape = field(default_factory=Shape)
    processes: int = 1
    workers: Workers | None = None
    timeout_s: float = TIMEOUT_S
    """The longest silence of the target, when connecting and when answering."""
    think_s: float = THINK_S
    """A user's mean wait after each answer."""
    in_flight: int | None = None
    """How many requests of a rate may be unanswered at once; what is due beyond is dropped, and counted."""
    drain_s: float | None = None
    """How long the end of the load may take; None: as long as the time-outs, and half a second."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of a locustfile's own command line, as are the three that follow."""
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    fail_if: tuple[FailIf, ...] = ()
    spawn_rate: float | None = None
    """Users that come or go in a real second; None: all at once."""
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    """Where each key was written, and the whole under `load`."""

    @property
    def given(self) -> bool:
        """Whether there is any load; an attached target may be left with its own."""
        return self.rate_per_s is not None or self.users is not None or self.locustfile is not None

    @property
    def bearing(self) -> int:
        """How many processes make the load's requests, here or on other machines."""
        return self.processes if self.workers is None else self.workers.expect

    def place_of(self, key: str) -> Place | None:
        """Where a key was written, or else the load as a whole."""
        return self.places.get(key, self.places.get("load"))


@dataclass(frozen=True, slots=True)
class Limits:
    """The blast radius, in real time and on the real machine."""

    fault_s: float = 120.0
    run_s: float = 900.0
    share: Mapping[str, float] = field(default_factory=dict)
    """By handle plural as written (`workers: 75%`): the most of them that may be under a fault at once."""
    memory_bytes: int | None = None
    cpu: float | None = None
    connections: float | None = None
    """The most of the calls on a link that a fault may hit, as a share."""
    commands: bool = True
    """Whether scenarios may run programs, by the fault and the action of that name."""
    hosts: int | None = None
    """The most hosts on which one run may act."""

    @property
    def bounds(self) -> Mapping[str, Any]:
        """The limits by the names under which faults and actions get them."""
        return {
            "cpu": self.cpu,
            "memory": self.memory_bytes,
            "connections": self.connections,
            "commands": self.commands,
        }


@dataclass(frozen=True, slots=True)
class Abort:
    """Exactly one of the conditions is set."""

    query: str | None
    alert: str | None
    place: Place
    severity: str | None = None
    """Alerts with this severity that the scenario neither expects nor allows, and that did not fire before it."""
    errors: float | None = None
    """The share of the load's requests beyond which too many fail."""


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    target: Literal["local"] | Attached
    time_scale: float
    load: LoadPlan
    standing: tuple[str, ...]
    handles: Handles
    limits: Limits
    abort: tuple[Abort, ...]
    place: Place
    protected: tuple[str, ...] = ()
    """Handles, as `role:postgres`, that no scenario may act on."""
    hours: tuple[TimePart, ...] = ()
    """When runs may be under way; none: at any time."""
