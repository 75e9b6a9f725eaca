"""The shop of `examples/shop`, started for a test from a copy, with waits so short that a drill takes half a minute."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from tests.staging_servers import folder

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "shop"
SHORTER = {
    "alerts/rules.yml": {"interval: 5s": "interval: 1s", "for: 20s": "for: 4s", "[20s]": "[8s]"},
    "alerts/alertmanager.yml": {"group_wait: 5s": "group_wait: 1s", "group_interval: 20s": "group_interval: 4s"},
    "alerts/prometheus_config.yml": {"_interval: 5s": "_interval: 1s", "scrape_timeout: 4s": "scrape_timeout: 1s"},
    "alerts/notification_windows.yml": {
        "for: 20s, group_wait: 5s, group_interval: 20s": "for: 4s, group_wait: 1s, group_interval: 4s",
        "scrape: 5s": "scrape: 1s",
        "interval: 5s": "interval: 1s",
    },
    # Given up before the alert itself would be late, as at full length.
    "scenarios/api-down.yml": {"at_most: 12s": "at_most: 4s"},
    "scenarios/payments-unreachable.yml": {"at_most: 16s": "at_most: 12s"},
    "scenarios/database-errors.yml": {"at_most: 16s": "at_most: 7s", "[20s]": "[8s]"},
    "scenarios/queue-backlog.yml": {"at_most: 12s": "at_most: 4s"},
    "scenarios/dead-letters.yml": {"at_most: 12s": "at_most: 4s"},
    "scenarios/uploads-nearly-full.yml": {"at_most: 12s": "at_most: 4s"},
    "scenarios/worker-down.yml": {"at_most: 12s": "at_most: 7s"},
    "scenarios/slow-orders.yml": {"at_most: 24s": "at_most: 15s", "[20s]": "[8s]"},
}


def demo(example: Path = EXAMPLE) -> ModuleType:
    """The program that starts and stops it, as a module."""
    spec = spec_from_file_location("shop_demo", example / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@dataclass(frozen=True)
class Shop:
    """One that runs: its folder holds the profile, the scenarios, the alert configuration, logs and mails."""

    folder: Path
    example: Path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "chaoskit", *words]

    def run(self, *words: str, within_s: float = 150) -> subprocess.CompletedProcess[str]:
        """A command of chaoskit, as a user gives it in that folder."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Notes of runs lie in a folder of its own."""
        return {**os.environ, "CHAOSKIT_STATE": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}

    def drill(self, scenario: str, *more: str) -> subprocess.CompletedProcess[str]:
        """One drill on it, everything confirmed."""
        confirm = ["--confirm", "staging", "--confirm", "slice:uploads"]
        return self.run("run", scenario, "--profile", "staging", "--bundle", "alerts", *confirm, *more)

    def change(self, scenario: str, name: str, dose: Mapping[str, str]) -> str:
        """Another dose of a scenario's fault, each part of its text by another, as a scenario of its own; its path."""
        text = (self.folder / "scenarios" / f"{scenario}.yml").read_text()
        for old, new in dose.items():
            text, count = re.subn(rf"{old}\b", new, text)
            assert count == 1, (old, text)
        file = self.folder / f"{name}.yml"
        file.write_text(text)
        return str(file)


@contextmanager
def running(*, shorter: bool = True) -> Iterator[Shop]:
    """The shop until the end; skips where it cannot be started on this machine, with the reason."""
    if why := demo().missing():
        pytest.skip(f"{why} (make test-staging)")
    if demo().newest() is None:
        pytest.skip("there is no Alertmanager with an event recorder (make generations)")
    with folder() as at:
        example = at / "example"
        shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns("__pycache__"))
        for name, changes in SHORTER.items() if shorter else ():
            text = (example / name).read_text()
            for old, new in changes.items():
                assert old in text, f"{name} has no {old}"
                text = text.replace(old, new)
            (example / name).write_text(text)
        started = call(example, "start", at / "shop")
        assert started.returncode == 0, started.stdout + started.stderr
        try:
            (at / "shop" / "state").mkdir(mode=0o700)
            yield Shop(at / "shop", example)
        finally:
            ended = call(example, "stop", at / "shop")
            assert ended.returncode == 0, ended.stdout + ended.stderr


def call(example: Path, what: str, at: Path) -> subprocess.CompletedProcess[str]:
    """Its program, as a user calls it."""
    command = [sys.executable, str(example / "demo.py"), what, "--at", str(at)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
