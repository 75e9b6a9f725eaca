"""Faults on the queue and the cache, and replays, against a real CRM: measured at its metrics page and its answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaoskit.faults import control_api, queue_batch
from chaoskit.faults.base import Fault, FaultError, Lapsed, Target
from chaoskit.faults.cache_thrash import CacheThrash
from chaoskit.faults.control_api import get
from chaoskit.faults.http_request import HttpRequest, HttpRequestSettings
from chaoskit.faults.queue_batch import QueueDeadLetters, QueueFlood, QueueReplay, QueueReplaySettings
from chaoskit.handles.address import Address
from tests.crm.conftest import RunningCrm
from tests.crm.faulting import await_true, held, hold_and_kill, prepared, stop_elsewhere, target, traffic

pytestmark = pytest.mark.stack
DEPTH, DEAD = "insa_worker_queue_depth", "insa_dead_letter_queue_size"
SMALL = {"kind": "follow-up", "payload": {"lead_id": 1}}
ENDPOINTS = {"path": "/reports/{key}"}


@pytest.fixture
def queue(crm: RunningCrm, tmp_path: Path) -> Iterator[Target]:
    """The queue; afterwards nothing of the test may be left in it."""
    crm.wait_healthy()
    one = target(crm, tmp_path, "queue:agent-tasks", "admin")
    yield one
    left = census(crm)
    assert (left["depth"], left["dead_letters"]) == (0, 0)


@pytest.fixture
def cache(crm: RunningCrm, tmp_path: Path) -> Target:
    return target(crm, tmp_path, "cache:reports", "admin", service=crm.url("api", ""))


def census(crm: RunningCrm) -> dict[str, int]:
    found: dict[str, int] = crm.ask("GET", "admin", "/queue").json()
    return found


def test_a_flood_stands_above_its_level_while_workers_take_from_it(
    crm: RunningCrm, queue: Target, tmp_path: Path
) -> None:
    """For longer than the four workers would need to bring it below; then removed from the token alone, twice."""
    token = prepared(QueueFlood(), queue, level=120)
    assert census(crm)["depth"] == 0, "prepare changes nothing"
    one = held(QueueFlood(), token, tmp_path, [])
    try:
        taken = max(crm.ask("POST", "admin", "/queue/messages", SMALL).json()["ids"])
        depths: list[int] = []

        def many_were_taken() -> bool:
            depths.append(census(crm)["depth"])
            newest = crm.ask("POST", "admin", "/queue/messages", SMALL).json()["ids"][0]
            return bool(newest > taken + 40)

        await_true(many_were_taken, "new messages in place of those taken", 30)
        assert min(depths) > 100
        await_true(lambda: crm.value(DEPTH) > 100, "the metric tells")
    finally:
        one.take_back()
    assert stop_elsewhere(QueueFlood(), token) == "agent-tasks: 0 messages removed"
    await_true(lambda: census(crm)["depth"] == 0, "the follow-ups of the test are done")


def test_a_flood_that_is_not_kept_is_worked_off(crm: RunningCrm, queue: Target, tmp_path: Path) -> None:
    lapses: list[str] = []
    one = held(QueueFlood(), prepared(QueueFlood(), queue, level=30, kept=False), tmp_path, lapses)
    try:
        await_true(lambda: census(crm)["depth"] < 20, "the workers take", 30)
    finally:
        one.take_back()
    assert lapses == []


@pytest.mark.parametrize(("before", "after"), [(60, 130), (130, 60)])
def test_a_flood_changes_its_level_without_running_dry(
    crm: RunningCrm, queue: Target, tmp_path: Path, before: int, after: int
) -> None:
    token = prepared(QueueFlood(), queue, level=before)
    one = held(QueueFlood(), token, tmp_path, [])
    try:
        with traffic(lambda: QueueFlood().broker(token).census()["depth"], 0.005) as depths:
            one.change(QueueFlood().alter(token, QueueFlood().settings.model_validate({"level": after})))
            await_true(lambda: len(depths) > 0, "a look at the depth")
        assert min(depths) > min(before, after) - 10
        assert after - 10 <= census(crm)["depth"] <= after + 2 * QueueFlood().spare(after)
    finally:
        one.take_back()


def test_dead_letters_are_a_level_and_a_replay_of_fifty_leaves_twenty_five(
    crm: RunningCrm, queue: Target, tmp_path: Path
) -> None:
    """Ten that were there count; the fault's own are gone after the undo, and the ten are not touched."""
    crm.ask("POST", "admin", "/dead-letters", {"count": 10, "replayable": False, "batch": "others"})
    try:
        lapses: list[str] = []
        one = held(QueueDeadLetters(), prepared(QueueDeadLetters(), queue, level=75), tmp_path, lapses)
        try:
            assert census(crm)["dead_letters"] == 75
            seen, result = QueueReplay().run(queue, QueueReplaySettings(count=60))
            assert result == {"replayed": 60, "left": 25}, "fifty of ours and the ten that can never succeed"
            assert "60 replayed" in seen.detail
            await_true(lambda: crm.value(DEAD) == 25, "the metric tells")
        finally:
            one.take_back()
        assert lapses == [], "being replayed is no lapse"
        assert census(crm)["dead_letters"] == 10
    finally:
        crm.ask("DELETE", "admin", "/queue/messages", {"batch": "others"})


