"""A system that runs already, for drills: `chaoskit up` and a witness, started separately, and profiles that name them.

Its alert configuration is the drills' own and so short that real time is bearable.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.witness_examples import TOKEN

READY_S = 60.0
RULES = """groups:
  - name: worker
    rules:
      - alert: WorkerUnhealthy
        expr: insa_worker_health_status == 0
        for: 4s
        labels: {severity: critical, component: worker}
        annotations: {summary: 'Worker {{ $labels.worker_name }} is unhealthy', runbook_url: https://docs/WorkerUnhealthy}
"""
FOREIGN = """  - name: of-another-team
    rules:
      - alert: OtherTeamsTrouble
        expr: vector(1)
        labels: {severity: critical, team: other}
"""
ROUTES = """global: {smtp_smarthost: 'localhost:25', smtp_from: a@b.c, smtp_require_tls: false}
route:
  receiver: everybody
  group_by: [alertname, worker_name]
  group_wait: 2s
  group_interval: 10s
  repeat_interval: 1h
receivers:
  - name: everybody
    email_configs:
      - {to: ops@b.c, send_resolved: true}
    webhook_configs:
      - {url: 'http://localhost:8080/alerts', send_resolved: true}
"""
PROMETHEUS = """global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{api_version: v2, static_configs: [{targets: ['localhost:9093']}]}]}
scrape_configs:
  - {job_name: crm, static_configs: [{targets: ['localhost:9091']}]}
"""
PROMISE = """chaoskit: 1
receivers: {everybody: {recipients: [ops@b.c], resolved: true}}
alerts:
  WorkerUnhealthy:
    appears: 6s
    clears: 30s
    notices:
      everybody: {for: 4s, group_wait: 2s, repeat: 1h}
"""
SCENARIO = """chaoskit: 1
title: One worker dies and comes back
runbook: none
steps:
  - inject: process.kill
    as: kill
    target: {role: worker, count: 1}
    with: {hold: true}
  - wait: settled
  - undo: kill
    as: recovery
  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: kill
    until: recovery
    notifies: [everybody]
"""
WAIVED = ("everybody/email", "everybody/webhook")


def write_bundle(folder: Path, more_rules: str = "") -> Path:
    """The short configuration as a bundle's folder; what is loaded may have more rules than what is tested."""
    folder.mkdir(parents=True)
    files = {
        "prometheus_config.yml": PROMETHEUS,
        "rules.yml": RULES + more_rules,
        "alertmanager.yml": ROUTES,
        "notification_windows.yml": PROMISE,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def processes_titled(title: str, *names: str) -> tuple[str, Callable[[], Iterator[None]]]:
    """The pattern of processes of this host which do nothing, and the fixture of the module that names it.

    Their title holds the pid of the tests, so that tests that run at the same time do not see each other's.
    """
    title = f"{title}-{os.getpid()}"

    @pytest.fixture(scope="module", autouse=True)
    def processes() -> Iterator[None]:
        with ExitStack() as cleanup:
            for name in names:
                one = subprocess.Popen([f"{title} {name}"], executable="/bin/cat", stdin=subprocess.PIPE)
                cleanup.callback(one.communicate, timeout=10)
            yield

    return rf"{title} (?P<name>\S+)", processes


@dataclass
class System:
    """What is up, and where it answers."""

    addresses: Mapping[str, str]
    folder: Path
    bundle: Path
    witness: str
    token_file: Path
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def profile(self, *, waive: tuple[str, ...] = WAIVED, **changes: Any) -> Path:
        """A profile that names it; `changes` replace what is said of the target."""
        access: dict[str, Any] = {"witness": {"bearer_file": str(self.token_file)}}
        target: dict[str, Any] = {
            "prometheus": self.addresses["Prometheus"],
            "alertmanager": self.addresses["Alertmanager"],
            "metrics": self.addresses["metrics"],
            "environment": "staging",
            "witness": self.witness,
            "waive": list(waive),
        }
        access |= changes.pop("access", {})
        target |= changes | {"access": access}
        document = {
            "chaoskit": 1,
            "target": {"attached": {key: value for key, value in target.items() if value}},
            "handles": {"role": {"worker": {"match": self.addresses["worker title"], "label": "worker_name"}}},
            "limits": {"fault": "3m", "run": "10m", "workers": "75%"},
        }
        file = self.folder / "profile.yml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return file

    def workers(self) -> list[str]:
        """Titles of its workers as they run now, in order of their names."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        titles = (" ".join(one.cmdline()).strip() for one in children)
        return sorted(title for title in titles if " worker " in title)


@contextmanager
def running(folder: Path, witness: str, more_rules: str = "", tested: Path | None = None) -> Iterator[System]:
    """`chaoskit up` as a process of its own, whose receivers tell the witness as well."""
    token_file = folder / "token"
    token_file.write_text(TOKEN)
    tested = tested or write_bundle(folder / "bundle")
    loaded = write_bundle(folder / "loaded", more_rules) if more_rules else tested
    process = subprocess.Popen(
        [sys.executable, "-m", "chaoskit", "up", "--ports", "free", "--format", "json", "--environment", "staging",
         "--bundle", str(loaded), "--witness", witness, "--witness-token-file", str(token_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    said: list[str] = []
    assert process.stdout is not None
    overdue = threading.Timer(READY_S, process.kill)
    overdue.start()
    try:
        first = process.stdout.readline()
        overdue.cancel()
        addresses = json.loads(first)["addresses"]
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        reader.start()
        yield System(addresses, folder, tested, witness, token_file, process, said)
    finally:
        overdue.cancel()
        process.terminate()
        process.wait(READY_S)
        process.stdout.close()
