"""Strangers who fill a sink keep nobody out, and the watch ends where somebody was sent away."""

from __future__ import annotations

import asyncio
import time

import pytest

from chaoskit.events import Event, Watch
from chaoskit.observe.strangers import Places
from chaoskit.observe.timed_loop import TICK_S, TimedLoop
from chaoskit.witness.store import Store


class Somebody:
    """A guest that only knows whether it was sent away."""

    gone = False

    def send_away(self) -> None:
        self.gone = True


@pytest.fixture
def said() -> list[Event]:
    return []


@pytest.fixture
def timed_loop(said: list[Event]) -> TimedLoop:
    found = TimedLoop("webhook-sink", said.append)
    found.loop.close()
    asyncio.set_event_loop(None)
    return found


def test_a_newcomer_gets_the_place_of_whoever_came_first_and_said_nothing(timed_loop: TimedLoop) -> None:
    refused: list[str] = []
    places = Places(timed_loop, 3, lambda: refused.append("one"))
    strangers = [Somebody() for _ in range(5)]
    taken = Somebody()
    assert places.enter(taken)
    places.prove(taken)
    assert all(places.enter(one) for one in strangers)
    assert [one.gone for one in strangers] == [True, True, True, False, False]
    assert not taken.gone
    assert len(places.guests) == 3
    assert len(refused) == 3


def test_where_all_are_proven_the_newcomer_is_refused_and_a_free_place_is_a_place(
    timed_loop: TimedLoop,
) -> None:
    places = Places(timed_loop, 2)
    first, second = Somebody(), Somebody()
    for one in (first, second):
        places.enter(one)
        places.prove(one)
    assert not places.enter(Somebody())
    places.leave(first)
    assert places.enter(Somebody())


def test_the_watch_ends_before_who_was_sent_away_and_says_how_many(timed_loop: TimedLoop, said: list[Event]) -> None:
    """Nothing is claimed of the time between; afterwards it begins anew."""
    selector = timed_loop._selector
    timed_loop._seen_to = 100.0
    selector.stamps.extend([110.0 + n for n in range(8)])
    timed_loop.refused()
    timed_loop.refused()
    (before,) = said
    assert isinstance(before, Watch)
    assert before.seen == (100.0, 110.0)
    timed_loop._blind_to = 130.0
    timed_loop.watch()
    assert len(said) == 1, "nothing new was seen yet"
    selector.stamps.extend([140.0 + n for n in range(8)])
    timed_loop.watch()
    after = said[1]
    assert isinstance(after, Watch)
    assert (after.seen, after.refused) == ((130.0, 140.0), 2)


def test_a_witness_tells_its_watch_up_to_a_gap_and_the_rest_when_asked_again() -> None:
    store = Store()
    for seen in ((10.0, 11.0), (11.0, 12.0), (15.0, 16.0)):
        store.watched(Watch(sink="webhook-sink", seen=seen, lag_s=0.1))
    assert store.tell(store.boot, 0, 10.5, 20.0).watch == (10.5, 12.0, 0.1)
    assert store.tell(store.boot, 0, 12.0, 20.0).watch == (15.0, 16.0, 0.1)
    assert store.tell(store.boot, 0, 16.0, 20.0).watch is None


def test_a_sinks_loop_asks_again_and_again_while_nothing_comes_and_tells_how_late_it_was(said: list[Event]) -> None:
    """An instant at which something had not come stays near though the loop has nothing to do."""
    found = TimedLoop("webhook-sink", said.append)
    found.start()
    found.loop.run_until_complete(asyncio.sleep(0))
    begun, turns = found.before_data(), found.turns
    found.loop.run_until_complete(asyncio.sleep(10 * TICK_S))
    assert found.turns - turns >= 4, "the timer of the sleep alone turns it twice"
    assert found.before_data() > begun
    found.loop.call_soon(time.sleep, 20 * TICK_S)
    found.loop.run_until_complete(asyncio.sleep(10 * TICK_S))
    found.watch()
    found.loop.close()
    (watch,) = [event for event in said if isinstance(event, Watch)]
    assert watch.lag_s >= 18 * TICK_S
