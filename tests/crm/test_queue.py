"""The queue by itself: leases, fencing, dead letters, replays."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.crm import queue as queue_module
from chaoskit.crm.config import Config
from chaoskit.crm.queue import Census, Draft, Queue, draft, parked_letter


class FakeTime:
    """Stands in for the wall clock in the queue."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(queue_module, "time", fake)
    return fake


@pytest.fixture
def queue(tmp_path: Path, wall: FakeTime) -> Iterator[Queue]:
    config = Config(data_dir=str(tmp_path), admin_token_file="", time_scale=10)
    queue_module.prepare(config)
    one = Queue(config, None)
    yield one
    one.file.close()


def test_a_message_is_leased_to_one_worker_and_gone_when_finished(queue: Queue) -> None:
    [number] = queue.put([Draft("follow-up", {"lead_id": 7})])
    message = queue.take()
    assert message
    assert (message.id, message.payload, message.attempts) == (number, {"lead_id": 7}, 1)
    assert queue.take() is None
    assert queue.census().depth == 1, "leased messages are still in the queue"
    assert queue.finish(message)
    assert queue.census().depth == 0


def test_a_look_at_an_empty_queue_waits_for_no_writer(queue: Queue, tmp_path: Path) -> None:
    """Workers look three times a second; an update, though of nothing, would need the lock."""
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.db")) as writer, writer:
        writer.execute("BEGIN IMMEDIATE")
        assert queue.take() is None
        assert queue.census().depth == 0


def test_a_lease_that_runs_out_makes_it_available_and_its_old_holder_powerless(queue: Queue, wall: FakeTime) -> None:
    queue.put([Draft("follow-up", {}, lease_vs=30)])
    first = queue.take()
    wall.now += 2.9
    assert queue.take() is None
    wall.now += 0.2
    second = queue.take()
    assert first
    assert second
    assert second.attempts == 2
    assert not queue.finish(first)
    assert not queue.bury(first)
    assert queue.finish(second)


def test_a_retry_waits_its_time(queue: Queue, wall: FakeTime) -> None:
    queue.put([Draft("follow-up", {})])
    message = queue.take()
    assert message
    assert queue.retry(message, after_vs=20)
    wall.now += 1.9
    assert queue.take() is None
    wall.now += 0.2
    assert queue.take()


def test_messages_are_taken_oldest_first(queue: Queue) -> None:
    numbers = queue.put([Draft("follow-up", {})] * 5)
    taken = [queue.take() for _ in numbers]
    assert [message.id for message in taken if message] == numbers


def test_a_replay_takes_as_many_as_asked_keeps_ids_and_gets_one_attempt(queue: Queue) -> None:
    numbers = queue.put([parked_letter(True)] * 5)
    assert queue.census().dead_letters == 5
    assert queue.replay(count=3) == numbers[:3]
    census = queue.census()
    assert (census.depth, census.dead_letters, census.replaying) == (3, 2, 3)
    message = queue.take()
    assert message
    assert (message.replay, message.max_attempts, message.id) == (True, 1, numbers[0])
    assert queue.bury(message)
    assert queue.census().dead_letters == 3
    assert queue.replay(count=10) == [numbers[0], *numbers[3:]], "two are queued already"


def test_messages_are_removed_wherever_they_stand_and_ids_are_never_used_again(queue: Queue) -> None:
    numbers = queue.put([Draft("follow-up", {}, batch="b"), parked_letter(True, "b")])
    queue.take()
    assert queue.remove("b") == 2
    assert queue.remove("b") == 0
    assert queue.put([Draft("follow-up", {})])[0] > max(numbers)


def test_a_lease_outlasts_the_work(queue: Queue) -> None:
    assert draft("campaign", {"recipients": 50}).lease_vs == 80
    assert draft("agent-task", {"agent": "account-researcher", "lead_id": 1}).lease_vs == 150


def test_a_batch_is_found_again_without_ids_and_goes_newest_first(queue: Queue) -> None:
    ours = queue.put([draft("follow-up", {"lead_id": 1}, "b1")] * 3)
    queue.put([parked_letter(True, "b1"), Draft("follow-up", {}, batch="b2")])
    census = queue.census("b1")
    assert (census.depth, census.dead_letters) == (3, 1)
    assert queue.census("nobody's").depth == 0
    assert queue.remove("b1", 2) == 2
    left = queue.take()
    assert left
    assert left.id == ours[0]
    assert queue.remove("b1") == 2, "also what is leased"
    assert queue.remove("b1") == 0
    assert queue.census().depth == 1


def test_a_look_that_fails_is_an_error_and_the_next_one_can_be_made(queue: Queue) -> None:
    with queue.file.begin() as execute:
        execute("ALTER TABLE messages RENAME TO away")
    for look in (queue.take, queue.census):
        with pytest.raises(sqlite3.Error, match="no such table"):
            look()
    with queue.file.begin() as execute:
        execute("ALTER TABLE away RENAME TO messages")
    assert queue.census() == Census(0, 0, 0)
