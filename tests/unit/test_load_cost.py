"""A request costs little more than Locust's client: its parts are made once, senders go on, one listener counts it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.load.mix import render
from chaoskit.load.model import RequestSpec
from tests.load_examples import Start, Target, adds_up, start, target

__all__ = ["start", "target"]


@given(st.lists(st.sampled_from(["{n}", "{n%7}", "%", "%d", "{", "}", "{m}", "a"]), max_size=8), st.integers(0, 10**9))
def test_a_text_is_filled_in_as_if_each_place_were_looked_for_anew(parts: list[str], n: int) -> None:
    text = "".join(parts)
    place = re.compile(r"\{n(?:%(\d+))?\}")
    assert render(text, n) == place.sub(lambda found: str(n % int(found[1]) if found[1] else n), text)


MIXED = """
import gevent, itertools, json, sys
from types import SimpleNamespace
from chaoskit.load import mixed, traffic
from chaoskit.load.model import LoadSpec, RequestSpec

sent = []
mixed.SEND = lambda session, method, path, name, **more: sent.append([method, path, name, more])
own = {"content-type": "text/x", "X-Run": "7"}
for spec in (
    RequestSpec(path="/look/{n%2}"),
    RequestSpec(method="POST", path="/a", json={"b": [1]}),
    RequestSpec(method="POST", path="/a", json={"b": "{n}", "c": "at {n%2}"}, headers=own),
    RequestSpec(method="PUT", path="/a", body="<{n}>"),
):
    request = mixed._made_of(spec)
    assert mixed._made_of(spec) is request
    for n in (4, 5):
        request.send(None, "name", n)

cached = []
for more in {"mix": {"look": 1}, "requests": {"look": RequestSpec(path="/")}}, {"locustfile": sys.argv[1]}:
    at = traffic.Situation(LoadSpec(host="http://127.0.0.1:9", users=1, **more), None, None, None, 0.0)
    stats = traffic.environment_of([], at).stats
    stats.log_request("GET", "look", 7.0, 1)
    cached.append([bool(one.response_times_cache) for one in (stats.total, stats.get("look", "GET"))])

left = []
class Overdue:
    def __init__(self, *_, **__): pass
    def until(self, to_s): return [1.0] * 40
gate = SimpleNamespace(open=True, enter=lambda: True)
def leave(user, due_s):
    left.append("sent")
    gate.open = left.count("sent") < 40
def hear():
    while not schedule.ready():
        left.append("heard")
        gevent.sleep(0)
mixed.Arrivals, mixed.clock = Overdue, lambda: 100.0
open_load = SimpleNamespace(_at=SimpleNamespace(gate=gate, level=None, shard=0, shards=1), _send_one=leave)
class User:
    client = SimpleNamespace(client=SimpleNamespace(clientpool=None))
schedule = gevent.spawn(mixed.OpenArrivals._schedule, open_load, User())
gevent.joinall([schedule, gevent.spawn(hear)], timeout=20)
at_once = [len(list(some)) for what, some in itertools.groupby(left) if what == "sent"]
print(json.dumps({"sent": sent, "cached": cached, "at once": at_once}))
"""


@pytest.fixture(scope="module")
def mixed() -> dict[str, Any]:
    """What a process of its own says of the requests of a mix, for Locust makes another one of its process."""
    done = subprocess.run([sys.executable, "-c", MIXED, __file__], capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_request_is_made_once_and_still_sent_with_its_own_number(mixed: dict[str, Any]) -> None:
    """Headers as Locust sets them for a JSON body, unless the request says its own."""
    said = {"Content-Type": "application/json", "Accept": "application/json"}
    own = {"content-type": "text/x", "X-Run": "7", "Accept": "application/json"}
    assert mixed["sent"] == [
        ["GET", "/look/0", "name", {"headers": {}}],
        ["GET", "/look/1", "name", {"headers": {}}],
        *[["POST", "/a", "name", {"headers": said, "data": '{"b": [1]}'}]] * 2,
        ["POST", "/a", "name", {"headers": own, "data": '{"b": 4, "c": "at 0"}'}],
        ["POST", "/a", "name", {"headers": own, "data": '{"b": 5, "c": "at 1"}'}],
        ["PUT", "/a", "name", {"headers": {}, "data": "<4>"}],
        ["PUT", "/a", "name", {"headers": {}, "data": "<5>"}],
    ]


def test_locust_keeps_percentiles_of_the_moment_for_a_locustfile_alone(mixed: dict[str, Any]) -> None:
    """It copies every count each second for them, and of our own mix nothing asks for them."""
    assert mixed["cached"] == [[False, False], [True, True]]


def test_overdue_requests_leave_sixteen_at_a_time_and_answers_are_heard_between(mixed: dict[str, Any]) -> None:
    assert mixed["at once"] == [16, 16, 8]


def test_customers_of_an_open_load_share_no_cookies_and_an_answer_that_trickles_is_ended(
    start: Start, target: Target
) -> None:
    """The answer to `set` sets a cookie, which no later request brings back. A sender that was interrupted goes on with
    another request; none is sent twice, and none is left over."""
    asked = {"mix": {"drip": 1, "set": 3}, "requests": {n: RequestSpec(path=f"/{n}") for n in ("drip", "set")}}
    load, heard = start(rate=40.0, max_in_flight=20, connect_timeout_s=0.2, network_timeout_s=0.3, **asked)
    heard.wait(lambda windows: sum(window.failed for window in windows) > 4)
    totals = load.stop()
    adds_up(heard, totals)
    assert target.counts() == {"/drip": totals.failed, "/set": totals.finished - totals.failed}
    assert totals.failures == {"timeout": totals.by_name["GET drip"].finished}
    assert (totals.in_flight, totals.locust_requests) == (0, totals.finished)


LISTENED = """
import gc
from locust import FastHttpUser, constant, task

class Counting(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        listeners, frozen = len(self.environment.events.request._handlers), gc.get_freeze_count() > 0
        self.client.get(f"/look/{listeners}/{frozen}")
"""


def test_one_listener_counts_a_request_and_the_collector_passes_over_what_was_there(
    start: Start, target: Target
) -> None:
    load, heard = start(users=1, own=LISTENED)
    heard.wait(lambda windows: sum(window.finished for window in windows) > 3)
    totals = load.stop()
    assert target.counts() == {"/look/1/true": totals.finished == totals.locust_requests and totals.finished}
