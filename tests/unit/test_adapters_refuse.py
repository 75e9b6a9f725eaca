"""An adapter says ok only of what it saw: an effect or an undo that its thing does not show is refused in words."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit.adapters import cgroup, managers, nft, path, tc
from chaoskit.adapters.base import Adapter
from chaoskit.adapters.cgroup import enter
from chaoskit.adapters.docker import Engine
from chaoskit.adapters.managers import Manager, State, managed
from chaoskit.adapters.supervisor import Supervisord
from chaoskit.faults import control_api
from chaoskit.faults import slice as slice_faults
from chaoskit.faults.base import Fault, FaultError, Made, Target, Undo
from chaoskit.faults.database import DbSlow, Lock
from chaoskit.faults.registry import known
from chaoskit.handles import ways
from chaoskit.handles.address import Address

HERE = {"program": "w"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come is given up at once."""
    monkeypatch.setattr(control_api, "_UNDO_S", 0.05)
    monkeypatch.setattr(managers, "_STATE_S", 0.05)
    monkeypatch.setattr(managers, "_LOOK_S", 0.01)
    monkeypatch.setattr(nft, "_COUNT_S", 0.05)


class Deaf(Manager):
    """A manager that does what its tests say, and nothing that it is asked for."""

    def __init__(self, **state: Any) -> None:
        self.now = State(**{"up": True, "said": "RUNNING", "policy": "always", **state})

    def state(self, name: str) -> State:
        return self.now

    def start(self, name: str) -> None:
        """Nothing."""

    def stop(self, name: str) -> None:
        """Nothing."""


def stopping(manager: Deaf) -> tuple[Fault[Any], Callable[[], Undo]]:
    """process.stop of one program, and its token."""
    fault = managed(lambda at: manager)[1]
    target = Target("role:w", ("w-1",), Address(via="supervisor", keys=HERE, max_s=30.0))
    return fault, lambda: {**fault.prepare(target, fault.settings()), "via": "supervisor"}


@pytest.mark.parametrize("state", [{"up": False, "said": "FATAL"}, {"paused": True, "said": "FATAL"}])
def test_what_does_not_run_is_not_broken(state: dict[str, Any]) -> None:
    with pytest.raises(FaultError, match=r"w-1 \(role:w\) is not running: FATAL"):
        stopping(Deaf(**state))[1]()


def test_a_stop_after_which_the_manager_shows_it_running_is_no_effect() -> None:
    fault, token = stopping(Deaf())
    with pytest.raises(FaultError, match=r"w-1: process.stop was done, and it is RUNNING all the same"):
        fault.start(token())


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"up": False, "said": "BACKOFF"}, "w-1 was started, and is BACKOFF"),
        ({"policy": "no"}, "w-1 runs, but its restart policy is no, and was always"),
    ],
)
def test_an_undo_that_does_not_bring_back_the_state_of_before_is_none(after: dict[str, Any], said: str) -> None:
    manager = Deaf()
    fault, token = stopping(manager)
    undo = token()
    manager.now = Deaf(**after).now
    with pytest.raises(FaultError, match=said):
        fault.stop(undo)


def test_a_token_of_other_things_than_the_journals_is_not_obeyed(tmp_path: Path) -> None:
    fault, token = stopping(Deaf())
    made = Made(tmp_path, ("w-2",), {}, {"via": "supervisor", "keys": HERE})
    with pytest.raises(FaultError, match="its undo names w-1, its targets are w-2"):
        fault.vouch(token(), made)


def test_one_name_in_two_groups_of_supervisord_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [{"group": "a", "name": "w"}, {"group": "b", "name": "w"}]
    monkeypatch.setattr(Supervisord, "_ask", lambda self, method, *given, **more: both)
    with pytest.raises(FaultError, match="w: two groups have a process w; name one group"):
        Supervisord(HERE).names()
    with pytest.raises(FaultError, match="supervisord knows no w of elsewhere"):
        Supervisord({"program": "elsewhere"}).state("w")


