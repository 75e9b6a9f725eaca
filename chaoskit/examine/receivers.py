"""One test alert to each real receiver, and whether it arrived: an expired token is found before the night.

    labels of an alert that is led there, another name    ->  Alertmanager  ->  on-call (email)   the mailbox has it
    ChaoskitReceiverTest{chaoskit_test="one of a kind"}                 ->  on-call (slack)   refused: counted as failed

It really tells people, so the environment is named by hand first. Its labels are those of an alert of the
configuration, since routes ask for them; of several the one that mutes nothing, and tells the fewest others.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chaoskit.alerting.config_alertmanager import AlertmanagerFile
from chaoskit.alerting.model import AlertConfig, Integration, Receiver
from chaoskit.alerting.routing import alert_labels, match_routes, matches_all
from chaoskit.errors import BadInput, EquipmentError, Problem, Refused
from chaoskit.events import Deliveries, Event, Notice, SinkKey
from chaoskit.examine.alertmanager import answers, loaded_routes, send_alerts
from chaoskit.examine.canary import TEST
from chaoskit.examine.endpoint import Checked, Endpoint, NoAnswer
from chaoskit.plan.model import called
from chaoskit.plan.witnesses import WITNESS, beside, delay_of, own, seen_by
from chaoskit.scenario.model import Attached
from chaoskit.units import amount, format_duration, listed
from chaoskit.witness.config import RECEIVER
from chaoskit.witness.witnesses import Witnesses

ALERT = "ChaoskitReceiverTest"
_ID = "chaoskit_test"
_WITHIN_S = 20.0
"""Real seconds beyond its route's group_wait within which a receiver must be told."""


