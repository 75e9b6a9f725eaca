"""The local stack: a CRM to practise on, Prometheus, Alertmanager, a mailbox and a webhook sink, all on loopback.

Prometheus comes first: it publishes what it discovers only 5 s after its own start, and everything else is up by
then. All of it dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaoskit.alerting.virtual import prometheus_flags
from chaoskit.errors import BadInput, EquipmentError, Problem
from chaoskit.events import Event
from chaoskit.files import write_private
from chaoskit.handles import handle_kinds
from chaoskit.handles.address import Address
from chaoskit.handles.base import Local
from chaoskit.handles.practice import VARIABLE
from chaoskit.handles.role import WORKERS
from chaoskit.host.ports import LOOPBACK
from chaoskit.host.process import spawn
from chaoskit.localize.configuration import Localized, Ports
from chaoskit.observe.sinks import SinkChild
from chaoskit.scenario.model import Handles
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.interface import Stack
from chaoskit.stack.monitoring import start_alertmanager, start_prometheus

MIX = ("leads", "opportunities", "reports", "agent-requests", "cold-reports", "background-tasks")
"""The names that a load's mix may use, known before the target runs and tells what each name does."""
_TARGET_READY_S = 30.0
_TARGET_MODULE = "chaoskit.crm"


def inventory() -> dict[str, tuple[str, ...]]:
    """The things of the local target, known before it runs: handle to names."""
    return {f"{name}:{part}": its.things for name, kind in handle_kinds().items() for part, its in kind.parts.items()}


def wrong_handles(handles: Handles) -> list[Problem]:
    """The entries of a profile's handles that the local target does not have."""
    found = ((handle, one.wrong_locally(handle.partition(":")[2])) for handle, one in handles.each())
    return [Problem(handles.places.get(handle), *trouble) for handle, trouble in found if trouble]


