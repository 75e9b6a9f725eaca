"""The things that a fault hits, by names that no spelling changes: for locks, so that no two act on one thing.

A process is its pid in its own PID namespace and its start; beside it, its title below its parent, for what replaces
it. An address is what its host resolves to and the port; a path is the file or folder it leads to.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from chaoskit import identity
from chaoskit.faults import processes
from chaoskit.handles.address import Address


def hit(address: Address, names: Iterable[str] | None = None) -> list[str]:
    """The things that an address leads to, named and sorted; of its processes only those in `names`. Empty if none."""
    found = set()
    for _, pattern in address.ways("pattern"):
        for name, process in processes.matching(pattern):
            if names is None or name in names:
                found |= set(_process(process))
    for _, url in address.ways("url"):
        found |= set(_listener(url))
    for _, path in address.ways("path"):
        found.add(_file(Path(path)))
    if address.via:
        found.add(" ".join([f"via {address.via}", *(f"{key}={value}" for key, value in sorted(address.keys.items()))]))
    if address.mark:
        found.add(f"processes marked {address.mark['name']}={address.mark['value']}")
    return sorted(found, key=lambda name: (name.startswith("'"), name))


def _process(process: psutil.Process) -> Iterator[str]:
    try:
        yield identity.name(process.pid)
        if (parent := process.ppid()) > 0:
            yield f"'{processes.title(process)}' below {identity.name(parent)}"
    except (OSError, psutil.Error):
        return


def _listener(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        yield f"{host} port {port}"
        return
    yield from (f"{info[4][0]} port {port}" for info in infos)


def _file(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return str(path.absolute())
    return f"inode {stat.st_ino} of device {stat.st_dev}"
