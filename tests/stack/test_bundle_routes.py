"""The shipped Alertmanager configuration: who is told and what is muted, as amtool and a real Alertmanager see it."""

from __future__ import annotations

import email
import email.policy
import json
import queue
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from aiosmtpd.controller import Controller

from chaoskit.bundle import folder
from chaoskit.host.ports import reserve
from chaoskit.host.process import wait_until
from chaoskit.stack.monitoring import start_alertmanager
from tests.http_stub import Handler, serving

if TYPE_CHECKING:
    from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack

ROUTES = [
    ("WorkerUnhealthy", "critical", "worker", "critical-alerts,worker-alerts"),
    ("MultipleWorkersDown", "critical", "worker", "critical-alerts,worker-alerts"),
    ("WorkerHighQueueDepth", "warning", "worker", "worker-alerts"),
    ("WorkerFrequentRestarts", "warning", "worker", "worker-alerts"),
    ("HighErrorRate", "critical", "api", "critical-alerts,default-receiver"),
    ("LowCacheHitRate", "warning", "cache", "default-receiver"),
    ("LowRetrySuccessRate", "warning", "retry", "default-receiver"),
    ("CircuitBreakerOpen", "critical", "circuit_breaker", "critical-alerts,circuit-breaker-alerts"),
    ("DeadLetterQueueGrowing", "warning", "dlq", "dlq-alerts"),
    ("SlowDatabaseQueries", "warning", "database", "database-alerts"),
    ("DiskSpaceLow", "critical", "system", "critical-alerts,infrastructure-alerts"),
    ("SomethingElse", "warning", "else", "default-receiver"),
]


