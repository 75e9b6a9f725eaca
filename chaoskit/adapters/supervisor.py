"""via supervisor: programs that supervisord runs on this host, by its XML-RPC interface."""

from __future__ import annotations

import http.client
import xmlrpc.client
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar
from urllib.parse import urlsplit

from chaoskit.adapters.base import Adapter, carries_password, secret
from chaoskit.adapters.managers import Manager, State, local_process, managed
from chaoskit.faults.base import FaultError, Kind
from chaoskit.host.ports import LOOPBACKS
from chaoskit.host.unix_http import UnixConnection

_ANSWER_S = 5.0
_SOCKET = "unix:///var/run/supervisor.sock"
_UP = {"RUNNING", "STARTING"}
_DOWN_ALREADY = 70
_UP_ALREADY = 60


@dataclass(frozen=True, kw_only=True)
class Supervisor(Adapter):
    """Programs of supervisord."""

    kind: ClassVar[str] = "role"
    via: ClassVar[str] = "supervisor"
    exclusive: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ("password_file",)
    seen_by: ClassVar[str] = "supervisord's state of the program; for a pause, the process's"
    undone_by: ClassVar[str] = "the state of before"
    ends: ClassVar[str] = "the holder, which lives on when the run is killed"
    example: ClassVar[str] = "role: {worker: {via: supervisor, program: shop-worker, label: worker_name}}"

    program: str
    """A program or a group, or a pattern of names with `*`."""
    server: str = _SOCKET
    """Where supervisord answers on this host: `unix:///PATH` or `http://127.0.0.1:PORT`."""
    username: str = ""
    """supervisord's user, where its interface asks for one."""
    password_file: str = ""
    """The file that holds the user's password."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return managed(Supervisord)

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the server is on another host, or its address carries a password."""
        yield from super().wrong()
        parts = urlsplit(self.server)
        here = (parts.scheme == "unix" and parts.path) or parts.hostname in LOOPBACKS
        if parts.scheme not in ("unix", "http") or not here or carries_password(self.server):
            yield "server", "must be supervisord's of this host, without a password", f"write {_SOCKET}"

    def look(self) -> tuple[str, ...]:
        """The processes of the program that supervisord knows, running or not."""
        return tuple(sorted(Supervisord(self.keys()).names()))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, parts: Any, headers: list[tuple[str, str]]) -> None:
        super().__init__(headers=headers)
        self._parts = parts

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        if self._parts.scheme == "unix":
            return UnixConnection(self._parts.path, _ANSWER_S)
        return http.client.HTTPConnection(self._parts.hostname, self._parts.port or 9001, timeout=_ANSWER_S)


class Supervisord(Manager):
    """supervisord, asked over XML-RPC."""

    def __init__(self, at: Mapping[str, str]) -> None:
        self._at = at

    def _ask(self, method: str, *given: Any, fine: int = 0) -> Any:
        """The answer of one method; a fault of the number `fine` is as good as done. Raises FaultError."""
        headers = []
        if self._at.get("username"):
            both = f"{self._at['username']}:{secret(self._at['password_file'])}"
            headers.append(("Authorization", "Basic " + b64encode(both.encode()).decode()))
        transport = _Transport(urlsplit(self._at["server"]), headers)
        try:
            with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as server:
                return getattr(server.supervisor, method)(*given)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == fine:
                return None
            raise FaultError(f"supervisord: {method} of {', '.join(map(str, given))}: {fault.faultString}") from None
        except xmlrpc.client.ProtocolError as error:
            raise FaultError(
                f"supervisord at {self._at['server']} answered {error.errcode} {error.errmsg}: see user and password"
            ) from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise FaultError(
                f"supervisord at {self._at['server']} gives no answer: {error}; see that supervisord runs"
            ) from None

    def names(self) -> dict[str, str]:
        """The processes that the handle means: each one's own name, and what supervisord calls it."""
        wanted = self._at["program"]
        found: dict[str, str] = {}
        for info in self._ask("getAllProcessInfo"):
            if any(fnmatchcase(info[key], wanted) for key in ("name", "group")):
                if info["name"] in found:
                    raise FaultError(f"{wanted}: two groups have a process {info['name']}; name one group")
                found[info["name"]] = f"{info['group']}:{info['name']}"
        return found

    def _called(self, name: str) -> str:
        names = self.names()
        if name not in names:
            raise FaultError(f"supervisord knows no {name} of {self._at['program']}; see supervisorctl status")
        return names[name]

    def state(self, name: str) -> State:
        info = self._ask("getProcessInfo", self._called(name))
        process, still = local_process(info["pid"], name)
        return State(info["statename"] in _UP, still, process, info["statename"])

    def start(self, name: str) -> None:
        self._ask("startProcess", self._called(name), False, fine=_UP_ALREADY)

    def stop(self, name: str) -> None:
        self._ask("stopProcess", self._called(name), False, fine=_DOWN_ALREADY)
