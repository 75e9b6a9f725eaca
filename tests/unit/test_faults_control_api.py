"""Faults do not believe what they are told: an interface that says yes and does nothing is found out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from chaoskit.faults import cache_thrash, control_api, link, processes, queue_batch, silence
from chaoskit.faults.base import Fault, FaultError, Lapsed, Target, Undo
from chaoskit.faults.cache_thrash import CacheThrash
from chaoskit.faults.link import TcpReset
from chaoskit.faults.queue_batch import QueueDeadLetters, QueueFlood, QueueReplay, QueueReplaySettings
from chaoskit.faults.silence import Silence
from chaoskit.handles.address import Address
from chaoskit.handles.equipment import EquipmentAddress
from tests.http_stub import Handler, serving

Answer = tuple[int, Any]
EMPTY = {"depth": 0, "dead_letters": 0, "replaying": 0}
FULL = {"entries": 4, "capacity": 4, "hits": 0, "misses": 0, "evictions": 0}


class Liar:
    """An interface whose answers the test makes up, by method and the path's first part."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.asked: list[str] = []
        self.url = ""

    def says(self, key: str, status: int, body: Any) -> None:
        self.answers[key] = lambda: (status, body)

    def target(self, handle: str, **more: Any) -> Target:
        return Target(handle, (handle.partition(":")[2],), Address(**{"url": self.url, "service": self.url, **more}))


