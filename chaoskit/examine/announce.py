"""An announcement: each receiver that a drill tells hears of the drill itself first, and of its end afterwards.

An alert of its own name, led to the receiver by the loaded routes, fires until the drill's end, so the receiver's
all-clear is the second message. It ends by itself shortly after the longest time that the drill may take. A receiver
is not told where the announcement would share a group with the drill's alerts, or mute some: it would falsify it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from chaoskit.alerting.routing import match_routes
from chaoskit.errors import BadInput, Problem, Refused
from chaoskit.examine.alertmanager import answers, loaded_routes, send_alerts
from chaoskit.examine.endpoint import Endpoint, NoAnswer
from chaoskit.examine.receivers import Way, way_to
from chaoskit.plan.model import Plan
from chaoskit.plan.paged import announces_apart, paged
from chaoskit.scenario.model import Attached

ALERT = "ChaoskitDrill"
_STARTS_S = 120.0
"""Real seconds that a drill's start and its end may take beside the steps."""
_SENDS_S = 2.0


@contextmanager
def announced(plans: Sequence[Plan], say: Callable[[str], None]) -> Iterator[None]:
    """Tells each real receiver of these plans that a drill begins, waits until it was told, and tells its end.

    Raises Refused where Alertmanager cannot be asked.
    """
    plan, target = plans[0], plans[0].profile.target
    if not isinstance(target, Attached):
        raise Refused(Problem(None, "--announce tells a running system's receivers, and this one is local", "drop it"))
    try:
        endpoint = Endpoint(target, "alertmanager")
        routes = loaded_routes(answers(endpoint)[1])
        ends = datetime.now(UTC) + timedelta(seconds=sum(one.longest_real_s + _STARTS_S for one in plans))
        ways, told = list[Way](), list[str]()
        for one in paged(plans):
            way = way_to(target, plan.config, routes, plan.config.receivers[one.receiver], ALERT)
            led = match_routes(routes.route, way.labels) if way else ()
            if way is None or way.labels["alertname"] != ALERT or way.mutes or not all(map(announces_apart, led)):
                say(f"not announced to {one.receiver}: an announcement would share a group with the drill's alerts")
            elif one.receiver not in told:
                ways.append(way)
                told += [one.receiver, *way.others]
        wait_s = max((one.wait_s for one in ways), default=0.0) + _SENDS_S
        labels, drill = [one.labels for one in ways], f"drill in {target.environment}"
        send_alerts(endpoint, labels, f"{drill}, ends at {ends.astimezone():%H:%M %Z} at the latest", ends)
    except NoAnswer as error:
        raise Refused(Problem(target.place, error.checked.detail, error.checked.mend)) from None
    except BadInput as error:
        raise Refused(error.problems) from None
    try:
        if ways:
            say(f"announced to {', '.join(dict.fromkeys(told))}; the drill begins in {wait_s:.0f} s")
            threading.Event().wait(wait_s)  # nothing tells when Alertmanager has sent
        yield
    finally:
        now = datetime.now(UTC)
        try:
            send_alerts(endpoint, labels, f"{drill}, ended at {now.astimezone():%H:%M %Z}", now)
        except NoAnswer as error:
            say(
                f"its end is not announced: {error.checked.detail}; the announcement ends by itself at {ends:%H:%M} UTC"
            )
