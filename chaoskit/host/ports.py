"""Free ports on loopback, taken where no outgoing connection will land.

A port given out here is bound a moment later, and perhaps again after a restart. In between, a busy client
could be handed the same number as its source port, were it within the kernel's range for those; so the search
keeps outside that range. Another process that looks for ports in between could find the same ones free; so each
begins in a block of its own, by its pid, and gives nothing out twice while there is something else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from chaoskit.errors import BadInput, EquipmentError, Problem

LOOPBACK = "127.0.0.1"
LOOPBACKS = (LOOPBACK, "::1", "localhost")
"""The hosts of an address that stand for this machine."""
_LOWEST, _HIGHEST = 15_000, 65_000
_BLOCK = 64
_CONNECT_S = 5.0
_given: set[int] = set()
"""The ports that this process gave out."""
_EPHEMERAL_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_DEFAULT = (32_768, 60_999)


def ephemeral_range() -> tuple[int, int]:
    """The lowest and highest port that the kernel hands to outgoing connections."""
    try:
        numbers = re.findall(r"\d+", _EPHEMERAL_FILE.read_text())
        return int(numbers[0]), int(numbers[1])
    except (OSError, IndexError):
        return _EPHEMERAL_DEFAULT


def reserve(count: int, *, avoid: Iterable[int] = ()) -> list[int]:
    """Finds so many different TCP ports that are free on 127.0.0.1 now, none of them in `avoid`.

    Free now is all that can be promised: bind them soon. Raises EquipmentError when there are too few.
    """
    first, last = ephemeral_range()
    taken = set(avoid)
    outside = [port for port in range(_LOWEST, _HIGHEST) if not first <= port <= last and port not in taken]
    random.shuffle(outside)
    blocks = sorted({port // _BLOCK for port in outside})
    mine = blocks[os.getpid() % len(blocks)] if blocks else 0
    outside.sort(key=lambda port: (port in _given, port // _BLOCK != mine))
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in outside:
            if len(found) == count:
                break
            if _hold(port, held):
                found.append(port)
        # An unusually wide range leaves no room outside it; then the kernel chooses.
        attempts = 4 * count
        while len(found) < count and attempts:
            attempts -= 1
            port = _hold(0, held)
            if port and port not in taken:
                found.append(port)
        if found:
            _connect(found[0])
    if len(found) < count:
        raise EquipmentError(
            "ports",
            f"chaoskit needs {count} free ports on {LOOPBACK}, and found {len(found)}",
            "end programs that listen on loopback",
        )
    _given.update(found)
    return found


def check_free(port: int) -> None:
    """Raises BadInput when a process listens on the port, with its name and pid where the system tells."""
    try:
        with socket.socket() as probe:
            # As servers do, so that connections in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            probe.listen(1)
    except OverflowError:
        raise BadInput(f"{port} is not a port: it must be between 1 and 65535") from None
    except PermissionError:
        raise BadInput(f"port {port} needs root; choose one from 1024 on") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise BadInput(f"port {port} on {LOOPBACK} cannot be used: {error.strerror}; choose another one") from None
        holder = _holder(port)
        raise BadInput(
            Problem(
                None,
                f"port {port} on {LOOPBACK} is taken" + (f" by {holder}" if holder else ""),
                "stop that process, or choose another port",
            )
        ) from None


def _hold(port: int, held: contextlib.ExitStack) -> int:
    """The port, taken until `held` ends; 0 where it is not free."""
    with contextlib.ExitStack() as trial:
        probe = trial.enter_context(socket.socket())
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _no_loopback(error) from None
            return 0
        held.push(trial.pop_all())
        return int(probe.getsockname()[1])


def _connect(port: int) -> None:
    """Raises EquipmentError where a port that listens on loopback cannot be reached: the interface is down."""
    try:
        socket.create_connection((LOOPBACK, port), _CONNECT_S).close()
    except OSError as error:
        raise _no_loopback(error) from None


def _no_loopback(error: OSError) -> EquipmentError:
    reason = error.strerror or "no answer"
    return EquipmentError("loopback", f"{LOOPBACK} cannot be used: {reason}", "bring it up: ip link set lo up")


def _holder(port: int) -> str:
    """The process that listens on the port, such as `nginx (pid 812)`; empty where the system does not tell."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.pid:
                continue
            if connection.laddr and connection.laddr[1] == port:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