@pytest.fixture
def liar() -> Iterator[Liar]:
    one = Liar()

    class Api(Handler):
        def _any(self) -> None:
            self.read()
            key = f"{self.command} /{self.path.partition('?')[0].split('/')[1]}"
            one.asked.append(f"{self.command} {self.path}")
            status, body = one.answers.get(key, lambda: (200, {}))()
            self.answer(body, status)

        do_GET = do_PUT = do_POST = do_DELETE = _any

    with serving(Api) as server:
        one.url = server.url
        yield one


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the real thing waits seconds for is given up soon."""
    monkeypatch.setattr(control_api, "_UNDO_S", 0.3)
    monkeypatch.setattr(control_api, "SILENCE_S", 0.3)
    monkeypatch.setattr(queue_batch, "_LEVEL_S", 0.3)
    monkeypatch.setattr(link, "_FIRST_HIT_S", 0.3)
    monkeypatch.setattr(silence, "_SEEN_S", 0.3)
    monkeypatch.setattr(cache_thrash, "_EFFECT_S", 3.0)
    monkeypatch.setattr(cache_thrash, "_FIRST_S", 0.0)


def prepared(kind: Fault[Any], where: Target, **settings: Any) -> Undo:
    return kind.prepare(where, kind.settings.model_validate(settings))


def test_no_more_of_a_links_calls_are_hit_than_the_profile_allows(liar: Liar) -> None:
    where = liar.target("link:upstream", limits={"connections": 0.5})
    with pytest.raises(FaultError, match=r"tcp\.reset on 0\.6 of the calls is beyond .* limits\.connections of 0\.5"):
        prepared(TcpReset(), where, ratio="60%")
    token = prepared(TcpReset(), where, ratio="50%")
    with pytest.raises(FaultError, match=r"limits\.connections"):
        TcpReset().alter(token, TcpReset().settings.model_validate({"ratio": "51%"}))
    assert TcpReset().alter(token, TcpReset().settings.model_validate({"ratio": "40%"}))["toxic"]["ratio"] == 0.4


def test_a_toxic_that_is_taken_and_not_listed_is_no_effect(liar: Liar) -> None:
    token = prepared(TcpReset(), liar.target("link:upstream"))
    liar.says("GET /toxics", 404, {"error": "no such toxic"})
    with pytest.raises(FaultError, match="took the toxic on upstream, and does not list it"):
        TcpReset().start(token)


def test_a_toxic_that_is_deleted_and_still_listed_is_not_healed(liar: Liar) -> None:
    token = prepared(TcpReset(), liar.target("link:upstream"))
    liar.says("GET /toxics", 200, {"seen": 0, "hit": 0})
    with pytest.raises(FaultError, match="is still listed"):
        TcpReset().stop(token)


def test_a_silence_that_is_taken_and_not_shown_is_no_effect_and_one_that_stays_is_not_healed(liar: Liar) -> None:
    where = Target("equipment:alertmanager", ("alertmanager",), EquipmentAddress(alertmanager={"url": liar.url}))
    token = prepared(Silence(), where, matchers="alertname=A")
    liar.says("GET /api", 200, [])
    with pytest.raises(FaultError, match="took the silence and did not show it as active"):
        Silence().start(token)
    liar.says("GET /api", 200, [{"id": "1", "comment": token["comment"], "status": {"state": "active"}}])
    with pytest.raises(FaultError, match="is still active"):
        Silence().stop(token)
    assert "DELETE /api/v2/silence/1" in liar.asked
    liar.says("GET /api", 200, [{"id": "1"}])
    with pytest.raises(FaultError, match="the list of silences is not Alertmanager's format"):
        Silence().stop(token)


def test_calls_that_come_by_and_are_not_hit_are_told(liar: Liar) -> None:
    token = prepared(TcpReset(), liar.target("link:upstream"), ratio="1%")
    liar.says("GET /toxics", 200, {"seen": 7, "hit": 0})
    assert TcpReset().start(token).detail.endswith("listed; 7 calls have come by, none is due yet")


def test_settings_that_the_proxy_refuses_are_told_in_its_words(liar: Liar) -> None:
    token = prepared(TcpReset(), liar.target("link:upstream"))
    liar.says("PUT /toxics", 400, {"error": "no such kind"})
    with pytest.raises(FaultError, match=r"PUT \S+: answered 400: .*no such kind"):
        TcpReset().start(token)


def test_an_interface_in_trouble_or_of_another_kind_is_told(liar: Liar) -> None:
    liar.says("GET /toxics", 503, {"error": "starting"})
    with pytest.raises(FaultError, match=r"answered 503.*starting"):
        prepared(TcpReset(), liar.target("link:upstream"))
    liar.says("GET /toxics", 200, b"<html>")
    with pytest.raises(FaultError, match="answered 200 and no JSON: <html>"):
        prepared(TcpReset(), liar.target("link:upstream"))


def test_an_undo_is_tried_again_until_it_succeeds(liar: Liar) -> None:
    token = prepared(TcpReset(), liar.target("link:upstream"))
    answers: Iterator[Answer] = iter([(503, {}), (503, {})])
    liar.answers["DELETE /toxics"] = lambda: next(answers, (200, {"removed": True}))
    liar.says("GET /toxics", 404, {})
    assert TcpReset().stop(token).detail == "tcp.reset off upstream"


def test_an_undo_is_done_by_the_answer_to_the_removal(liar: Liar) -> None:
    """Not before it was asked for; what makes sure of it afterwards does not make it later."""
    told: list[float] = []

    def told_now(answer: dict[str, Any]) -> Answer:
        told.append(time.time())
        return 200, answer

    toxic = prepared(TcpReset(), liar.target("link:upstream"))
    cache = prepared(CacheThrash(), liar.target("cache:reports"), path="/reports/{key}")
    liar.says("GET /queue", 200, EMPTY)
    queue = prepared(QueueDeadLetters(), liar.target("queue:tasks"), level=5)
    for kind, token, removal, look, missing in (
        (TcpReset(), toxic, "DELETE /toxics", "GET /toxics", (404, {})),
        (CacheThrash(), cache, "DELETE /cache", "GET /cache", (200, {**FULL, "entries": 0})),
        (QueueDeadLetters(), queue, "DELETE /queue", "GET /queue", (200, EMPTY)),
    ):
        told.clear()
        liar.answers[removal] = lambda: told_now({"removed": 5 if not told else 0, "dropped": 5})

        def looked(missing: Answer = missing) -> Answer:
            told.append(time.time())
            return missing

        liar.answers[look] = looked
        begun, gone_by = kind.stop(token).between
        assert begun <= told[0] <= gone_by <= told[1]


def test_a_hold_bears_a_moment_of_silence_and_no_more(liar: Liar) -> None:
    token = prepared(TcpReset(), liar.target("link:upstream"))
    answers: Iterator[Answer] = iter([(503, {}), (200, {"seen": 1, "hit": 1}), (503, {})])
    liar.answers["GET /toxics"] = lambda: next(answers, (404, {}))
    with pytest.raises(Lapsed, match=r"a program other than chaoskit took tcp\.reset off upstream"):
        TcpReset().hold(token, threading.Event())
    liar.says("GET /toxics", 503, {})
    with pytest.raises(Lapsed, match=r"unknown for .* s whether the fault is still in force"):
        TcpReset().hold(token, threading.Event())


@pytest.mark.parametrize(("kind", "what"), [(QueueFlood(), "depth"), (QueueDeadLetters(), "dead_letters")])
def test_a_level_that_is_never_reached_is_no_effect(liar: Liar, kind: Fault[Any], what: str) -> None:
    liar.says("GET /queue", 200, EMPTY)
    token = prepared(kind, liar.target("queue:tasks"), level=10)
    with pytest.raises(FaultError, match=f"tasks: {what} is 0 after .* of putting, 10 were wanted"):
        kind.start(token)


def test_a_flood_that_falls_whatever_is_put_is_a_lapse(liar: Liar) -> None:
    liar.says("GET /queue", 200, EMPTY)
    token = prepared(QueueFlood(), liar.target("queue:tasks"), level=10)
    with pytest.raises(Lapsed, match=r"weaker than asked for: 0 of 10 messages in tasks \(depth\)"):
        QueueFlood().hold(token, threading.Event())


def test_a_level_that_does_not_sink_is_no_change(liar: Liar) -> None:
    liar.says("GET /queue", 200, {**EMPTY, "dead_letters": 90})
    token = prepared(QueueDeadLetters(), liar.target("queue:tasks"), level=90)
    lower = QueueDeadLetters().alter(token, QueueDeadLetters().settings.model_validate({"level": 40}))
    with pytest.raises(FaultError, match="90 dead letters are there, 40 were wanted"):
        QueueDeadLetters().change(lower)


def test_a_replay_that_does_not_end_is_told(liar: Liar) -> None:
    liar.says("GET /queue", 200, {**EMPTY, "dead_letters": 5, "replaying": 2})
    liar.says("POST /dead-letters", 202, {"ids": [1, 2]})
    with pytest.raises(FaultError, match=r"queue:tasks: 2 replays were not done within 0\.1 s"):
        QueueReplay().run(liar.target("queue:tasks"), QueueReplaySettings(count=2, within_s=0.1))


def test_a_replay_of_all_where_there_are_none_asks_for_nothing(liar: Liar) -> None:
    liar.says("GET /queue", 200, EMPTY)
    assert QueueReplay().run(liar.target("queue:tasks"), QueueReplaySettings())[1] == {"replayed": 0, "left": 0}
    assert not any(asked.startswith("POST") for asked in liar.asked)


@pytest.mark.parametrize(
    ("effect", "left", "ends_when"),
    [("handed-over", 3, "handed over"), ("handed-over", 4, "done"), ("outcome", 3, "done")],
)
def test_a_replay_took_effect_when_the_letters_had_left_if_that_is_asked_for_and_none_came_back(
    liar: Liar, effect: str, left: int, ends_when: str
) -> None:
    """What follows the handing over is the workers' time; the limit on their number knows nothing of it."""
    looks: list[float] = []

    def census() -> Answer:
        looks.append(time.time())
        dead, replaying = (5, 0) if len(looks) == 1 else (3, 2) if len(looks) < 4 else (left, 0)
        return 200, {**EMPTY, "dead_letters": dead, "replaying": replaying}

    liar.answers["GET /queue"] = census
    liar.says("POST /dead-letters", 202, {"ids": [1, 2]})
    settings = QueueReplaySettings.model_validate({"count": 2, "effect": effect})
    seen, result = QueueReplay().run(liar.target("queue:tasks"), settings)
    assert result == {"replayed": 2, "left": left}
    assert len(looks) == 4, "the outcome was awaited in any case"
    assert seen.between[0] <= looks[0]
    assert (seen.between[1] <= looks[1]) == (ends_when == "handed over")
    assert (seen.between[1] >= looks[3]) == (ends_when == "done")


