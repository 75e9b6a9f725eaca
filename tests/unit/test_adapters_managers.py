"""What a manager calls stopped may live on for a while: a service is down once its process is gone as well."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from chaoskit.adapters.managers import ManagedKill, ManagedStop, Manager, State, local_process
from chaoskit.faults.base import Undo

UNDO: Undo = {"hold": True}


@dataclass
class Slow(Manager):
    """A manager that starts what died before the order to stop it comes, and then lets it end when it likes."""

    runs: subprocess.Popen[bytes]
    up: bool = True
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def state(self, name: str) -> State:
        process, _ = local_process(self.runs.pid, name) if self.runs.poll() is None else (None, False)
        return State(self.up, process=process, said="RUNNING" if self.up else "STOPPING")

    def start(self, name: str) -> None:
        self.runs, self.up = subprocess.Popen(["sleep", "600"]), True
        self.started.append(self.runs)

    def stop(self, name: str) -> None:
        if self.runs.poll() is not None or self.runs.wait(5) is not None:
            self.start(name)
        self.up = False


@pytest.fixture
def slow() -> Iterator[Slow]:
    one = Slow(subprocess.Popen(["sleep", "600"]))
    yield one
    for process in (one.runs, *one.started):
        process.kill()
        process.wait()


def test_what_was_started_again_before_it_was_told_to_stop_is_killed_as_well(slow: Slow) -> None:
    kill, before = ManagedKill(lambda _: slow), slow.state("w")
    kill.strike(slow, "w", before, UNDO)
    [again] = slow.started
    assert again.wait(5) == -9
    assert kill.struck(slow, "w", before, UNDO)


@pytest.mark.parametrize("kind", [ManagedKill, ManagedStop])
def test_a_service_that_is_being_stopped_is_not_down_before_its_process_is_gone(
    slow: Slow, kind: type[ManagedKill] | type[ManagedStop]
) -> None:
    fault, before = kind(lambda _: slow), slow.state("w")
    slow.up = False
    assert not fault.struck(slow, "w", before, UNDO)
    slow.runs.kill()
    slow.runs.wait(5)
    assert fault.struck(slow, "w", before, UNDO)
