"""Run by the tests inside a network namespace that has loopback and nothing else, as a program of its own.

    redirect_probe.py JOB.json

Listens behind every door of the job, starts the real Alertmanager with the job's configuration, posts one alert,
later resolves it, and writes to standard output, as JSON, what each door heard and what Alertmanager says of itself.
"""

from __future__ import annotations

import fcntl
import json
import re
import socket
import struct
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import requests
import yaml
from aiosmtpd.controller import Controller

from chaoskit.stack.doors import Door, reply_to
from chaoskit.stack.monitoring import start_alertmanager
from chaoskit.stack.ports import reserve
from chaoskit.stack.process import wait_until

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


class Ears:
    """Everything that came through a door, by the door's number."""

    def __init__(self, doors: list[Door]) -> None:
        self.heard: dict[int, list[str]] = defaultdict(list)
        self.peers: set[str] = set()
        self._by_number = {door.number: door for door in doors}
        self._servers: list[Any] = []
        for door in doors:
            if door.kind == "smtp":
                controller = Controller(self._mail_handler(door), hostname="127.0.0.1", port=door.port)
                controller.start()
                self._servers.append(controller)
        http = next(door.port for door in doors if door.kind == "http")
        self._http = ThreadingHTTPServer(("127.0.0.1", http), self._http_handler())
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        for server in self._servers:
            server.stop()

    def count(self, door: Door) -> int:
        return len(self.heard[door.number])

    def _mail_handler(self, door: Door) -> Any:
        ears = self

        class Handler:
            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
                ears.peers.add(session.peer[0])
                ears.heard[door.number].append(envelope.content.decode(errors="replace"))
                return "250 OK"

        return Handler()

    def _http_handler(self) -> type[BaseHTTPRequestHandler]:
        ears = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
                ears.peers.add(self.client_address[0])
                match = re.match(r"/door/(\d+)", self.path)
                door = ears._by_number[int(match[1])] if match else None
                if door and door.is_notice(self.command, self.path):
                    ears.heard[door.number].append(f"{self.path}\n{body}")
                reply = reply_to(door.speaks if door else "")
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = _answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


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
    doors = [Door(**door) for door in job["doors"]]
    ears = Ears(doors)
    config = folder / "alertmanager.yml"
    config.write_text(yaml.safe_dump(job["config"]))
    port = reserve(1)[0]
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
        report = {
            "network": network(),
            "heard": {door.number: ears.heard[door.number] for door in doors},
            "peers": sorted(ears.peers),
            "failures": failures(url),
            "config": yaml.safe_load(status["config"]["original"]),
        }
    child.stop()
    ears.close()
    json.dump(report, sys.stdout)


def silent(ears: Ears, doors: list[Door], times: int = 1) -> str:
    return "heard nothing (more): " + ", ".join(
        f"{door.receiver} {door.integration} {door.index}" for door in doors if ears.count(door) < times
    )


if __name__ == "__main__":
    main()