def amtool(binaries: Binaries, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(binaries.amtool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_amtool_accepts_the_configuration_and_finds_its_templates(binaries: Binaries) -> None:
    done = amtool(binaries, "check-config", folder() / "alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"- (\d+) (\w+)", done.stdout) == [("4", "inhibit"), ("7", "receivers"), ("1", "templates")]


@pytest.mark.parametrize(("alert", "severity", "component", "receivers"), ROUTES)
def test_an_alert_reaches_exactly_its_receivers(
    binaries: Binaries, alert: str, severity: str, component: str, receivers: str
) -> None:
    done = amtool(
        binaries,
        *("config", "routes", "test", "--config.file", folder() / "alertmanager.yml"),
        *(f"alertname={alert}", f"severity={severity}", f"component={component}", "worker_name=worker-2"),
    )
    assert (done.returncode, done.stdout.strip()) == (0, receivers), done.stderr


class Alertmanager:
    """The bundle's configuration on a real Alertmanager: short waits, mails and webhook to sinks of this test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.mails: queue.Queue[tuple[list[str], EmailMessage]] = queue.Queue()
        self.posts: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def send(self, *alerts: dict[str, Any]) -> None:
        requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=5).raise_for_status()

    def get(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v2/alerts", timeout=5)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


async def _received(sink: Alertmanager, envelope: Any) -> str:
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    sink.mails.put((envelope.rcpt_tos, message))
    return "250 OK"


def _mail_sink(sink: Alertmanager, port: int) -> Controller:
    class Handler:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802
            return await _received(sink, envelope)

    return Controller(Handler(), hostname="127.0.0.1", port=port)


def _webhook_sink(sink: Alertmanager) -> type[Handler]:
    class Hook(Handler):
        def do_POST(self) -> None:
            sink.posts.put((self.path, json.loads(self.read())))
            self.answer()

    return Hook


@pytest.fixture
def alertmanager(binaries: Binaries, tmp_path: Path) -> Iterator[Alertmanager]:
    web, smtp = reserve(2)
    sink = Alertmanager(f"http://127.0.0.1:{web}")
    config = (folder() / "alertmanager.yml").read_text(encoding="utf-8")
    shutil.copytree(folder() / "templates", tmp_path / "templates")
    mail = _mail_sink(sink, smtp)
    with ExitStack() as cleanup:
        hook = cleanup.enter_context(serving(_webhook_sink(sink)))
        for pattern, replacement in (
            (r"group_wait: \w+", "group_wait: 50ms"),
            (r"group_interval: \w+", "group_interval: 500ms"),
            (r"localhost:25\b", f"127.0.0.1:{smtp}"),
            (r"localhost:8080", f"127.0.0.1:{hook.server_port}"),
        ):
            config, count = re.subn(pattern, replacement, config)
            assert count
        (tmp_path / "alertmanager.yml").write_text(config, encoding="utf-8")
        mail.start()
        cleanup.callback(mail.stop)
        child = start_alertmanager(
            binaries, tmp_path / "alertmanager.yml", tmp_path / "data", web, tmp_path / "alertmanager.log"
        )
        cleanup.callback(child.stop)
        yield sink


def alert(name: str, component: str, severity: str, *, ended: bool = False, **labels: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "labels": {"alertname": name, "component": component, "severity": severity, "team": "platform", **labels},
        "annotations": {
            "summary": f"{name} <b>happened</b>",
            "description": "Impact: some.",
            "runbook": "https://docs.insa-crm.com/runbooks/worker-unhealthy",
        },
        "startsAt": (now - timedelta(minutes=2)).isoformat(),
        **({"endsAt": now.isoformat()} if ended else {}),
        "generatorURL": "http://localhost:9090/graph",
    }


def test_a_dead_worker_is_mailed_to_both_receivers_and_posted_once_and_so_is_its_return(
    alertmanager: Alertmanager,
) -> None:
    for ended, word in ((False, "FIRING"), (True, "RESOLVED")):
        alertmanager.send(alert("WorkerUnhealthy", "worker", "critical", ended=ended, worker_name="worker-2"))
        mails = [alertmanager.mails.get(timeout=30) for _ in range(2)]
        for recipients, mail in mails:
            assert recipients == ["w.aroca@insaing.com"]
            assert mail["From"] == "insa-crm-alerts@insaing.com"
            assert mail["Subject"] == f"[{word}:1] CRITICAL WorkerUnhealthy (worker) worker-2"
            html, text = (mail.get_body((kind,)) for kind in ("html", "plain"))
            assert html is not None
            assert text is not None
            assert "WorkerUnhealthy &lt;b&gt;happened&lt;/b&gt;" in html.get_content()
            assert 'href="https://docs.insa-crm.com/runbooks/worker-unhealthy"' in html.get_content()
            assert "WorkerUnhealthy <b>happened</b>" in text.get_content()
        told = sorted(re.findall(r"Sent to ([\w-]+)", "".join(str(mail.get_body(("plain",))) for _, mail in mails)))
        assert told == ["critical-alerts", "worker-alerts"]
        path, payload = alertmanager.posts.get(timeout=30)
        assert (path, payload["status"]) == ("/alerts/critical", word.lower())
        assert [a["labels"]["worker_name"] for a in payload["alerts"]] == ["worker-2"]
    assert alertmanager.mails.empty()
    assert alertmanager.posts.empty()


def test_the_documented_alerts_are_muted_and_no_others(alertmanager: Alertmanager) -> None:
    """Each case in an environment of its own; the last two are what a source in another one must not mute."""
    worker = ("WorkerUnhealthy", "worker", "critical")
    workers = ("MultipleWorkersDown", "worker", "critical")
    breaker = ("CircuitBreakerOpen", "circuit_breaker", "critical")
    cache = [("LowCacheHitRate", "cache", "warning"), ("HighCacheEvictionRate", "cache", "warning")]
    growing, letters = ("DeadLetterQueueGrowing", "dlq", "warning"), ("DeadLetterQueueCritical", "dlq", "critical")
    errors, timeouts = ("HighErrorRate", "api", "critical"), ("HighTimeoutRate", "api", "critical")
    everything = [worker, *cache, growing, letters, errors, timeouts]
    sources = {"one-down": [worker], "many-down": [workers], "open": [breaker], "none": []}
    muted = {("one-down", name) for name in ("LowCacheHitRate", "HighCacheEvictionRate", "DeadLetterQueueGrowing")} | {
        ("many-down", name)
        for name in ("WorkerUnhealthy", "LowCacheHitRate", "HighCacheEvictionRate", "DeadLetterQueueGrowing")
    }
    muted.add(("open", "HighErrorRate"))
    for environment, active in sources.items():
        others = [case for case in everything if case != worker or environment == "many-down"]
        alertmanager.send(
            *(alert(*case, environment=environment, worker_name="worker-1") for case in active if case == worker),
            *(alert(*case, environment=environment) for case in active if case != worker),
            *(alert(*case, environment=environment, instance="crm:9091") for case in others),
        )

    def suppressed() -> set[tuple[str, str]]:
        return {
            (a["labels"]["environment"], a["labels"]["alertname"])
            for a in alertmanager.get()
            if a["status"]["state"] == "suppressed" and a["status"]["inhibitedBy"]
        }

    wait_until(lambda: suppressed() >= muted, timeout_s=30, what="the documented alerts are muted")
    assert suppressed() == muted
    assert len(alertmanager.get()) == 4 * 6 + 1 + 3, "every alert is there, muted or not"


def test_mute_holds_where_no_environment_is_set(alertmanager: Alertmanager) -> None:
    alertmanager.send(
        alert("MultipleWorkersDown", "worker", "critical"),
        alert("WorkerUnhealthy", "worker", "critical", worker_name="worker-1", instance="crm:9091"),
    )

    def states() -> dict[str, str]:
        return {a["labels"]["alertname"]: a["status"]["state"] for a in alertmanager.get()}

    muted = "suppressed"
    wait_until(lambda: states().get("WorkerUnhealthy") == muted, timeout_s=30, what="WorkerUnhealthy is muted")
    assert states()["MultipleWorkersDown"] != muted