def test_the_first_entry_pushed_out_is_known_to_one_key_however_many_are_due(liar: Liar) -> None:
    """Thirty keys are due at once where others look up a lot; when the first one goes is not known to all of those."""
    cache = {"entries": 30, "capacity": 40, "hits": 0, "misses": 0, "evictions": 0}
    asked: set[str] = set()

    def statistics() -> Answer:
        cache["hits"] += 30  # the others'
        return 200, dict(cache)

    def look_up() -> Answer:
        known, _ = liar.asked[-1] in asked, asked.add(liar.asked[-1])
        if not known:
            cache["entries" if cache["entries"] < cache["capacity"] else "evictions"] += 1
        cache["hits" if known else "misses"] += 1
        return 200, {}

    liar.answers |= {"GET /cache": statistics, "GET /reports": look_up}
    CacheThrash().start(prepared(CacheThrash(), liar.target("cache:reports"), path="/reports/{key}"))
    looks = [number for number, what in enumerate(liar.asked) if what.startswith("GET /cache")]
    assert len(set(liar.asked[looks[-2] + 1 : looks[-1]])) == 1
    assert len(looks) < 10, "the room that is left is not filled one by one"


def test_a_cache_that_pushes_nothing_out_is_not_thrashed(liar: Liar) -> None:
    liar.says("GET /cache", 200, FULL)
    token = prepared(CacheThrash(), liar.target("cache:reports"), path="/reports/{key}")
    with pytest.raises(FaultError, match="pushed nothing out of the cache"):
        CacheThrash().start(token)
    assert any(asked.startswith("GET /reports/thrash-") for asked in liar.asked), "it did try"