class LocalStack(Stack):
    """Everything a local run starts; `start` in order, `stop` in reverse, both from the main thread."""

    def __init__(
        self,
        folder: Path,
        binaries: Binaries,
        localized: Localized,
        ports: Ports,
        scale: float,
        smtp_port: int | None,
        environment: str = "",
        catch_all: bool = False,
    ) -> None:
        """`environment` is what the target's metrics page calls it; empty for the target's own default.

        With `catch_all` the webhook sink takes what comes to no door, from anything on this machine, and shows it.
        """
        urls = (f"http://{LOOPBACK}:{port}" for port in (ports.prometheus, ports.alertmanager))
        super().__init__(folder, *urls)
        self.ports = ports
        self.slice = secrets.token_hex(4)
        self.addresses: dict[str, Any] = {}
        """The JSON that the target printed when it was ready; empty before that."""
        self._binaries = binaries
        self._localized = localized
        self._scale = scale
        self._smtp_port = smtp_port
        self._environment = environment
        self._catch_all = catch_all
        self._on_event: Callable[[Event], None] = lambda event: None
        self._target_data = folder / "data" / "target"
        self._control = folder / "data" / "control"
        self._flags = prometheus_flags(scale)

    @property
    def metrics_port(self) -> int | None:
        return self.ports.own

    @property
    def target_url(self) -> str:
        return f"http://{LOOPBACK}:{self.addresses['api']}"

    @property
    def requests(self) -> Mapping[str, list[dict[str, Any]]]:
        found: Mapping[str, list[dict[str, Any]]] = self.addresses["requests"]
        return found

    def address(self, handle: str) -> Address:
        kind, _, name = handle.partition(":")
        address = handle_kinds()[kind].at_local(name, self._told()) if handle else Address(url=self.target_url)
        return replace(address, time_scale=self._scale, prometheus={"url": self.prometheus_url, "owner": os.getpid()})

    def wanted_down(self, name: str) -> bool:
        return (self._control / f"{name}.down").exists()

    def restart(self, name: str) -> None:
        """Starts equipment again that has ended, on its ports and its data; raises EquipmentError."""
        if name in self.sinks:
            self.sinks[name].stop()
            self._start_sink(name)
            return
        self.children[name].stop()
        self._start_server(name)

    def _told(self) -> Local:
        return Local(
            told=self.addresses,
            slice=self.slice,
            data=self._target_data,
            metrics=f"http://{LOOPBACK}:{self.ports.metrics}/metrics",
            pids=self.leaders(),
            ports={
                "prometheus": [self.ports.prometheus],
                "alertmanager": [self.ports.alertmanager],
                "mail-sink": [door.port for door in self._localized.doors if door.kind == "smtp"],
                "webhook-sink": [self.ports.webhook],
            },
            control=self._control,
            owner=os.getpid(),
        )

    def start(self, on_event: Callable[[Event], None]) -> None:
        """Writes the files and starts everything; raises BadInput or EquipmentError, with nothing left running."""
        try:
            self._on_event = on_event
            self._write_files()
            self._control.mkdir(parents=True)
            self._start_server("prometheus")
            self._start_server("alertmanager")
            self._spawn_target()
            for name in ("mail-sink", "webhook-sink"):
                self._start_sink(name)
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
            write_private(file, text.encode())  # the doors' words are in one of them

    def _start_server(self, name: str) -> None:
        """Starts Prometheus or Alertmanager. The user's own files were asked about before: what is refused now says
        nothing of them."""
        files = self.folder / f"{name}.yml", self.folder / "data" / name
        log = self.folder / "logs" / f"{name}.log"
        try:
            if name == "prometheus":
                child = start_prometheus(self._binaries, *files, self.ports.prometheus, log, flags=self._flags)
            else:
                child = start_alertmanager(self._binaries, *files, self.ports.alertmanager, log)
        except BadInput as error:
            message = f"does not start with the configuration that chaoskit wrote for it: {error}"
            raise EquipmentError(name.capitalize(), message) from None
        self.children[name] = child

    def _spawn_target(self) -> None:
        data = self._target_data
        data.mkdir(parents=True)
        token = data / "token"
        write_private(token, secrets.token_urlsafe(24).encode())
        config = data / "config.json"
        settings: dict[str, Any] = {
            "data_dir": str(data),
            "time_scale": self._scale,
            "workers": WORKERS,
            "metrics_port": self.ports.metrics,
            "admin_token_file": str(token),
        }
        if self._environment:
            settings["environment"] = self._environment
        config.write_text(json.dumps(settings), encoding="utf-8")
        self.children["target"] = spawn(
            [sys.executable, "-m", _TARGET_MODULE, "--config", config],
            name="target",
            log=self.folder / "logs" / "target.log",
            env={**os.environ, VARIABLE: self.slice},
            talks=True,
        )

    def _start_sink(self, name: str) -> None:
        doors = self._localized.doors
        config: dict[str, Any]
        if name == "mail-sink":
            module = "chaoskit.observe.mail_sink"
            config = {"doors": [door for door in doors if door.kind == "smtp"]}
            if self._smtp_port is not None:
                config["extra_port"] = self._smtp_port
        else:
            module = "chaoskit.observe.webhook_sink"
            config = {
                "port": self.ports.webhook,
                "doors": [door for door in doors if door.kind == "http"],
                "alertmanager": self.ports.alertmanager,
                "catch_all": self._catch_all,
            }
        config["response_file"] = str(self._control / f"{name}.manners")
        log = self.folder / "logs" / f"{name}.log"
        self.sinks[name] = SinkChild.start(module, config, name=name, log=log, on_event=self._on_event)

    def _await_target(self) -> None:
        child = self.children["target"]
        said = child.hello(_TARGET_READY_S, "the target tells that it serves")
        try:
            self.addresses = json.loads(said)
        except ValueError:
            raise EquipmentError("target", f"said {said[:200]!r} instead of its addresses", child.tail()) from None
