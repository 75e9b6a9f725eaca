"""The local stack: a CRM to practise on, Prometheus, Alertmanager, a mailbox and a webhook sink, all on loopback.

Prometheus comes first: it publishes what it discovers only 5 s after its own start, and everything else is up by
then. All of it dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaoskit.alerting.virtual import prometheus_flags
from chaoskit.errors import EquipmentError
from chaoskit.events import Event
from chaoskit.observe.sinks import SinkChild
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.doors import Door
from chaoskit.stack.localize import Localized, Ports
from chaoskit.stack.monitoring import start_alertmanager, start_prometheus
from chaoskit.stack.ports import LOOPBACK
from chaoskit.stack.process import Child, spawn, wait_until

WORKERS = 4
_TARGET_READY_S = 30.0
_TARGET_MODULE = "chaoskit.crm"


def inventory() -> dict[str, tuple[str, ...]]:
    """What the local target has, known before it runs: handle to names."""
    return {
        "role:worker": tuple(f"worker-{n + 1}" for n in range(WORKERS)),
        "link:upstream": ("upstream",),
        "queue:agent-tasks": ("agent-tasks",),
    }


class LocalStack:
    """Everything a local run starts; `start` in order, `stop` in reverse, both from the main thread."""

    def __init__(
        self, folder: Path, binaries: Binaries, localized: Localized, ports: Ports, scale: float, smtp_port: int | None
    ) -> None:
        self.folder = folder
        self.ports = ports
        self.slice = secrets.token_hex(4)
        self.children: dict[str, Child] = {}
        """By equipment name: prometheus, alertmanager, target."""
        self.sinks: dict[str, SinkChild] = {}
        self.addresses: dict[str, Any] = {}
        """What the target said of itself when it was ready."""
        self._binaries = binaries
        self._localized = localized
        self._scale = scale
        self._smtp_port = smtp_port

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://{LOOPBACK}:{self.ports.prometheus}"

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager answers."""
        return f"http://{LOOPBACK}:{self.ports.alertmanager}"

    @property
    def target_url(self) -> str:
        """Where load goes."""
        return f"http://{LOOPBACK}:{self.addresses['api']}"

    @property
    def requests(self) -> Mapping[str, list[dict[str, Any]]]:
        """What each name of a load's mix does on the target."""
        found: Mapping[str, list[dict[str, Any]]] = self.addresses["requests"]
        return found

    def address(self, handle: str) -> dict[str, Any]:
        """How the things behind a handle are found by faults."""
        kind, _, name = handle.partition(":")
        if kind == "role":
            return {"pattern": rf"crm\[{re.escape(self.slice)}\] {re.escape(name)} (?P<name>\S+)"}
        return {}

    def start(self, on_event: Callable[[Event], None]) -> None:
        """Writes the files and starts everything; raises BadInput or EquipmentError, with nothing left running."""
        try:
            self._write_files()
            self._start_monitoring()
            self._spawn_target()
            self._start_sinks(on_event)
            self._await_target()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> list[str]:
        """Stops everything, removes the data that only the running stack needed; what did not stop is named."""
        left = []
        with contextlib.suppress(KeyError):
            self.children["prometheus"].stop()
        for name, child in reversed(list(self.children.items())):
            try:
                child.stop()
            except EquipmentError as error:
                left.append(f"{name}: {error}")
        for sink in self.sinks.values():
            sink.stop()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        return left

    def _write_files(self) -> None:
        for name, text in self._localized.files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def _start_monitoring(self) -> None:
        data, logs = self.folder / "data", self.folder / "logs"
        self.children["prometheus"] = start_prometheus(
            self._binaries,
            self.folder / "prometheus.yml",
            data / "prometheus",
            self.ports.prometheus,
            logs / "prometheus.log",
            flags=prometheus_flags(self._scale),
        )
        self.children["alertmanager"] = start_alertmanager(
            self._binaries,
            self.folder / "alertmanager.yml",
            data / "alertmanager",
            self.ports.alertmanager,
            logs / "alertmanager.log",
        )

    def _spawn_target(self) -> None:
        data = self.folder / "data" / "target"
        data.mkdir(parents=True)
        token = data / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        config = data / "config.json"
        settings = {
            "slice": self.slice,
            "data_dir": str(data),
            "time_scale": self._scale,
            "workers": WORKERS,
            "ports": {"metrics": self.ports.metrics},
            "admin_token_file": str(token),
        }
        config.write_text(json.dumps(settings), encoding="utf-8")
        self.children["target"] = spawn(
            [sys.executable, "-m", _TARGET_MODULE, "--config", config],
            name="target",
            log=self.folder / "logs" / "target.log",
            stdout=subprocess.PIPE,
        )

    def _start_sinks(self, on_event: Callable[[Event], None]) -> None:
        doors = self._localized.doors
        mail: dict[str, Any] = {"doors": [_mail_door(door) for door in doors if door.kind == "smtp"]}
        if self._smtp_port is not None:
            mail["extra_port"] = self._smtp_port
        web = {"port": self.ports.webhook, "doors": [_web_door(door) for door in doors if door.kind == "http"]}
        for name, module, config in (
            ("mail-sink", "chaoskit.observe.mail_sink", mail),
            ("webhook-sink", "chaoskit.observe.webhook_sink", web),
        ):
            log = self.folder / "logs" / f"{name}.log"
            self.sinks[name] = SinkChild.start(module, config, name=name, log=log, on_event=on_event)

    def _await_target(self) -> None:
        child = self.children["target"]
        assert child.stdout is not None
        stream = child.stdout
        said: list[bytes] = []

        def ready() -> bool:
            import select

            if select.select([stream], [], [], 0)[0]:
                said.append(stream.readline())
            return bool(said)

        wait_until(ready, timeout_s=_TARGET_READY_S, what="the target tells that it serves", child=child)
        try:
            self.addresses = json.loads(said[0])
        except ValueError:
            raise EquipmentError("target", f"said {said[0][:200]!r} instead of its addresses", child.tail()) from None


def _mail_door(door: Door) -> dict[str, Any]:
    return {"receiver": door.receiver, "integration": door.integration, "index": door.index, "port": door.port}


def _web_door(door: Door) -> dict[str, Any]:
    return {
        "receiver": door.receiver,
        "integration": door.integration,
        "index": door.index,
        "path": door.path,
        "speaks": door.speaks,
    }
