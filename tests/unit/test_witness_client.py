"""Following a witness: nothing is lost over a lost connection, and what nobody can know is a gap."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
import requests

from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event, Notice, Watch
from chaoskit.witness import client as client_module
from chaoskit.witness.client import WitnessClient
from chaoskit.witness.follower import Follower
from chaoskit.witness.server import Settings, WitnessServer
from tests.witness_examples import TOKEN, bearing, message, post, stop, witness, witness_again


@dataclass
class Followed:
    """What a client told, in order, and waiting for it."""

    told: list[Event] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, what: Event) -> None:
        with self.changed:
            self.told.append(what)
            self.changed.notify_all()

    def wait(self, holds: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(holds, 20), self.told

    @property
    def notices(self) -> list[Notice]:
        return [one for one in self.told if isinstance(one, Notice)]

    @property
    def watches(self) -> list[Watch]:
        return [one for one in self.told if isinstance(one, Watch)]

    @property
    def gaps(self) -> list[str]:
        return [one for one in self._down() if "gives no answer" not in one]

    @property
    def silences(self) -> list[str]:
        return [one for one in self._down() if "gives no answer" in one]

    def _down(self) -> list[str]:
        return [one.detail for one in self.told if isinstance(one, Equipment) and one.state == "down"]


def follow(client: WitnessClient) -> Followed:
    followed = Followed()
    client._on_event = followed.add
    client.begin()
    return followed


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "WAIT_S", 0.2)


@pytest.fixture
def server() -> Iterator[WitnessServer]:
    with witness() as running:
        yield running


def test_notices_come_in_order_with_their_sending_and_the_watch_has_no_gap(server: WitnessServer) -> None:
    assert post(server, "before") == 200
    client = WitnessClient(server.url, bearing())
    before = time.time()
    followed = follow(client)
    for name in ("one", "two", "three"):
        assert post(server, name) == 200
    after = time.time()
    followed.wait(lambda: followed.watches and followed.watches[-1].seen[1] > after)
    client.end()
    assert [notice.receiver for notice in followed.notices] == ["one", "two", "three"]
    for notice in followed.notices:
        assert before - 1 < notice.sent[0] <= notice.sent[1]
        assert notice.sent[1] >= before
        assert [one.labels for one in notice.alerts] == [one["labels"] for one in message()["alerts"]]
    watches = followed.watches
    assert client.skew[0] <= 0 <= client.skew[1]
    assert all(one.seen[1] == following.seen[0] for one, following in itertools.pairwise(watches))
    assert followed.gaps == []


def test_the_last_notice_before_the_end_is_not_lost(server: WitnessServer) -> None:
    client = WitnessClient(server.url, bearing())
    followed = follow(client)
    assert post(server, "last") == 200
    client.end()
    client.end()
    assert [notice.receiver for notice in followed.notices] == ["last"]


def test_a_witness_that_was_started_again_leaves_a_gap_in_the_watch(server: WitnessServer) -> None:
    client = WitnessClient(server.url, bearing())
    followed = follow(client)
    followed.wait(lambda: followed.watches)
    stop(server)
    followed.wait(lambda: followed.silences)
    down = time.time()
    with witness_again(server) as again:
        assert post(again, "later") == 200
        followed.wait(lambda: followed.notices and followed.watches[-1].seen[1] > down)
        client.end()
    assert [notice.receiver for notice in followed.notices] == ["later"]
    assert ["started again" in gap for gap in followed.gaps] == [True]
    assert not any(watch.seen[0] < down < watch.seen[1] for watch in followed.watches)
    states = [one.state for one in followed.told if isinstance(one, Equipment)]
    assert states == ["up", "down", "up", "down", "up"], "silent, and answering again; then the gap"


def test_a_connection_that_is_lost_loses_nothing(server: WitnessServer) -> None:
    """The network fails for a while; the witness went on listening, so nothing is a gap."""

    class Cut(requests.Session):
        broken = False

        def get(self, *words: object, **more: object) -> requests.Response:
            if self.broken:
                raise requests.ConnectionError
            return super().get(*words, **more)  # type: ignore[arg-type]

    session = Cut()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    client = WitnessClient(server.url, session)
    followed = follow(client)
    session.broken = True
    followed.wait(lambda: followed.silences)
    assert post(server, "meanwhile") == 200
    after = time.time()
    session.broken = False
    followed.wait(lambda: followed.watches and followed.watches[-1].seen[1] > after)
    client.end()
    assert [notice.receiver for notice in followed.notices] == ["meanwhile"]
    assert followed.gaps == []
    watches = followed.watches
    assert all(one.seen[1] == following.seen[0] for one, following in itertools.pairwise(watches))


def test_dropped_notices_are_a_gap() -> None:
    with witness(Settings(port=0, token=TOKEN, keep=1)) as server:
        client = WitnessClient(server.url, bearing())
        client.ask()
        client._boot = server.store.boot
        for _ in range(3):
            assert post(server) == 200
        told = client.ask()
        assert told.dropped == 2
        followed = Followed()
        followed.told += client._events(told)
        assert ["2 notices were dropped" in gap for gap in followed.gaps] == [True]
        assert len(followed.notices) == 1


@pytest.mark.parametrize("ahead_s", [-100.0, 0.0, 100.0])
def test_another_clock_is_taken_out(ahead_s: float) -> None:
    """Instants become ours, widened for notices and shortened for the watch by what is not known of the clocks."""
    client = WitnessClient("http://127.0.0.1:1", bearing())
    client._skews.append((ahead_s - 0.25, ahead_s + 0.25))
    told = client_module.Told(
        boot="", now=0, notices=[_heard(1000.0 + ahead_s)], watch=(900.0 + ahead_s, 1002.0 + ahead_s, 0.01)
    )
    followed = Followed()
    followed.told += client._events(told)
    assert followed.notices[0].sent == pytest.approx((999.75, 1000.25))
    assert followed.watches[0].seen == pytest.approx((900.25, 1001.75))


def _heard(at: float) -> client_module.Heard:
    return client_module.Heard(n=1, arrived=(at, at), receiver="ops", payload=msgspec.Raw(b"{}"))


@pytest.mark.parametrize("token", ["wrong-token-wrong-token", ""])
def test_a_refused_token_is_said_and_not_shown(server: WitnessServer, token: str) -> None:
    with pytest.raises(EquipmentError, match="refuses the profile's token") as refused:
        follow(WitnessClient(server.url, bearing(token)))
    assert "wrong-token" not in str(refused.value)


def test_nobody_there_is_said() -> None:
    with pytest.raises(EquipmentError, match="no connection"):
        follow(WitnessClient("http://127.0.0.1:1", bearing()))


def test_somebody_else_there_is_said(server: WitnessServer) -> None:
    with pytest.raises(EquipmentError, match="answers 404"):
        follow(WitnessClient(server.url + "/elsewhere", bearing()))


def test_where_a_look_is_still_under_way_at_the_end_no_other_tells_the_same() -> None:
    asked, answer = threading.Event(), threading.Event()
    looks: list[str] = []

    class Slow(Follower):
        def look(self, asked_at: float) -> Iterator[Event]:
            looks.append(threading.current_thread().name)
            if threading.current_thread() is not threading.main_thread():
                asked.set()
                answer.wait(10)
            yield from ()

        def stop(self, timeout_s: float = 0.01) -> None:
            super().stop(timeout_s)

    follower = Slow("slow", 0.05, lambda _: None)
    follower.begin()
    assert asked.wait(10)
    follower.end()
    answer.set()
    assert looks == ["MainThread", "slow"]