@dataclass(slots=True)
class Arrivals:
    """The events that the witnesses told so far of the tests with these identities."""

    identities: frozenset[str]
    notices: list[tuple[float, Notice]] = field(default_factory=list)
    failed: list[Mapping[str, float]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def take(self, event: Event) -> None:
        """The next event of any witness."""
        with self.news:
            if isinstance(event, Notice) and self._is_of_test(event):
                self.notices.append((time.monotonic(), event))
            if isinstance(event, Deliveries) and event.failed is not None:
                self.failed.append(event.failed)
            self.news.notify_all()

    def at(self, key: SinkKey, by: str) -> float | None:
        """When (on the monotonic clock) this witness told of the test at that sink key; None where it did not."""
        return next((at for at, one in self.notices if one.sink_key == key and one.by == by), None)

    def given_up(self, kind: str, receiver: str) -> int:
        """How many notifications Alertmanager gave up meanwhile that may have been this one."""
        first, last = (self.failed[0], self.failed[-1]) if self.failed else ({}, {})
        return int(max(last.get(key, 0.0) - first.get(key, 0.0) for key in (kind, f"{kind}/{receiver}")))

    def _is_of_test(self, notice: Notice) -> bool:
        words = f"{notice.subject}\n{notice.html}\n{notice.text}"
        listed = any(item.labels.get(_ID) in self.identities for item in notice.alerts)
        return listed or ALERT in words or any(one in words for one in self.identities)


@dataclass(frozen=True, slots=True)
class Way:
    """One test alert: its labels, for which receiver it is sent, who else is told, and when all of it is over."""

    receiver: Receiver
    labels: Mapping[str, str]
    others: tuple[str, ...]
    wait_s: float
    mutes: bool = False
    """Whether an inhibition rule would let it mute others."""


def examine_receivers(target: Attached, config: AlertConfig, confirm: str) -> Iterator[Checked]:
    """Sends one test alert to each real receiver and says which witness saw it arrive; raises Refused without the
    environment's name, with the receivers that would be told."""
    try:
        endpoint = Endpoint(target, "alertmanager")
        _, original = answers(endpoint)
        loaded = loaded_routes(original)
    except NoAnswer as error:
        yield error.checked
        return
    except BadInput as error:
        said = f"{target.alertmanager}/api/v2/status cannot be read: {error.problems[0]}"
        yield Checked("receivers", "missing", said, "alertmanager: URL of the profile")
        return
    # Where the loaded addresses are hidden, the configuration's own receivers tell the witness's entries from others.
    known = [config.receivers.get(name, one) for name, one in loaded.receivers.items() if name != RECEIVER]
    receivers = [one for one in known if own(one)]
    refuse_unnamed(target, [one.name for one in receivers], confirm)
    asked, lines = list[Way](), list[Checked]()
    for receiver in receivers:
        found = way_to(target, config, loaded, receiver)
        if found is None:
            said = "not told: no alert of the configuration is led there by the loaded routes"
            lines.append(Checked(receiver.name, "missing", said, "add a route to the receiver, or remove it"))
        else:
            asked.append(found)
    yield from lines
    arrivals = Arrivals(frozenset(one.labels[_ID] for one in asked))
    try:
        witnesses = Witnesses(target, lambda name: Endpoint(target, name).session, arrivals.take)
        witnesses.begin()
    except (EquipmentError, BadInput) as error:
        yield Checked("witnesses", "missing", str(error), "the profile's witness, recorder, mailboxes, chats")
        return
    except NoAnswer as error:
        yield error.checked
        return
    begun, labels = time.monotonic(), [one.labels for one in asked]
    try:
        try:
            send_alerts(endpoint, labels, TEST.format("receiver"))
            _await(arrivals, asked, target, begun)
        finally:
            send_alerts(endpoint, labels, TEST.format("receiver"), datetime.now(UTC))
    except NoAnswer as error:
        yield error.checked
    finally:
        witnesses.end()
    for one in asked:
        yield from _lines(target, one, arrivals, begun)


def refuse_unnamed(target: Attached, receivers: list[str], confirm: str) -> None:
    """Raises Refused unless the environment whose receivers are about to be told was named."""
    if confirm != target.environment:
        told = f"{amount(len(receivers), 'receivers')} of {target.environment}: {listed(receivers)}"
        said = f"this sends a test alert to {told}"
        raise Refused(Problem(target.place, said, f"add --confirm {target.environment}"))


def way_to(
    target: Attached, config: AlertConfig, loaded: AlertmanagerFile, receiver: Receiver, alert: str = ALERT
) -> Way | None:
    """The labels by which a test is led to a receiver; None where no alert's labels are."""
    identity = {"alertname": alert, _ID: uuid.uuid4().hex, target.label: target.environment}
    written = [alert_labels(config, rule, {}) for rule in config.rules if rule.alert]
    found = []
    for labels in ({}, *written):
        plain = {key: value for key, value in labels.items() if "{{" not in value}
        for told in ({**plain, **identity}, {**plain, **identity, "alertname": plain.get("alertname", alert)}):
            routes = match_routes(loaded.route, told)
            if any(route.receiver == receiver.name for route in routes):
                mutes = any(matches_all(rule.source, told) for rule in loaded.inhibit_rules)
                others = tuple(dict.fromkeys(r.receiver for r in routes if r.receiver != receiver.name))
                wait_s = max(route.group_wait_s for route in routes if route.receiver == receiver.name)
                way = Way(receiver, told, others, wait_s, mutes)
                found.append((mutes, told["alertname"] != alert, len(others), way))
    return min(found, key=lambda one: (*one[:3], one[3].wait_s))[3] if found else None


def _await(arrivals: Arrivals, asked: list[Way], target: Attached, begun: float) -> None:
    """Returns when every witness saw what it can see, or when the last of them may take no longer."""
    wanted = [
        (_door(one, integration), by, begun + one.wait_s + _WITHIN_S + delay_of(target, by))
        for one in asked
        for integration in _doors(target, one)
        for by in seen_by(target, one.receiver, integration)
    ]

    def owed() -> list[float]:
        now = time.monotonic()
        return [end - now for door, by, end in wanted if end > now and arrivals.at(door, _by(by)) is None]

    with arrivals.news:
        while left := owed():
            arrivals.news.wait(min(max(left), 1.0))


def _doors(target: Attached, one: Way) -> list[Integration]:
    return [*beside(target), *own(one.receiver)]


def _door(one: Way, integration: Integration) -> SinkKey:
    return (one.receiver.name, integration.kind, integration.index)


def _by(by: str) -> str:
    """How notices name the witness that saw them: one beside a receiver is their door's own."""
    return "" if by == WITNESS else by


def _lines(target: Attached, one: Way, arrivals: Arrivals, begun: float) -> Iterator[Checked]:
    """One line for each integration."""
    others = f"; told as well: {listed(one.others)}" if one.others else ""
    for integration in _doors(target, one):
        what = called(one.receiver.name, integration.kind, integration.index)
        witnesses = seen_by(target, one.receiver, integration)
        given_up = arrivals.given_up(integration.kind, one.receiver.name)
        failed = f"Alertmanager gave up {amount(given_up, 'notifications')} by {integration.kind}" if given_up else ""
        came = {by: at - begun for by in witnesses if (at := arrivals.at(_door(one, integration), _by(by))) is not None}
        seen = listed([f"the {by} after {after_s:.1f} s" for by, after_s in came.items()], between=", ")
        late_s = max((delay_of(target, by) for by in witnesses), default=0.0)
        within = format_duration(round(one.wait_s + _WITHIN_S + late_s))
        if not witnesses:
            state = "missing" if failed else "warning"
            said = failed or "sent, and no witness sees whether it arrived"
            yield Checked(what, state, f"{said}{others}", "recorder:, mailboxes: or chats: of the profile")  # type: ignore[arg-type]
        elif witnesses[0] in came:
            yield Checked(what, "ok", f"seen by {seen}{others}")
        else:
            nearer = f", though seen by {seen}" if came else ""
            said = f"not seen by the {witnesses[0]} within {within}{nearer}{f'; {failed}' if failed else ''}"
            yield Checked(what, "missing", said, "see the receiver's address, token or webhook, and Alertmanager's log")