def test_a_supervisord_that_is_not_there_is_named() -> None:
    with pytest.raises(FaultError, match=r"supervisord at http://127.0.0.1:9 gives no answer: .*refused"):
        Supervisord({**HERE, "server": "http://127.0.0.1:9"}).names()


class Dying:
    """Docker's client and its one container, which a stop ends some looks later, and which runs until then."""

    def __init__(self) -> None:
        self.begun, self.told, self.running, self.looks, self.starts = time.time() - 60, 0.0, True, 0, 0
        self.containers = SimpleNamespace(get=lambda name: self)

    @property
    def attrs(self) -> dict[str, Any]:
        if self.told > self.begun:
            self.looks += 1
            self.running = self.looks < 4
        # As the engine writes it: with nanoseconds.
        begun = f"{datetime.fromtimestamp(self.begun, UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
        state = {"Running": self.running, "Paused": False, "Status": "running", "StartedAt": begun}
        return {"State": state, "HostConfig": {}}

    def events(self, since: float, until: float, filters: dict[str, str]) -> Iterator[dict[str, str]]:
        assert filters == {"type": "container", "container": "shop", "event": "kill"}
        yield from [filters] if since <= self.told <= until else []

    def start(self) -> None:
        if not self.running:
            self.begun, self.running, self.starts = time.time(), True, self.starts + 1

    def close(self) -> None:
        """Nothing."""


def test_a_container_that_is_still_being_stopped_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine goes on with a stop whose client is dead, and calls the container running meanwhile."""
    engine, errors = Dying(), SimpleNamespace(DockerException=OSError)
    monkeypatch.setitem(sys.modules, "docker", SimpleNamespace(DockerClient=lambda **_: engine, errors=errors))
    monkeypatch.setattr(managers, "_STATE_S", 10)
    shop, keys = managed(Engine)[1], {"container": "shop"}
    undo = shop.prepare(Target("role:shop", ("shop",), Address(via="docker", keys=keys, max_s=30.0)), shop.settings())
    engine.told = time.time()
    assert (Engine(keys).state("shop").up, Engine(keys).state("shop").said) == (False, "being stopped")
    assert shop.stop(undo).detail == "shop is running"
    assert engine.starts == 1
    engine.told = engine.begun - 1
    assert Engine(keys).state("shop").up, "what it was told before its start is past"
    engine.begun, engine.told, engine.looks = time.time() - 60, time.time() - 30, -9
    assert Engine(keys).state("shop").up, "what it outlived is past"


def by(kind: str, via: str) -> Any:
    """The part of a kind that acts through an adapter."""
    return known()[kind].by_via[via]  # type: ignore[attr-defined]


def test_a_file_after_which_as_much_is_free_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path, "_free", lambda folder: 10**9)
    fill = by("disk.fill", "path")
    target = Target("slice:s", (str(tmp_path),), Address(via="path", keys={"path": str(tmp_path)}, max_s=30.0))
    undo = fill.prepare(target, fill.settings.model_validate({"size": "1MiB"}))
    with pytest.raises(FaultError, match=r"statvfs of .*0.* of 1.* MiB less are free"):
        fill.start(undo)
    fill.stop(undo)
    assert list(tmp_path.iterdir()) == []


class Loose(Lock):
    """A lock that keeps out no writer."""

    def take(self) -> None:
        """Nothing."""

    def let_go(self) -> None:
        """Nothing."""

    def kept_out(self) -> bool:
        return False


def test_a_lock_that_keeps_no_writer_out_slows_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for slow, where in ((by("db.slow", "postgres"), {"at": {"table": "orders"}}), (DbSlow(), {"file": "crm.db"})):
        monkeypatch.setattr(type(slow), "locking", lambda self, undo: contextlib.nullcontext(Loose()))
        with pytest.raises(FaultError, match="the lock is held, and another writer gets the lock too"):
            slow.start({**where, "locked_s": 0.1})


def test_a_group_that_takes_no_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.adapters.cgroup._file", lambda *_: tmp_path / "gone" / "cgroup.procs")
    with pytest.raises(FaultError, match=r"no process may enter .*gone: No such file"):
        enter("/shop", [1], ("cpu",))


@pytest.mark.parametrize(
    ("file", "text", "used_s"),
    [
        ("shop/cpu.stat", "usage_usec 2500000\nuser_usec 1\n", 2.5),
        ("cpuacct/shop/cpuacct.usage", "2500000000\n", 2.5),
        ("cpu/shop/cpu.stat", "nr_periods 0\nnr_throttled 0\n", None),
    ],
)
def test_a_group_is_counted_as_the_kernel_counts_it_in_either_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, used_s: float | None
) -> None:
    """And a burner that tops it up is told of the same file."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    target = Target("slice:s", ("s",), Address(via="cgroup", keys={"path": "/shop"}, max_s=30.0))
    burn = by("cpu.burn", "cgroup")
    settings = burn.settings.model_validate({"cores": 0.35, "top_up": True})
    if used_s is None:
        with pytest.raises(FaultError, match="the control group /shop is not there, or does not count processor time"):
            burn.prepare(target, settings)
    else:
        undo = burn.prepare(target, settings)
        assert undo["whole"][:2] == ["Group", str(tmp_path / file)]
        assert cgroup.processor_s("/shop") == slice_faults._counting(undo)() == used_s


