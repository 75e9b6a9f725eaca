"""A drill on a running system whose receivers are real: exim, a mailbox behind dovecot, a webhook; with a recorder.

A worker is stopped by a signal; its alert is due at `on-call` by mail and by webhook. Nothing is waived.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from chaoskit.history import History, read_history
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import require
from chaoskit.stack.monitoring import await_discovery, start_alertmanager, start_prometheus
from chaoskit.waiting import await_true
from tests.generations import MOVING, programs
from tests.http_stub import METRICS, Handler, serving
from tests.mail_servers import PASSWORD, MailServers, mail_servers

imapclient = pytest.importorskip("imapclient")
pytestmark = [pytest.mark.staging, pytest.mark.timeout(300)]
RULES = """groups:
  - name: shop
    rules:
      - alert: WorkerDown
        expr: shop_worker_up == 0
        for: 4s
        labels: {severity: critical}
        annotations: {summary: 'Worker {{ $labels.worker_name }} is down', runbook_url: https://docs/WorkerDown}
"""
PROMISE = """chaoskit: 1
receivers: {on-call: {recipients: [ops@shop.test], resolved: true}}
alerts:
  WorkerDown:
    appears: 6s
    clears: 30s
    notices:
      on-call: {for: 4s, group_wait: 2s, repeat: 1h}
"""
SCENARIO = """chaoskit: 1
title: A worker hangs and comes back
runbook: none
steps:
  - inject: process.pause
    as: hang
    target: {role: worker, count: 1}
  - wait: 35s
  - undo: hang
    as: recovery
  - wait: settled
expect:
  - alert: WorkerDown
    from: hang
    until: recovery
    notifies: [on-call]
"""


def routes(smtp: int, web: int, to: str = "ops@shop.test") -> dict[str, Any]:
    mail = {"to": to, "send_resolved": True, "html": '{{ template "email.default.html" . }} https://docs/WorkerDown'}
    hook = {"url": f"http://127.0.0.1:{web}/alerts", "send_resolved": True}
    return {
        "global": {"smtp_smarthost": f"127.0.0.1:{smtp}", "smtp_from": "am@shop.test", "smtp_require_tls": False},
        "route": {
            "receiver": "on-call",
            "group_by": ["alertname"],
            "group_wait": "2s",
            "group_interval": "20s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "on-call", "email_configs": [mail], "webhook_configs": [hook]}],
    }


@dataclass
class Shop:
    """What runs, and what of it a test may change."""

    folder: Path
    servers: MailServers
    web: int
    alertmanager: str
    prometheus: str
    page: str
    worker: psutil.Process
    said: list[str] = field(default_factory=list)

    def load(self, *, to: str = "ops@shop.test", recorder: bool = True) -> None:
        """The configuration that Alertmanager runs by."""
        document = routes(self.servers.smtp, self.web, to)
        if recorder:
            document["event_recorder"] = {"file_outputs": [{"path": str(self.folder / "events.jsonl")}]}
        (self.folder / "loaded.yml").write_text(yaml.safe_dump(document))
        requests.post(f"{self.alertmanager}/-/reload", timeout=5).raise_for_status()

    def bundle(self, to: str = "ops@shop.test") -> Path:
        """The same as it is tested."""
        folder = self.folder / "bundle"
        folder.mkdir(exist_ok=True)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes(self.servers.smtp, self.web, to)))
        (folder / "rules.yml").write_text(RULES)
        (folder / "notification_windows.yml").write_text(PROMISE)
        (folder / "prometheus_config.yml").write_text((self.folder / "prometheus.yml").read_text())
        return folder

    def profile(self) -> Path:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        box = {"imap": f"imap://127.0.0.1:{self.servers.imap}", "username": "ops", "password_file": str(secret)}
        target = {
            "prometheus": self.prometheus,
            "alertmanager": self.alertmanager,
            "metrics": self.page,
            "environment": "staging",
            "recorder": str(self.folder / "events.jsonl"),
            "mailboxes": {"on-call/email": {**box, "delay": "5s"}},
        }
        match = {"match": r".* shop worker (?P<name>\S+)", "label": "worker_name"}
        document = {"chaoskit": 1, "target": {"attached": target}, "handles": {"role": {"worker": match}}}
        document["limits"] = {"fault": "3m", "run": "10m", "workers": "100%"}
        file = self.folder / "profile.yml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return file


@dataclass
class Ended:
    code: int
    said: str
    verdict: dict[str, Any]
    history: History

    def results(self, hop: str, to: str) -> set[str]:
        return {row["result"] for row in self.verdict["rows"] if row["hop"] == hop and row["to"] == to}

    def row(self, hop: str, to: str) -> dict[str, Any]:
        [found] = [row for row in self.verdict["rows"] if row["hop"] == hop and row["to"] == to]
        return found  # type: ignore[no-any-return]


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Anew for each drill: a group that Alertmanager has notified already may speak so much later."""
    folder = tmp_path_factory.mktemp("shop")
    newest = programs(MOVING)
    worker = psutil.Popen([sys.executable, "-c", "import time; time.sleep(3600)", "shop", "worker", "w-1"])

    class Page(Handler):
        def do_GET(self) -> None:
            up = int(worker.status() != psutil.STATUS_STOPPED)
            self.answer(f'shop_worker_up{{worker_name="w-1",environment="staging"}} {up}\n', kind=METRICS)

        def do_POST(self) -> None:
            self.read()
            self.answer()

    with ExitStack() as cleanup:
        cleanup.callback(worker.wait, 10)
        cleanup.callback(worker.kill)
        web = cleanup.enter_context(serving(Page))
        servers = cleanup.enter_context(mail_servers())
        am_port, prom_port = reserve(2)
        (folder / "rules.yml").write_text(RULES)
        prometheus = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{am_port}"]}]}]},
            "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{web.server_port}"]}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
        found = Shop(
            folder,
            servers,
            web.server_port,
            f"http://127.0.0.1:{am_port}",
            f"http://127.0.0.1:{prom_port}",
            f"http://127.0.0.1:{web.server_port}/metrics",
            psutil.Process(worker.pid),
        )
        document = routes(servers.smtp, web.server_port)
        document["event_recorder"] = {"file_outputs": [{"path": str(folder / "events.jsonl")}]}
        (folder / "loaded.yml").write_text(yaml.safe_dump(document))
        flags = ["--enable-feature=event-recorder"]
        loaded, log = folder / "loaded.yml", folder / "am.log"
        alerting = start_alertmanager(newest, loaded, folder / "am", am_port, log, flags=flags)
        cleanup.callback(alerting.stop)
        child = start_prometheus(require(), folder / "prometheus.yml", folder / "prom", prom_port, folder / "prom.log")
        cleanup.callback(child.stop)
        await_discovery(found.prometheus)
        yield found


