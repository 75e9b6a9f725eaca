"""Load against a small real server that counts for itself: what the load says is what the server received."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from chaoskit.errors import BadInput
from chaoskit.histogram import value_ms
from chaoskit.load.messages import LoadTotals, LoadWindow
from chaoskit.load.model import RequestSpec
from chaoskit.scenario.shape import Shape
from tests.load_examples import Heard, Start, Target, adds_up, start, target

__all__ = ["start", "target"]


def test_an_open_load_is_what_the_server_and_locust_counted(start: Start, target: Target) -> None:
    """Exactly, the mix too, and through changes of rate and mix, which leave no gap. Locust stays out of here."""
    load, heard = start(rate=80.0)
    heard.wait(lambda windows: len(windows) >= 3)
    load.change(replace(load.spec, rate=160.0, mix={"write": 1}))
    heard.wait(lambda windows: windows[-1].started > 150)
    load.change(replace(load.spec, rate=20.0))
    heard.wait(lambda windows: windows[-1].started < 25)
    totals = load.stop()
    adds_up(heard, totals)
    counts = target.counts()
    assert sum(counts.values()) == totals.finished == totals.started == totals.locust_requests
    assert totals.by_name["GET look"].finished == counts["/look/0"] + counts["/look/1"]
    assert counts["/look/0"] - counts["/look/1"] in (0, 1)
    assert (totals.failed, totals.in_flight, totals.dropped) == (0, 0, 0)
    whole = [w for w in heard.of(LoadWindow) if w.second[1] - w.second[0] == 1]
    assert [
        whole[0].started,
        whole[0].by_name["GET look"].started,
        whole[0].by_name["POST write"].started,
    ] == pytest.approx([80, 60, 20], abs=3)
    assert min(w.started for w in whole) >= 15
    assert all(w.cpu_s > 0 for w in whole)
    assert heard.states() == ["ready", "changed", "changed"]
    assert heard.of(LoadTotals) == [totals]
    assert load.stop() == totals
    assert not load.alive
    assert not {"locust", "gevent"} & set(sys.modules)


def test_a_closed_load_is_what_the_server_and_locust_counted(start: Start, target: Target) -> None:
    """Its users follow the shape and a change, and only real ones are told; who has to go finishes first."""
    load, heard = start(users=8, think_s=0.1, shape=Shape(kind="step", length_s=1.5, steps=2))
    with pytest.raises(BadInput, match="cannot change while the load flows"):
        load.change(replace(load.spec, processes=2))
    heard.wait(lambda windows: windows[-1].users == 8)
    told = [w.users for w in heard.of(LoadWindow) if w.second[1] - w.second[0] > 0.5]
    assert told == sorted(told)
    assert told[0] == 4
    load.change(replace(load.spec, users=3, shape=Shape()))
    heard.wait(lambda windows: windows[-1].users == 3)
    totals = load.stop()
    adds_up(heard, totals)
    assert sum(target.counts().values()) == totals.finished == totals.locust_requests
    assert abs(totals.by_name["GET look"].started - 3 * totals.by_name["POST write"].started) <= 3
    assert totals.cut == 0


def test_several_processes_are_one_load(start: Start, target: Target) -> None:
    load, heard = start(rate=60.0, processes=2)
    assert len(set(load.pids)) == 2
    heard.wait(lambda windows: len(windows) >= 3)
    load.change(replace(load.spec, rate=20.0))
    totals = load.stop()
    adds_up(heard, totals)
    assert sum(target.counts().values()) == totals.finished == totals.locust_requests
    assert max(w.started for w in heard.of(LoadWindow)) == pytest.approx(60, abs=6)
    assert heard.states() == ["ready", "changed"]


def frozen_for(start: Start, target: Target, *, before: int, frozen_s: int, run_s: int) -> tuple[LoadTotals, Heard]:
    load, heard = start(rate=100.0, network_timeout_s=10.0)
    heard.wait(lambda windows: len(windows) >= before)
    target.freeze()
    seen = len(heard.of(LoadWindow))
    heard.wait(lambda windows: len(windows) >= seen + frozen_s)
    target.thaw()
    heard.wait(lambda windows: len(windows) >= run_s)
    totals = load.stop()
    adds_up(heard, totals)
    return totals, heard


def slow(totals: LoadTotals) -> int:
    """Requests that took more than 380 ms."""
    return sum(count for index, count in totals.latency.items() if index > 300)


def test_five_frozen_seconds_show_in_the_percentiles(start: Start, target: Target) -> None:
    """Every request that was due while the target stood still waited for it: seconds at P99, hundreds of requests.
    Users who wait for their answers meet the same freeze once each."""
    waiting, also_heard = start(users=10, think_s=0.1, network_timeout_s=10.0)
    totals, heard = frozen_for(start, target, before=1, frozen_s=5, run_s=9)
    closed = waiting.stop()
    adds_up(also_heard, closed)
    assert totals.p99_ms is not None
    assert 4000 < totals.p99_ms < 7000  # the hundredth of 9 s at 100/s that waited longest: 5 s - 0.09 s
    assert slow(totals) > 250
    assert 10 <= slow(closed) <= 30
    assert closed.finished > 200
    quiet = [w for w in heard.of(LoadWindow) if w.finished == 0 and w.in_flight]
    assert len(quiet) >= 3
    assert all(w.p99_ms is None for w in quiet)
    # Of a second in which the generator had no processor some requests leave in the next.
    assert sum(w.started for w in quiet) >= 80 * len(quiet)
    assert quiet[-1].in_flight >= 80
    assert max(w.oldest_ms for w in quiet) > 3000
    assert sum(target.counts().values()) == totals.finished + closed.finished
    assert totals.finished == totals.locust_requests
    assert (totals.failed, totals.dropped) == (0, 0)


@pytest.mark.long
def test_five_frozen_seconds_of_thirty_show_in_the_percentiles(start: Start, target: Target) -> None:
    """3000 requests, of which those due in the first 0.3 s of the freeze waited longest: P99 is 5 s - 0.3 s."""
    totals, _ = frozen_for(start, target, before=10, frozen_s=5, run_s=30)
    assert totals.p99_ms is not None
    assert 4000 < totals.p99_ms < 7000
    assert slow(totals) > 300


def test_a_target_frozen_to_the_end_is_told_as_time_outs(start: Start, target: Target) -> None:
    """The end awaits every answer or time-out; nothing is passed over in silence."""
    load, heard = start(rate=50.0, connect_timeout_s=0.5, network_timeout_s=0.7)
    target.freeze()
    heard.wait(lambda windows: any("timeout" in w.failures for w in windows))
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.failures["timeout"] == totals.failed == totals.locust_failures > 20
    assert totals.in_flight == 0
    assert totals.p99_ms is not None
    assert totals.p99_ms > 650


def test_what_is_still_open_at_the_end_is_in_flight(start: Start, target: Target) -> None:
    """In both models, where the end does not wait; and what found the pool full is told as dropped."""
    patient: dict[str, Any] = {"network_timeout_s": 30.0, "drain_s": 0.0}
    arriving, heard = start(rate=50.0, max_in_flight=10, **patient)
    waiting, also_heard = start(users=9, think_s=0.05, **patient)
    target.freeze()
    heard.wait(lambda windows: windows[-1].dropped >= 40)
    also_heard.wait(lambda windows: windows[-1].in_flight == 9)
    totals, also_totals = arriving.stop(), waiting.stop()
    adds_up(heard, totals)
    adds_up(also_heard, also_totals)
    assert totals.in_flight == totals.cut == 10
    assert totals.dropped == sum(one.dropped for one in totals.by_name.values()) >= 40
    assert also_totals.in_flight == also_totals.cut == 9
    assert also_totals.started == also_totals.finished + 9


def test_failures_are_counted_by_what_they_were(start: Start, target: Target) -> None:
    """A closed connection is reported, not sent again behind our back: the server counts what we counted. An answer
    that trickles is ended, though its socket is never silent for long enough to time out."""
    names = ("fail", "close", "drip")
    load, heard = start(
        users=6,
        think_s=0.05,
        connect_timeout_s=0.3,
        network_timeout_s=0.5,
        mix=dict.fromkeys(names, 1),
        requests={name: RequestSpec(path=f"/{name}") for name in names},
    )
    heard.wait(lambda windows: {"HTTP 503", "closed", "timeout"} <= set().union(*(w.failures for w in windows)))
    load.change(replace(load.spec, mix={"fail": 1}))
    heard.wait(lambda windows: windows[-1].failures.keys() == {"HTTP 503"})
    counts = target.counts()
    target.close()
    heard.wait(lambda windows: "refused" in windows[-1].failures)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.failed == totals.finished == totals.locust_failures
    assert [totals.by_name[f"GET {name}"].finished for name in ("close", "drip")] == [counts["/close"], counts["/drip"]]
    assert totals.failures["timeout"] == counts["/drip"]
    assert max(value_ms(index) for index in totals.latency) < 3000
