"""Whatever is killed at whatever instant: the thing's own tool sees nothing of the fault some seconds later."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.kill_adapters import Blow, blows, control, summed
from tests.staging.broken import MAKERS
from tests.staging_servers import program

pytestmark = [pytest.mark.staging, pytest.mark.timeout(1200)]
NEEDS = {
    "postgres": "postgres",
    "supervisor": "supervisord",
    "rq": "redis-server",
    "redis-list": "redis-server",
    "rabbitmq": "rabbitmq-server",
    "nft": "nft",
    "docker": "dockerd",
    "container": "dockerd",
}
KILLS = 10


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as one:
        yield one


@pytest.mark.parametrize("via", list(MAKERS))
def test_an_adapter_breaks_its_thing_and_ten_kills_leave_nothing(via: str, stack: ExitStack, tmp_path: Path) -> None:
    assert program(NEEDS.get(via, "sh")), "make test-staging installs it"
    if via in ("nft", "docker", "container", "cgroup") and os.geteuid():
        pytest.skip(f"via {via} needs root")
    things = MAKERS[via](stack, tmp_path)
    for one in things:
        assert control(one, tmp_path / "control" / one.name), "the thing's own tool sees the effect"
    chance = random.Random(via)
    done: list[Blow] = []
    for number, one in enumerate(things):
        for blow in blows(one, -(-KILLS // len(things)), chance, tmp_path / f"{number}"):
            done.append(blow)
            assert blow.left == [], blow
    sys.stdout.write(f"{via}: {summed(done)}\n")
    assert any(one.in_force for one in done), "some kills fall while the fault is in force"
