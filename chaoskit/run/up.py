"""The local stack by itself, on the documented ports or on free ones, until a signal ends it."""

from __future__ import annotations

import dataclasses
import errno
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.virtual import exact_scale
from chaoskit.errors import BadInput, EquipmentError, Problem
from chaoskit.events import Event
from chaoskit.host.ports import LOOPBACK, check_free, reserve
from chaoskit.inputs import attempt
from chaoskit.localize.configuration import Localized, Ports, localize
from chaoskit.localize.sink_addresses import SinkAddresses
from chaoskit.run.metrics import RunMetrics
from chaoskit.run.signals import signals_end
from chaoskit.stack.binaries import require
from chaoskit.stack.local import LocalStack
from chaoskit.stack.original import able, ask, fitted
from chaoskit.witness.config import patched

SMTP_PORT, SMTP_PORT_UNPRIVILEGED = 25, 1025
_DOCUMENTED = {"prometheus": 9090, "alertmanager": 9093, "metrics": 9091, "webhook": 8080}
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """The settings of the stack to start."""

    files: ConfigFiles
    scale: float = 1.0
    free_ports: bool = False
    """Not the documented ports, but whichever are free."""
    environment: str = "local"
    """The environment that the target's metrics name."""
    witness: str = ""
    """The URL of a witness that every receiver tells as well."""
    witness_token_file: str = ""


def run_stack(
    wanted: Wanted,
    up: Callable[[Mapping[str, str], tuple[str, ...]], None],
    listen: Callable[[Event], None],
    ended: threading.Event,
) -> None:
    """Starts the stack, calls `up` with its addresses and notes, and stops it once `ended` is set or a part dies.

    Raises BadInput for taken ports (all of them at once), EquipmentError when something does not stay up.
    """
    config = wanted.files.load(complete=True)
    answer = ask(config)
    set_aside = answer.settle(config).set_aside
    binaries = able(require(), answer)
    scale = exact_scale(config, wanted.scale)
    smtp: int | None = None
    if wanted.free_ports:
        ports = Ports(*reserve(len(Ports.__dataclass_fields__)))
    else:
        smtp = _smtp_port()
        _refuse_taken([*_DOCUMENTED.values(), smtp])
        ports = Ports(own=reserve(1)[0], **_DOCUMENTED)
    with tempfile.TemporaryDirectory(prefix="chaoskit-up-") as temporary:
        folder = Path(temporary) / "stack"
        localized = fitted(
            lambda too_new: localize(
                config.sources, folder, ports, scale, SinkAddresses(ports.webhook), set_aside, too_new
            ),
            binaries.amtool,
        )
        if wanted.witness:
            localized = _witnessed(localized, wanted)
        stack = LocalStack(folder, binaries, localized, ports, scale, smtp, wanted.environment, catch_all=True)
        metrics = RunMetrics(ports.own)
        with signals_end(lambda _why: ended.set()):
            try:
                stack.start(listen)
                up(addresses(stack, smtp), localized.notes)
                while not ended.wait(_LOOK_S):
                    _complain(stack)
            finally:
                stack.stop()
                metrics.close()


def _witnessed(localized: Localized, wanted: Wanted) -> Localized:
    """With what `witness config` would print added, so that the witness hears what the sinks hear."""
    name = "alertmanager.yml"
    token_file = str(Path(wanted.witness_token_file).absolute()) if wanted.witness_token_file else ""
    text = patched(localized.files[name], wanted.witness, token_file, name)
    return dataclasses.replace(localized, files={**localized.files, name: text})


def addresses(stack: LocalStack, smtp: int | None) -> dict[str, str]:
    """The addresses of the stack's parts, by name; of a token only the file."""
    found = {
        "Prometheus": stack.prometheus_url,
        "Alertmanager": stack.alertmanager_url,
        "metrics": f"http://{LOOPBACK}:{stack.ports.metrics}/metrics",
        "CRM": stack.target_url,
        "webhook": f"http://{LOOPBACK}:{stack.ports.webhook}/alerts/critical",
        "worker title": stack.address("role:worker").pattern,
        "proxy": stack.address("link:upstream").url,
        "queue": stack.address("queue:agent-tasks").url,
        "token file": stack.address("queue:agent-tasks").token_file,
        "database": stack.address("database:crm").file,
    }
    return found | ({"SMTP": f"{LOOPBACK}:{smtp}"} if smtp is not None else {})


def _complain(stack: LocalStack) -> None:
    for name, child in stack.children.items():
        if not child.alive:
            raise EquipmentError(name, f"ended with {child.returncode}", child.tail(5))
    for name, sink in stack.sinks.items():
        if not sink.alive:
            raise EquipmentError(name, "ended by itself", sink.child.tail(5))


def _refuse_taken(ports: list[int]) -> None:
    problems: list[Problem] = []
    for port in ports:
        attempt(partial(check_free, port), problems)
    if problems:
        raise BadInput(problems)


def _smtp_port() -> int:
    """Port 25 where we have the right to it, else 1025."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, SMTP_PORT))
        except OSError as error:
            if error.errno == errno.EACCES:
                return SMTP_PORT_UNPRIVILEGED
    return SMTP_PORT
