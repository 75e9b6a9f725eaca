"""A canary: a harmless alert, sent through the real Alertmanager to see whether the witness hears it.

    POST api/v2/alerts  ->  Alertmanager  ->  route of the canary  ->  witness
         ChaoskitCanary{canary="one of a kind"}                        exactly that one, and its all-clear

It is only sent where the loaded routes lead it to the witness alone: without its route it would wake people.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

from chaoskit.alerting.routing import match_routes
from chaoskit.errors import BadInput, EquipmentError
from chaoskit.examine.alertmanager import loaded_routes, send_alerts
from chaoskit.examine.endpoint import Checked, Endpoint
from chaoskit.scenario.model import Attached
from chaoskit.witness.client import WitnessClient
from chaoskit.witness.config import CANARY, RECEIVER

WHAT = "canary"
TEST = "chaoskit doctor tests the way to the {}; this alert is no incident"
"""The summary of a test alert, by what it tests the way to."""
WITHIN_S = 20.0
_ASK_S = 2.0
_ID = "canary"


def labels_of_canary(target: Attached, identity: str = "") -> dict[str, str]:
    """The labels of a canary for this target."""
    return {"alertname": CANARY, _ID: identity, target.label: target.environment}


def who_hears(target: Attached, original: str) -> tuple[str, ...]:
    """The receivers to which a loaded configuration leads a canary; raises BadInput where its routes cannot be read."""
    routes = match_routes(loaded_routes(original).route, labels_of_canary(target, "x"))
    return tuple(route.receiver for route in routes)


def send_canary(target: Attached, alertmanager: Endpoint, witness: WitnessClient, original: str) -> Checked:
    """Sends a canary and waits, for a bounded time, until the witness heard it fire and end; raises NoAnswer."""
    mend = f"chaoskit witness config --alertmanager FILE --url {target.witness}"
    try:
        hearing = who_hears(target, original)
    except BadInput as error:
        return Checked(WHAT, "missing", f"not sent: its route cannot be read: {error.problems[0]}", "")
    if hearing != (RECEIVER,):
        receivers = ", ".join(hearing)
        return Checked(WHAT, "missing", f"not sent: its route is not loaded, so it would reach {receivers}", mend)
    identity = uuid.uuid4().hex
    labels = labels_of_canary(target, identity)
    try:
        witness.newest()
        sent = time.monotonic()
        send_alerts(alertmanager, [labels], TEST.format("witness"))
        heard_s = _heard(witness, identity, "firing", sent)
        # Ended in any case, and a while ago by whichever clock: an end in the future would be no end.
        ended = time.monotonic()
        send_alerts(alertmanager, [labels], TEST.format("witness"), datetime.now(UTC))
        if heard_s is None:
            said = f"sent, and not heard by the witness within {WITHIN_S:g} s"
            mend = f"can Alertmanager reach {target.witness}, and does it give the token? See its log and the witness's"
            return Checked(WHAT, "missing", said, mend)
        cleared_s = _heard(witness, identity, "resolved", ended)
    except EquipmentError as error:
        return Checked(WHAT, "missing", str(error), "start it: chaoskit witness serve")
    if cleared_s is None:
        said = f"heard after {heard_s:.1f} s, but its all-clear not within {WITHIN_S:g} s"
        return Checked(WHAT, "warning", said, "see send_resolved of the witness's entries, and both clocks")
    return Checked(WHAT, "ok", f"heard by the witness after {heard_s:.1f} s, its all-clear after {cleared_s:.1f} s")


def _heard(witness: WitnessClient, identity: str, status: str, since: float) -> float | None:
    """Seconds from that instant (on the monotonic clock) until the witness told of it; None when it did not."""
    while (left_s := since + WITHIN_S - time.monotonic()) > 0:
        for heard in witness.next(min(_ASK_S, left_s)):
            if heard.receiver != RECEIVER:
                continue
            if any(one.labels.get(_ID) == identity and one.status == status for one in heard.notice().alerts):
                return time.monotonic() - since
    return None