def test_a_netem_that_stays_or_delays_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    delay = by("net.delay", "tc")
    undo = {"at": {"dev": "eth0", "probe": "10.0.0.1:7"}, "handle": "8001:", "netem": ["delay", "200ms"]}
    monkeypatch.setattr(tc, "_qdiscs", lambda dev: [{"handle": "8001:", "kind": "netem"}])
    monkeypatch.setattr(tc, "program", lambda *words, **more: "")
    with pytest.raises(FaultError, match="netem 8001: of eth0 is still there"):
        delay.stop(undo)
    monkeypatch.setattr(tc, "_echo_s", lambda undo: 0.001)
    with pytest.raises(FaultError, match=r"an echo of 10.0.0.1:7: .* s later"):
        delay.start(undo)


def test_a_rule_that_connections_pass_by_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reset = by("tcp.reset", "nft")
    undo = {"id": "chaoskit_1", "at": {"to": "127.0.0.1:9"}, "until": 0.0}
    monkeypatch.setattr(nft, "program", lambda *words, **more: '{"nftables": []}')
    monkeypatch.setattr(nft, "left_s", lambda undo: 30.0)
    with pytest.raises(FaultError, match=r"the rule for 127.0.0.1:9 was made, and a connection passes it by"):
        reset.start(undo)
    monkeypatch.setattr(nft, "_tables", lambda: ["chaoskit_1"])
    with pytest.raises(FaultError, match="the table chaoskit_1 was deleted, and is still there"):
        reset.stop(undo)


@pytest.mark.parametrize(
    "via", sorted(one.via for one in ways().values() if issubclass(one, Adapter) and one.kind == "queue")
)
def test_messages_of_another_batch_are_not_deleted(via: str, tmp_path: Path) -> None:
    flood = by("queue.flood", via)
    target = Target("queue:q", ("q",), Address(via=via, keys={"queue": "q"}, max_s=30.0))
    undo = {**flood.found(target), "via": via}
    made = Made(tmp_path, ("q",), {}, {"via": via, "keys": {"queue": "q"}})
    assert undo["batch"] in flood.vouch(undo, made)
    with pytest.raises(FaultError, match="'theirs' is no batch of this fault"):
        flood.vouch({**undo, "batch": "theirs"}, made)


def test_a_kind_that_needs_an_adapter_does_and_vouches_for_nothing_without(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"net.delay was made without via:, so chaoskit does nothing"):
        known()["net.delay"].start({})
    assert known()["net.delay"].stop({}).detail == "nothing was done"
    with pytest.raises(FaultError, match=r"this is no undo token of net.delay, which is done via an adapter"):
        known()["net.delay"].vouch({}, Made(tmp_path, (), {}, {}))


def test_a_fault_without_levels_is_not_changed() -> None:
    with pytest.raises(FaultError, match=r"tcp.reset via nft has no levels: undo the fault, inject it anew"):
        known()["tcp.reset"].change({"via": "nft"})  # type: ignore[attr-defined]