def test_letters_that_cannot_be_replayed_are_dead_again(crm: RunningCrm, queue: Target) -> None:
    token = prepared(QueueDeadLetters(), queue, level=20, replayable=False)
    QueueDeadLetters().start(token)
    failures = crm.value('insa_dlq_replays_total{result="failure"}')
    _, result = QueueReplay().run(queue, QueueReplaySettings(count=20))
    assert result == {"replayed": 20, "left": 20}
    await_true(lambda: crm.value('insa_dlq_replays_total{result="failure"}') == failures + 20, "twenty failures")
    assert stop_elsewhere(QueueDeadLetters(), token) == "agent-tasks: 20 messages removed"


def test_dead_letters_rise_and_fall_to_other_levels(crm: RunningCrm, queue: Target) -> None:
    token = prepared(QueueDeadLetters(), queue, level=30)
    QueueDeadLetters().start(token)
    for level in (75, 40):
        token = QueueDeadLetters().alter(token, QueueDeadLetters().settings.model_validate({"level": level}))
        QueueDeadLetters().change(token)
        assert census(crm)["dead_letters"] == level
    QueueDeadLetters().stop(token)


def test_a_replay_of_more_than_there_are_is_refused_and_replays_none(crm: RunningCrm, queue: Target) -> None:
    with pytest.raises(FaultError, match="5 dead letters were to be replayed, there are 0"):
        QueueReplay().run(queue, QueueReplaySettings(count=5))


def test_more_dead_letters_than_the_level_are_no_rise(crm: RunningCrm, queue: Target) -> None:
    token = prepared(QueueDeadLetters(), queue, level=5)
    QueueDeadLetters().start(token)
    with pytest.raises(FaultError, match="has 5 dead letters already"):
        prepared(QueueDeadLetters(), queue, level=4)
    QueueDeadLetters().stop(token)


@pytest.mark.parametrize(("kind", "count"), [(QueueFlood(), "depth"), (QueueDeadLetters(), "dead_letters")])
def test_a_killed_runner_leaves_a_healed_queue(
    crm: RunningCrm, queue: Target, tmp_path: Path, kind: Fault[Any], count: str
) -> None:
    token = prepared(kind, queue, level=50)
    hold_and_kill(kind, token, tmp_path, lambda: census(crm)[count] >= 45)
    await_true(lambda: census(crm)[count] == 0, "the holder heals")


@pytest.mark.parametrize("what", ["depth", "dead_letters"])
def test_messages_of_a_put_whose_answer_was_lost_are_found_by_the_undo(
    crm: RunningCrm, queue: Target, what: queue_batch.What
) -> None:
    """Nobody ever learned their ids; others' messages stay."""
    kind: QueueFlood | QueueDeadLetters = QueueFlood() if what == "depth" else QueueDeadLetters()
    token = prepared(kind, queue, level=1)
    crm.ask("POST", "admin", "/dead-letters", {"count": 3, "batch": "others"})
    kind.broker(token).put(token["batch"], what, 40)
    kind.stop(token)
    left = census(crm)
    assert (left["depth"], left["dead_letters"]) == (0, 3)
    crm.ask("DELETE", "admin", "/queue/messages", {"batch": "others"})


@pytest.mark.parametrize("kind", [QueueFlood(), QueueDeadLetters()], ids=lambda kind: kind.kind)
def test_an_undo_without_a_start_removes_nothing(crm: RunningCrm, queue: Target, kind: Fault[Any]) -> None:
    assert kind.stop(prepared(kind, queue, level=50)).detail == "agent-tasks: 0 messages removed"


def test_a_queue_that_stops_answering_is_a_lapse(queue: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_api, "SILENCE_S", 0.3)
    token = prepared(QueueFlood(), queue, level=50)
    token["at"]["url"] = "http://127.0.0.1:9"
    with pytest.raises(Lapsed, match=r"unknown for .* s whether the fault is still in force"):
        QueueFlood().hold(token, threading.Event())


