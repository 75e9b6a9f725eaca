"""Run by the tests inside a network namespace that has loopback and nothing else, as a program of its own.

    redirect_probe.py JOB.json

Starts the sinks of a run behind every door of the job and the real Alertmanager with the job's configuration, posts
one alert, later resolves it, and writes to standard output, as JSON, what each door heard and what Alertmanager says of
itself.
"""

from __future__ import annotations

import fcntl
import json
import re
import socket
import struct
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import requests
import yaml
from msgspec import to_builtins

from chaoskit.events import Event, Notice, Watch
from chaoskit.host.ports import reserve
from chaoskit.host.process import wait_until
from chaoskit.localize.sink_addresses import SinkAddress
from chaoskit.observe.sinks import SinkChild
from chaoskit.stack.monitoring import start_alertmanager

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


class Ears:
    """The sinks of a run behind all doors, and everything that they took, by the door's number."""

    def __init__(self, doors: list[SinkAddress], alertmanager: int, folder: Path) -> None:
        self.strangers: list[str] = []
        self.logs = [folder / "mail.log", folder / "web.log"]
        self._heard: dict[tuple[str, str, int], list[Notice]] = defaultdict(list)
        http = next(door.port for door in doors if door.kind == "http")
        mail = {"doors": [door for door in doors if door.kind == "smtp"]}
        web = {"port": http, "doors": [door for door in doors if door.kind == "http"]}
        web["alertmanager"] = alertmanager
        self._sinks = [
            SinkChild.start(f"chaoskit.observe.{name}", config, name=name, log=log, on_event=self._take)
            for name, config, log in zip(("mail_sink", "webhook_sink"), (mail, web), self.logs, strict=True)
        ]

    def close(self) -> None:
        for sink in self._sinks:
            sink.stop()

    def heard(self, door: SinkAddress) -> list[Notice]:
        return self._heard[door.receiver, door.integration, door.index]

    def count(self, door: SinkAddress) -> int:
        return len(self.heard(door))

    def _take(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._heard[event.receiver, event.integration, event.index].append(event)
        elif not isinstance(event, Watch):
            self.strangers.append(str(event))


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def network() -> dict[str, Any]:
    """What this namespace has: its interfaces, and whether any route leads out."""
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    return {"interfaces": sorted(psutil.net_if_addrs()), "routes": len(routes)}


def failures(url: str) -> dict[str, float]:
    """Alertmanager's own count of notifications that failed, by integration, where not zero."""
    counts: dict[str, float] = defaultdict(float)
    with requests.Session() as session:
        session.trust_env = False
        text = session.get(f"{url}/metrics", timeout=5).text
    name = r"alertmanager_notification(?:s|_requests)_failed_total"
    for integration, value in re.findall(name + r'\{[^}]*integration="([^"]+)"[^}]*\} (\S+)', text):
        counts[integration] += float(value)
    return {integration: value for integration, value in counts.items() if value}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(job["folder"])
    raise_loopback()
    doors = [SinkAddress(**door) for door in job["doors"]]
    config = folder / "alertmanager.yml"
    config.write_text(yaml.safe_dump(job["config"]))
    port = reserve(1)[0]
    ears = Ears(doors, port, folder)
    url = f"http://127.0.0.1:{port}"
    programs = SimpleNamespace(**{name: Path(path) for name, path in job["binaries"].items()})
    child = start_alertmanager(programs, config, folder / "data", port, folder / "alertmanager.log")
    with requests.Session() as session:
        session.trust_env = False

        def post(**times: str) -> None:
            alert = {"labels": {"alertname": "Probe", "severity": "critical"}, **times}
            session.post(f"{url}/api/v2/alerts", json=[alert], timeout=5).raise_for_status()

        post()
        if job["await"] == "doors":
            wait_until(lambda: all(map(ears.count, doors)), timeout_s=30, what=lambda: silent(ears, doors), child=child)
            post(endsAt="2020-01-01T00:00:00Z", startsAt="2019-12-31T00:00:00Z")
            told = [door for door in doors if door.send_resolved]
            wait_until(
                lambda: all(ears.count(door) > 1 for door in told),
                timeout_s=30,
                what=lambda: "resolved: " + silent(ears, told, 2),
                child=child,
            )
        else:
            wanted = set(job["await"])
            wait_until(
                lambda: wanted <= set(failures(url)),
                timeout_s=60,
                what=lambda: f"a failure of {wanted - set(failures(url))}",
                child=child,
            )
        status = session.get(f"{url}/api/v2/status", timeout=5).json()
        shown = "".join(session.get(f"{url}/{page}", timeout=5).text for page in ("api/v2/status", "metrics", ""))
        report = {
            "network": network(),
            "heard": {door.number: [to_builtins(notice) for notice in ears.heard(door)] for door in doors},
            "shown": [door.receiver for door in doors if door.word and door.word in shown],
            "failures": failures(url),
            "config": yaml.safe_load(status["config"]["original"]),
        }
    child.stop()
    ears.close()
    report["strangers"] = ears.strangers
    report["without word"] = "".join(log.read_text() for log in ears.logs)
    json.dump(report, sys.stdout)


def silent(ears: Ears, doors: list[SinkAddress], times: int = 1) -> str:
    return "heard nothing (more): " + ", ".join(
        f"{door.receiver} {door.integration} {door.index}" for door in doors if ears.count(door) < times
    )


if __name__ == "__main__":
    main()