@pytest.fixture
def drill(shop: Shop, tmp_path: Path) -> Callable[..., Ended]:
    """One drill, as a user plays it; `when_hung` is called when the worker hangs."""

    def play(when_hung: Callable[[], None] = lambda: None, to: str = "ops@shop.test") -> Ended:
        shop.load(to=to)
        scenario = tmp_path / "hang.yml"
        scenario.write_text(SCENARIO)
        command = [sys.executable, "-m", "chaoskit", "run", str(scenario), "--bundle", str(shop.bundle(to))]
        command += ["--profile", str(shop.profile()), "--out", str(tmp_path / "out"), "--confirm", "staging"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        await_true(lambda: process.poll() is not None or shop.worker.status() == psutil.STATUS_STOPPED, 120, 0.05)
        when_hung()
        said, _ = process.communicate(timeout=240)
        latest = tmp_path / "out" / "latest"
        assert (latest / "verdict.json").exists(), said
        verdict = json.loads((latest / "verdict.json").read_text())
        return Ended(process.returncode, said, verdict, read_history(latest))

    return play


def mailbox_as_it_is(shop: Shop) -> dict[int, tuple[Any, ...]]:
    """Each mail's flags, as a second client sees them without touching them."""
    with imapclient.IMAPClient("127.0.0.1", port=shop.servers.imap, ssl=False) as client:
        client.login("ops", PASSWORD)
        client.select_folder("INBOX", readonly=True)
        return {uid: one[b"FLAGS"] for uid, one in client.fetch(client.search(["ALL"]), ["FLAGS"]).items()}


MAIL, HOOK = "on-call (email)", "on-call (webhook)"


def test_every_integration_is_proved_without_a_waiver_and_the_mailbox_is_left_as_it_was(
    shop: Shop, drill: Callable[..., Ended]
) -> None:
    before = mailbox_as_it_is(shop)
    ended = drill()
    assert ended.code == 0, ended.said
    for hop in ("notify", "all-clear", "content"):
        assert ended.results(hop, MAIL) == ended.results(hop, HOOK) == {"PASS"}, ended.said
    assert ended.row("notify", MAIL)["rests_on"] == "the mailbox on-call/email, and the recorder too"
    assert ended.row("notify", HOOK)["rests_on"] == "the recorder"
    after = mailbox_as_it_is(shop)
    assert len(after) == len(before) + 2
    assert {uid: flags for uid, flags in after.items() if uid in before} == before
    assert not [flags for flags in after.values() if b"\\Seen" in flags]


def test_a_wrong_address_fails_though_nothing_is_waived(drill: Callable[..., Ended]) -> None:
    """exim refuses the recipient: the recorder has no delivery, and the mailbox no mail."""
    ended = drill(to="typo@shop.test")
    assert ended.code == 1, ended.said
    assert ended.results("notify", MAIL) == {"FAIL"}
    assert "was never notified" in ended.row("notify", MAIL)["reason"]
    assert ended.results("notify", HOOK) == {"PASS"}


def test_a_mail_server_that_was_stopped_for_a_while_makes_the_mail_late(
    shop: Shop, drill: Callable[..., Ended]
) -> None:
    def stop_for_20_s() -> None:
        shop.servers.stop_exim()
        time.sleep(20)  # the span that is tried: longer than the mail may be late
        shop.servers.start_exim()

    ended = drill(stop_for_20_s)
    assert ended.code == 1, ended.said
    assert ended.results("notify", MAIL) == {"FAIL"}
    assert "too late" in ended.row("notify", MAIL)["reason"]


def test_a_mailbox_that_cannot_be_read_is_unknown(shop: Shop, drill: Callable[..., Ended]) -> None:
    try:
        ended = drill(shop.servers.stop_dovecot)
    finally:
        shop.servers.start_dovecot()
    assert ended.code == 3, ended.said
    assert ended.results("notify", MAIL) == {"UNKNOWN"}
    assert "mailbox on-call/email was down" in ended.row("notify", MAIL)["reason"]
    assert ended.results("notify", HOOK) == {"PASS"}


def test_a_recorder_that_was_off_for_a_while_is_unknown(shop: Shop, drill: Callable[..., Ended]) -> None:
    def off_for_15_s() -> None:
        shop.load(recorder=False)
        time.sleep(15)  # the span that is tried: the notice falls into it
        shop.load()

    ended = drill(off_for_15_s)
    assert ended.code == 3, ended.said
    assert ended.results("notify", HOOK) == {"UNKNOWN"}
    assert "recorder was down" in ended.row("notify", HOOK)["reason"]
