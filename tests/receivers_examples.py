"""Receivers that a test plays: a mail server that delivers to a Maildir, webhooks, and their Alertmanager."""

from __future__ import annotations

import mailbox
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import yaml
from aiosmtpd.controller import Controller

from chaoskit.events import Event, Notice
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import start_alertmanager
from tests.http_stub import Handler, serving

PATIENCE_S = 30.0


@dataclass
class Seen:
    """Everything that witnesses told so far."""

    events: list[Event] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, event: Event) -> None:
        with self.news:
            self.events.append(event)
            self.news.notify_all()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Returns as soon as it holds, looked at after each event; fails when patience ends."""
        with self.news:
            assert self.news.wait_for(holds, PATIENCE_S), f"{what} did not happen; last seen: {self.events[-5:]}"

    def notices(self, by: str) -> list[Notice]:
        return [one for one in self.of(Notice) if one.by == by]


@dataclass
class Crew:
    """A running Alertmanager whose receiver `crew` has a mail, a webhook, and another that refuses everything."""

    url: str
    config: Path
    maildir: Path
    recorder: Path

    def send(self, alert: str, *, ended: bool = False, **labels: str) -> None:
        """An alert that begins, or ends, now."""
        now = datetime.now(UTC)
        end = now - timedelta(milliseconds=1) if ended else now + timedelta(hours=1)
        told = {
            "labels": {"alertname": alert, **labels},
            "annotations": {"summary": "a test"},
            "endsAt": end.isoformat(),
        }
        requests.post(f"{self.url}/api/v2/alerts", json=[told], timeout=5).raise_for_status()

    def load(self, **changes: Any) -> None:
        """Another configuration, loaded at once; None takes a key away."""
        document = yaml.safe_load(self.config.read_text()) | changes
        self.config.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not None}))
        requests.post(f"{self.url}/-/reload", timeout=5).raise_for_status()


def configuration(folder: Path, web: int, smtp: int) -> dict[str, Any]:
    """What that Alertmanager is told."""
    hooks = [{"url": f"http://127.0.0.1:{web}/{path}"} for path in ("taken", "refused")]
    return {
        "global": {"smtp_smarthost": f"127.0.0.1:{smtp}", "smtp_from": "am@b.c", "smtp_require_tls": False},
        "route": {"receiver": "crew", "group_wait": "100ms", "group_interval": "1s", "group_by": ["..."]},
        "receivers": [
            {"name": "crew", "email_configs": [{"to": "ops@b.c", "send_resolved": True}], "webhook_configs": hooks}
        ],
        "event_recorder": {"file_outputs": [{"path": str(folder / "events.jsonl")}]},
    }


@contextmanager
def crew(folder: Path, binaries: Binaries) -> Iterator[Crew]:
    """Needs an Alertmanager that has an event recorder."""
    box = mailbox.Maildir(folder / "Maildir", create=True)

    class Hooks(Handler):
        def do_POST(self) -> None:
            self.read()
            self.answer(status=404 if self.path == "/refused" else 200)

    class Mails:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            box.add(envelope.content)
            return "250 OK"

    with ExitStack() as cleanup:
        hooks = cleanup.enter_context(serving(Hooks))
        smtp, web = reserve(2)
        mails = Controller(Mails(), hostname="127.0.0.1", port=smtp)
        mails.start()
        cleanup.callback(mails.stop)
        config = folder / "alertmanager.yml"
        config.write_text(yaml.safe_dump(configuration(folder, hooks.server_port, smtp)))
        flags = ["--enable-feature=event-recorder"]
        child = start_alertmanager(binaries, config, folder / "data", web, folder / "am.log", flags=flags)
        cleanup.callback(child.stop)
        yield Crew(f"http://127.0.0.1:{web}", config, folder / "Maildir", folder / "events.jsonl")


def folder_as_it_is(folder: Path) -> list[tuple[str, int]]:
    """Every file below a folder with its size: what a reader must leave alone."""
    return sorted((str(file.relative_to(folder)), file.stat().st_size) for file in folder.rglob("*") if file.is_file())