def test_entries_that_are_dropped_and_still_there_are_not_healed(liar: Liar) -> None:
    liar.says("GET /cache", 200, FULL)
    token = prepared(CacheThrash(), liar.target("cache:reports"), path="/reports/{key}")
    liar.says("DELETE /cache", 200, {"dropped": 4})
    with pytest.raises(FaultError, match=r"4 entries .* still in the cache"):
        CacheThrash().stop(token)


def test_a_stranger_on_the_port_of_something_that_ended_with_its_owner_is_left_alone(
    liar: Liar, tmp_path: Path
) -> None:
    """The owner is gone and so is its folder with the token: whoever answers there now is somebody else."""
    secret = tmp_path / "token"
    secret.write_text("x")
    owner = psutil.Popen(["sleep", "60"])
    try:
        token = prepared(TcpReset(), liar.target("link:upstream", token_file=str(secret), owner=owner.pid))
    finally:
        owner.kill()
        owner.wait(timeout=10)
    secret.unlink()
    asked = len(liar.asked)
    assert TcpReset().stop(token).detail == "the system that the fault was in is gone"
    assert len(liar.asked) == asked
    assert not processes.alive(token["at"]["owner"])


def test_a_level_is_changed_though_its_holder_puts_as_many_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = 60

    def put(batch: str, what: str, count: int, **more: object) -> None:
        nonlocal there
        there += 2 * count

    def remove(batch: str, count: int) -> int:
        nonlocal there
        there -= count
        return count

    queue: Any = SimpleNamespace(census=lambda batch=None: {"depth": there}, put=put, remove=remove)
    flood = QueueFlood()
    monkeypatch.setattr(flood, "broker", lambda _: queue)
    assert flood.change({"level": 130, "queue": "tasks", "batch": "b"}).detail == "tasks: depth 136"
    assert flood.change({"level": 40, "queue": "tasks", "batch": "b"}).detail == "tasks: depth 42"


def test_a_level_is_reached_while_the_last_messages_are_put(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while the census is asked before and after: that shows less, and that shows enough."""
    clock = SimpleNamespace(now=100.0)
    counts = iter([3, 7, 10])

    def census() -> dict[str, int]:
        clock.now += 5.0
        return {"depth": next(counts)}

    def put(*given: object, **more: object) -> None:
        clock.now += 1.0

    queue: Any = SimpleNamespace(census=census, put=put)
    monkeypatch.setattr(queue_batch, "time", SimpleNamespace(time=lambda: clock.now, monotonic=lambda: 0.0))
    token = {"level": 10, "queue": "tasks", "batch": "b"}
    flood = QueueFlood()
    monkeypatch.setattr(flood, "broker", lambda _: queue)
    assert flood.start(token).between == (111.0, 112.0)
    counts = iter([10])
    assert flood.start(token).between == (117.0, 122.0)
