"""A real Alertmanager with the shipped routes, every receiver led to a sink of the test's own: what arrives, and when.

Webhooks carry the whole group, so they tell everything about routing; mails are for what only a mail can show.
"""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import requests
import yaml
from aiosmtpd.controller import Controller

from chaoskit.alerting.virtual import scale_alertmanager
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import start_alertmanager
from tests.http_stub import Handler, serving

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Notice:
    """One webhook: whom it was for, when it came (monotonic seconds), what it said."""

    receiver: str
    at: float
    payload: dict[str, Any]

    @property
    def key(self) -> str:
        """Alertmanager's name for the group."""
        return str(self.payload["groupKey"])

    def labels(self, status: str = "firing") -> list[dict[str, str]]:
        """Of each alert in it with this status."""
        return [alert["labels"] for alert in self.payload["alerts"] if alert["status"] == status]


@dataclass
class Sinks:
    """Everything that arrived so far; appended to by the sinks' threads."""

    notices: list[Notice] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def put(self, what: Notice | EmailMessage) -> None:
        with self.arrived:
            if isinstance(what, Notice):
                self.notices.append(what)
            else:
                self.mails.append(what)
            self.arrived.notify_all()

    def wait(self, holds: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Returns as soon as the condition holds, looked at after each arrival; fails at the end of the time."""
        with self.arrived:
            assert self.arrived.wait_for(holds, timeout_s), f"{what} did not happen within {timeout_s:g} s"


@dataclass
class Live:
    """A running Alertmanager and its sinks."""

    url: str
    sinks: Sinks

    def send(self, *labels: Mapping[str, str], ended: bool = False, told: Mapping[str, str] | None = None) -> float:
        """Alerts that begin (or end) now and fire until told otherwise; the monotonic instant before sending.

        `told` are their annotations.
        """
        now = datetime.now(UTC)
        # Without an end Alertmanager takes its resolve_timeout, which is divided like everything else.
        times = (
            {"endsAt": now.isoformat()}
            if ended
            else {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
        )
        url = "http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
        alerts = [
            {"labels": dict(each), "annotations": dict(told or {}), "generatorURL": url, **times} for each in labels
        ]
        before = time.monotonic()
        requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()
        return before

    def get(self, path: str) -> list[dict[str, Any]]:
        """What the API lists: `alerts` or `alerts/groups`."""
        answer = requests.get(f"{self.url}/api/v2/{path}", timeout=10)
        answer.raise_for_status()
        return list(answer.json())


@contextmanager
def webhooks_only(binaries: Binaries, config: Path, folder: Path, k: float, *, inhibits: bool) -> Iterator[Live]:
    """The configuration's routes, their times divided by k; each receiver is one webhook."""

    def changed(document: dict[str, Any], http: int, _smtp: int) -> dict[str, Any]:
        scaled = scale_alertmanager(document, k)
        scaled.pop("templates", None)
        if not inhibits:
            del scaled["inhibit_rules"]
        scaled["receivers"] = [
            {"name": name, "webhook_configs": [{"url": f"http://127.0.0.1:{http}/{name}", "send_resolved": True}]}
            for name in (receiver["name"] for receiver in scaled["receivers"])
        ]
        return scaled

    with _running(binaries, config, folder, changed) as live:
        yield live


@contextmanager
def mails_as_shipped(binaries: Binaries, config: Path, folder: Path, k: float) -> Iterator[Live]:
    """The configuration with its own mails and templates, times divided by k; other integrations are left out."""

    def changed(document: dict[str, Any], _http: int, smtp: int) -> dict[str, Any]:
        scaled = scale_alertmanager(document, k)
        scaled["global"]["smtp_smarthost"] = f"127.0.0.1:{smtp}"
        scaled["templates"] = [str(config.parent / pattern) for pattern in scaled["templates"]]
        for receiver in scaled["receivers"]:
            receiver.pop("webhook_configs", None)
        return scaled

    with _running(binaries, config, folder, changed) as live:
        yield live


@contextmanager
def _running(
    binaries: Binaries, config: Path, folder: Path, changed: Callable[[dict[str, Any], int, int], dict[str, Any]]
) -> Iterator[Live]:
    sinks = Sinks()
    web, smtp = reserve(2)
    with ExitStack() as cleanup:
        server = cleanup.enter_context(serving(_hooks(sinks)))
        mail = Controller(_MailHandler(sinks), hostname="127.0.0.1", port=smtp)
        mail.start()
        cleanup.callback(mail.stop)
        document = changed(yaml.safe_load(config.read_text(encoding="utf-8")), server.server_port, smtp)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        child = start_alertmanager(binaries, file, folder / "data", web, folder / "log")
        cleanup.callback(child.stop)
        yield Live(f"http://127.0.0.1:{web}", sinks)


def _hooks(sinks: Sinks) -> type[Handler]:
    class Hooks(Handler):
        def do_POST(self) -> None:
            at = time.monotonic()
            sinks.put(Notice(self.path.removeprefix("/"), at, json.loads(self.read())))
            self.answer()

    return Hooks


class _MailHandler:
    def __init__(self, sinks: Sinks) -> None:
        self._sinks = sinks

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self._sinks.put(message)
        return "250 OK"