def test_thrashing_evicts_one_entry_in_five_look_ups_while_hits_stay_high(
    crm: RunningCrm, cache: Target, tmp_path: Path
) -> None:
    """Beside customers who only ask for what is warm: over 0.1 evictions a look-up, and over 70 % hits, throughout."""
    numbers = iter(range(1_000_000))

    def customer() -> int:
        return crm.http.get(crm.url("api", f"/reports/{next(numbers) % 40 + 1}"), timeout=10).status_code

    with traffic(customer, 0.01) as answers:
        before = counts(crm)
        one = held(CacheThrash(), prepared(CacheThrash(), cache, **ENDPOINTS), tmp_path, [])
        try:
            started = counts(crm)
            assert started["evictions"] > before["evictions"], "the effect was seen"
            assert share(before, started, "hits") > 0.7, "also while it is being filled"
            await_true(lambda: lookups(counts(crm)) > lookups(started) + 300, "three hundred look-ups", 30)
            now = counts(crm)
        finally:
            one.take_back()
    assert 0.15 < share(started, now, "evictions") < 0.25
    assert share(started, now, "hits") > 0.7
    assert set(answers) == {200}


def test_another_ratio_of_thrashing_is_in_force_after_a_change(crm: RunningCrm, cache: Target, tmp_path: Path) -> None:
    token = prepared(CacheThrash(), cache, **ENDPOINTS)
    with traffic(lambda: crm.http.get(crm.url("api", "/reports/1"), timeout=10).status_code, 0.01):
        one = held(CacheThrash(), token, tmp_path, [])
        try:
            one.change(CacheThrash().alter(token, CacheThrash().settings.model_validate({**ENDPOINTS, "ratio": "50%"})))
            changed = counts(crm)
            await_true(lambda: lookups(counts(crm)) > lookups(changed) + 200, "two hundred look-ups", 30)
            assert 0.4 < share(changed, counts(crm), "evictions") < 0.6
        finally:
            one.take_back()


def test_thrashing_is_undone_elsewhere_also_without_a_start_and_leaves_no_entry(crm: RunningCrm, cache: Target) -> None:
    token = prepared(CacheThrash(), cache, **ENDPOINTS)
    assert CacheThrash().stop(token).detail == "0 entries dropped"
    CacheThrash().start(token)
    mine = {"prefix": token["prefix"]}
    assert get(token["at"], "GET", "/cache", query=mine)["entries"] > 0
    assert stop_elsewhere(CacheThrash(), token) != "0 entries dropped"
    assert get(token["at"], "GET", "/cache", query=mine)["entries"] == 0
    assert CacheThrash().stop(token).detail == "0 entries dropped"


def test_a_killed_runner_leaves_no_thrashing(crm: RunningCrm, cache: Target, tmp_path: Path) -> None:
    token = prepared(CacheThrash(), cache, **ENDPOINTS)
    mine = {"prefix": token["prefix"]}

    def entries() -> int:
        found: int = get(token["at"], "GET", "/cache", query=mine)["entries"]
        return found

    hold_and_kill(CacheThrash(), token, tmp_path, lambda: entries() > 0)
    await_true(lambda: entries() == 0, "the holder heals")


def test_a_path_that_looks_nothing_up_is_named(cache: Target) -> None:
    token = prepared(CacheThrash(), cache, path="/nothing/{key}")
    with pytest.raises(FaultError, match=r"GET /nothing/thrash-\S+: answered 404, so the cache looked nothing up"):
        CacheThrash().start(token)


def counts(crm: RunningCrm) -> dict[str, int]:
    found: dict[str, int] = crm.ask("GET", "admin", "/cache").json()
    return found


def lookups(found: dict[str, int]) -> int:
    return found["hits"] + found["misses"]


def share(before: dict[str, int], after: dict[str, int], what: str) -> float:
    return (after[what] - before[what]) / (lookups(after) - lookups(before))


def test_a_request_is_made_once_and_its_status_decides(crm: RunningCrm) -> None:
    service = Target("", (), Address(url=crm.url("api", "")))
    body: dict[str, Any] = {"name": "Ada", "email": "ada@example.com"}
    asked = HttpRequestSettings(method="POST", path="/leads", body=body, expect=201)
    seen, result = HttpRequest().run(service, asked)
    assert result["status"] == 201
    assert seen.detail == "POST /leads: 201"
    with pytest.raises(FaultError, match=r"GET /leads/999999: answered 404, expected was 200: .*not in leads"):
        HttpRequest().run(service, HttpRequestSettings(path="/leads/999999"))
    with pytest.raises(FaultError, match=r"GET /health: no answer within 0\.5 s"):
        HttpRequest().run(
            Target("", (), Address(url="http://127.0.0.1:9")), HttpRequestSettings(path="/health", timeout_s=0.5)
        )
