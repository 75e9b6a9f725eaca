"""A request costs little more than Locust's client: its parts are made once, senders go on, one listener counts it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

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


SENT = """
import locust, json, sys
from chaoskit.load import mixed
from chaoskit.load.model import RequestSpec

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
print(json.dumps(sent))
"""


def test_a_request_is_made_once_and_still_sent_with_its_own_number() -> None:
    """Headers as Locust sets them for a JSON body, unless the request says its own."""
    done = subprocess.run([sys.executable, "-c", SENT], capture_output=True, text=True, timeout=60)
    said = {"Content-Type": "application/json", "Accept": "application/json"}
    own = {"content-type": "text/x", "X-Run": "7", "Accept": "application/json"}
    assert json.loads(done.stdout or "0") == [
        ["GET", "/look/0", "name", {"headers": {}}],
        ["GET", "/look/1", "name", {"headers": {}}],
        *[["POST", "/a", "name", {"headers": said, "data": '{"b": [1]}'}]] * 2,
        ["POST", "/a", "name", {"headers": own, "data": '{"b": 4, "c": "at 0"}'}],
        ["POST", "/a", "name", {"headers": own, "data": '{"b": 5, "c": "at 1"}'}],
        ["PUT", "/a", "name", {"headers": {}, "data": "<4>"}],
        ["PUT", "/a", "name", {"headers": {}, "data": "<5>"}],
    ], done.stderr


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
