"""Programs and servers of this host that a fault could act on: looked at, never touched.

Each look gives findings: one handle as a profile writes it, and the reason for it. Managers and the programs that watch
are left out: a fault on them blinds the run.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from chaoskit.adapters.base import client
from chaoskit.adapters.docker import Engine
from chaoskit.adapters.supervisor import Supervisord
from chaoskit.adapters.systemd import Units
from chaoskit.faults.base import FaultError

_REDIS_S = 2.0
_NOT_TO_BREAK = re.compile(r"prometheus|alertmanager|supervisord|systemd|dockerd|containerd|sshd|chaoskit")


@dataclass(frozen=True, slots=True)
class Finding:
    """One handle, the reason for it, and the names of the things behind it."""

    kind: str
    name: str
    keys: Mapping[str, str]
    reason: str
    things: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listening:
    """A process that takes connections; `ports` are all of its, `parents` the pids above it."""

    host: str
    ports: tuple[int, ...]
    pid: int
    program: str
    title: str
    parents: frozenset[int] = frozenset()


def plain(name: str) -> str:
    """A name as profiles may write it."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "unnamed"


def listening() -> list[Listening]:
    """The processes of this host that take connections, as far as this user may see them, by their lowest port."""
    found: dict[int, Listening] = {}
    for one in psutil.net_connections("tcp"):
        if one.status != psutil.CONN_LISTEN or not one.pid or not one.laddr:
            continue
        with suppress(psutil.Error):
            process = psutil.Process(one.pid)
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(one.laddr.ip, one.laddr.ip)
            title, above = " ".join(process.cmdline()).strip(), frozenset(each.pid for each in process.parents())
            before = found[one.pid].ports if one.pid in found else ()
            ports = tuple(sorted({*before, one.laddr.port}))
            found[one.pid] = Listening(host, ports, one.pid, process.name(), title, above)
    return sorted(found.values(), key=lambda one: one.ports)


def supervisors() -> dict[str, int]:
    """The address of each supervisord of this host, as its configuration says, with its pid."""
    found = {}
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if not any(Path(word).name == "supervisord" for word in words[:2]):
            continue
        given = [after for word, after in pairwise(words) if word in ("-c", "--configuration")]
        file = Path(given[0]) if given else Path("/etc/supervisor/supervisord.conf")
        if server := server_of(file):
            found[server] = process.info["pid"]
    return found


def server_of(file: Path) -> str:
    """Where the supervisord of a configuration answers on this host; empty where it does not say."""
    read = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    try:
        read.read_string(file.read_text())
    except (OSError, ValueError, configparser.Error):
        return ""
    if read.has_option("unix_http_server", "file"):
        return f"unix://{read.get('unix_http_server', 'file')}"
    port = read.get("inet_http_server", "port", fallback="").rpartition(":")[2]
    return f"http://127.0.0.1:{port}" if port else ""


def of_supervisors(servers: Iterable[str]) -> Iterator[Finding]:
    """A role for each program of these supervisords; one that gives no answer is passed over."""
    for server in servers:
        with suppress(FaultError):
            groups: dict[str, list[str]] = {}
            for called in Supervisord({"server": server, "program": "*"}).names().values():
                group, _, name = called.partition(":")
                groups.setdefault(group, []).append(name)
            for group, names in sorted(groups.items()):
                keys = {"via": "supervisor", "program": group, "server": server}
                yield Finding("role", plain(group), keys, f"supervisord runs {', '.join(names)}", tuple(names))


def of_systemd(ports: Iterable[Listening]) -> Iterator[Finding]:
    """A role for each unit of systemd that has a process which listens."""
    for one in ports:
        with suppress(OSError, FaultError):
            group = Path(f"/proc/{one.pid}/cgroup").read_text()
            unit = next(iter(re.findall(r"/system\.slice/(?:\S*/)?([^/\s]+)\.service$", group, re.MULTILINE)), "")
            if unit and Units({"unit": unit}).names():
                keys = {"via": "systemd", "unit": unit}
                yield Finding(
                    "role", plain(unit), keys, f"its process {one.pid} listens on port {one.ports[0]}", (unit,)
                )


def of_docker() -> Iterator[Finding]:
    """A role for each container; none where no engine answers, or its client is not installed."""
    with suppress(FaultError):
        for name in Engine({"container": "*"}).names():
            keys = {"via": "docker", "container": name}
            yield Finding("role", plain(name), keys, "Docker has a container of that name", (name,))


def of_ports(ports: Iterable[Listening], managers: Iterable[int]) -> Iterator[Finding]:
    """Databases and queues by their programs, links to each, and processes that no manager runs."""
    managers = set(managers)
    for one in ports:
        port, host = one.ports[0], f"[{one.host}]" if ":" in one.host else one.host
        at = f"{host}:{port}"
        said = f"{one.program} (pid {one.pid}) listens on {at}" + f" and {len(one.ports) - 1} more" * (
            len(one.ports) > 1
        )
        if one.program.startswith("postgres"):
            keys = {"via": "postgres", "dsn_file": f"secrets/{port}.dsn", "table": "orders"}
            why = f"{said}; put a connection string into that file (chmod 600), and name a table"
            yield Finding("database", f"postgres-{port}", keys, why)
        elif one.program.startswith("redis-server"):
            yield from of_redis(at, said)
        elif not one.parents & managers and one.title:
            keys = {"match": f"(?P<name>{re.escape(one.title)})"}
            yield Finding("role", plain(f"{one.program}-{port}"), keys, said, (one.title,))


def of_redis(at: str, said: str) -> Iterator[Finding]:
    """A queue for each queue of rq in a Redis; without them the way to a list, and without the client how to look."""
    url = f"redis://{at}/0"
    try:
        redis = client("redis", "rq")
        with redis.Redis.from_url(url, socket_timeout=_REDIS_S, decode_responses=True) as asked:
            queues = sorted(name.removeprefix("rq:queue:") for name in asked.smembers("rq:queues"))
    except FaultError as error:
        queues, said = [], f"{said}; {error}"
    except Exception as error:  # every kind of trouble that the client has
        queues, said = [], f"{said}; it does not say what is in it: {error}"
    for queue in queues:
        yield Finding(
            "queue", plain(queue), {"via": "rq", "url": url, "queue": queue}, f"{said}, and has this queue of rq"
        )
    if not queues:
        keys = {"via": "redis-list", "url": url, "queue": "jobs"}
        yield Finding("queue", f"redis-{at.rpartition(':')[2]}", keys, f"{said}; name a list of it")


def surroundings() -> list[Finding]:
    """All handles that this host suggests: programs, units, containers, queues, links."""
    ports, servers = listening(), supervisors()
    units = list(of_systemd(ports))
    engines = [
        one.pid for one in psutil.process_iter(["name"]) if (one.info["name"] or "").startswith("containerd-shim")
    ]
    in_units = [one.pid for one in ports if any(f"process {one.pid} " in each.reason for each in units)]
    alone = [one for one in ports if one.pid not in in_units]
    every = [*of_supervisors(servers), *units, *of_docker(), *of_ports(alone, {*servers.values(), *engines})]
    found = [one for one in every if not _NOT_TO_BREAK.search(one.name)]
    return list({(one.kind, one.name): one for one in reversed(found)}.values())[::-1]
