"""via docker: containers of this host's Docker, found by name.

The engine's own state is what counts. A container that is ended through the engine is not restarted by its policy until
it is started again, so the policy is never touched; a plain process.kill kills its process as a crash would.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from chaoskit.adapters.base import Adapter, client
from chaoskit.adapters.managers import Manager, State, local_process, managed
from chaoskit.faults.base import FaultError, Kind

_SOCKET = "unix:///var/run/docker.sock"
_ANSWER_S = 20
_GRACE_S = 10
"""The time that a container has to end after a stop; the engine calls it running all the while."""


@dataclass(frozen=True, kw_only=True)
class Docker(Adapter):
    """Containers of Docker on this host."""

    kind: ClassVar[str] = "role"
    via: ClassVar[str] = "docker"
    needs_extra: ClassVar[tuple[str, ...]] = ("docker",)
    exclusive: ClassVar[bool] = True
    seen_by: ClassVar[str] = "the engine's state of the container"
    undone_by: ClassVar[str] = "the state of before; the restart policy is never touched"
    ends: ClassVar[str] = "the holder, which lives on when the run is killed"
    example: ClassVar[str] = "role: {worker: {via: docker, container: 'shop-worker-*', label: container}}"

    container: str
    """The container's name, or a pattern of names with `*`."""
    socket: str = ""
    """Where the engine answers: `unix:///var/run/docker.sock`, if nothing is said."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return managed(Engine)

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the profile names an engine on another host."""
        yield from super().wrong()
        if self.socket and not self.socket.startswith("unix:///"):
            yield "socket", "must be a socket of this host", f"write {_SOCKET}"

    def look(self) -> tuple[str, ...]:
        """The containers of that name, running or not."""
        return Engine(self.keys()).names()


class Engine(Manager):
    """The Docker engine, asked through its own Python client."""

    def __init__(self, at: Mapping[str, str]) -> None:
        self._at, self._docker = at, client("docker", "docker")

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        try:
            url = self._at.get("socket") or _SOCKET
            with contextlib.closing(self._docker.DockerClient(base_url=url, timeout=_ANSWER_S)) as engine:
                yield engine
        except (self._docker.errors.DockerException, OSError) as error:
            raise FaultError(f"Docker: {' '.join(str(error).split())[:400]}") from None

    def names(self) -> tuple[str, ...]:
        """The containers that the handle means."""
        with self._asking() as engine:
            found = (one.name for one in engine.containers.list(all=True, ignore_removed=True))
            return tuple(sorted(one for one in found if fnmatchcase(one, self._at["container"])))

    def inspect(self, name: str) -> dict[str, Any]:
        """All that the engine says of one container; raises FaultError where it has none of that name."""
        with self._asking() as engine:
            found: dict[str, Any] = engine.containers.get(name).attrs
            return found

    def state(self, name: str) -> State:
        found = self.inspect(name)
        told = found["State"]
        process, _ = local_process(told.get("Pid", 0), name)
        policy = found["HostConfig"].get("RestartPolicy")
        if told["Running"] and self._ending(name, told["StartedAt"]):
            return State(False, told["Paused"], process, "being stopped", policy)
        return State(told["Running"], told["Paused"], process, told["Status"], policy)

    def _ending(self, name: str, started: str) -> bool:
        """Whether it was told to end since it was started, so lately that the engine may still end it."""
        now, wanted = time.time(), {"type": "container", "container": name, "event": "kill"}
        since = max(datetime.fromisoformat(started).timestamp(), now - _GRACE_S - 2)
        with self._asking() as engine:
            return any(True for _ in engine.events(since=since, until=now, filters=wanted))

    def start(self, name: str) -> None:
        with self._asking() as engine:
            engine.containers.get(name).start()

    def stop(self, name: str) -> None:
        # One that is being restarted has no process, and is kept down all the same.
        with self._asking() as engine:
            engine.containers.get(name).stop(timeout=_GRACE_S)

    def pause(self, name: str, before: State) -> None:
        with self._asking() as engine:
            engine.containers.get(name).pause()

    def resume(self, name: str, before: State) -> None:
        if self.state(name).paused:
            with self._asking() as engine:
                engine.containers.get(name).unpause()
