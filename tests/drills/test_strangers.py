"""Another user of the machine, who reads where the doors are and tells the sinks lies, changes no verdict."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit.events import AlertState, Notice, Stranger
from chaoskit.history import readable_part
from tests.drills.conftest import Drill, Ended
from tests.drills.test_first_game_day import MAIL_OF_WORKER_ALERTS, assert_fails

pytestmark = [pytest.mark.drill, pytest.mark.stack]

WEBHOOK = "/alerts/critical\n        send_resolved: true"
FORGER = Path(__file__).with_name("forger.py")
NOBODY = 65534
SYSTEM_PYTHON = Path("/usr/bin/python3")


def forged(drill: Drill, *, after: str) -> tuple[Ended, str]:
    """A run whose sinks are told lies once its output has this text; with what the doors answered."""
    answers = []

    def forge(run: psutil.Process) -> None:
        words = [" ".join(child.cmdline()) for child in run.children(recursive=True)]
        server = next(word for word in words if "/stack/alertmanager.yml" in word)
        address = server.partition("--web.listen-address=")[2].split()[0]
        history = readable_part(drill.folders[-1])
        assert history is not None
        labels = next(event.labels for event in history.of(AlertState) if event.state == "firing")
        # An Alertmanager that hides the addresses of webhooks (0.28 does) leaves a stranger to guess them.
        file = drill.folders[-1] / "stack" / "alertmanager.yml"
        guessed = re.findall(r"http://127\.0\.0\.1:\d+/door/[^\s'\"]+", file.read_text())
        program = ["-I", "-c", FORGER.read_text(), f"http://{address}", json.dumps(labels), *guessed]
        other: dict[str, Any] = {}
        if os.geteuid() == 0 and SYSTEM_PYTHON.exists():  # ours may lie where no other user can read it
            other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        told = subprocess.run(
            [SYSTEM_PYTHON if other else sys.executable, *program],
            capture_output=True, text=True, timeout=60, check=False, cwd="/", **other,
        )  # fmt: skip
        answers.append(told.stdout + told.stderr)

    ended = drill.run(when=after, do=forge)
    assert answers, ended.said
    return ended, answers[0]


def assert_refused(ended: Ended, answers: str) -> None:
    """Each lie was refused, none is a notice, and the verdict counts them."""
    doors = Counter(door["kind"] for door in ended.history.header.doors)
    assert answers.count("403") == 4 * doors["http"] > 0, answers
    assert answers.count("Authentication required") == 2 * doors["smtp"] > 0, answers
    assert "taken" not in answers
    notices = list(ended.history.of(Notice))
    assert notices
    assert not any(alert.labels["alertname"] == "Forged" for notice in notices for alert in notice.alerts)
    counted = sum(stranger.count for stranger in ended.history.of(Stranger))
    assert counted == 4 * doors["http"] + 2 * doors["smtp"]
    notes = "\n".join(ended.verdict["notes"])
    assert "webhook-sink refused" in notes
    assert "mail-sink refused" in notes
    assert ended.results("finding") == {"PASS"}
    # The words by which Alertmanager is known stand in its own file only, which is ours alone to read.
    file = ended.folder / "stack" / "alertmanager.yml"
    words = re.findall(r"(?:credentials|auth_password): (\S+)", file.read_text())
    assert len(set(words)) == doors["http"] + doors["smtp"]
    assert file.stat().st_mode & 0o077 == 0
    others = [path.read_text(errors="replace") for path in ended.folder.rglob("*") if path.is_file() and path != file]
    assert not any(word in text for word in words for text in [*others, ended.said])


@pytest.mark.long
def test_no_resolved_mails_fails_the_all_clear_whatever_strangers_say(drill: Drill) -> None:
    """Lies at every door, forged all-clears and forged alerts, leave what failed and what passed as it was."""
    silent = MAIL_OF_WORKER_ALERTS.replace("send_resolved: true", "send_resolved: false")
    drill.change("alertmanager.yml", MAIL_OF_WORKER_ALERTS, silent)
    ended, answers = forged(drill, after="WorkerUnhealthy inactive")
    assert_fails(ended, "all-clear", "worker-alerts", "never heard the all-clear", "send_resolved")
    assert ended.results("all-clear", "critical-alerts") == {"PASS"}
    assert_refused(ended, answers)


@pytest.mark.long
def test_a_forged_all_clear_at_the_webhook_leaves_its_fail(drill: Drill) -> None:
    drill.change("alertmanager.yml", WEBHOOK, WEBHOOK.replace("true", "false"))
    ended, answers = forged(drill, after="WorkerUnhealthy inactive")
    assert_fails(ended, "all-clear", "critical-alerts (webhook)", "never heard the all-clear", "send_resolved")
    assert_refused(ended, answers)


@pytest.mark.long
def test_forged_notices_spoil_no_pass(drill: Drill) -> None:
    ended, answers = forged(drill, after="WorkerUnhealthy firing")
    assert ended.code == 0, ended.said
    assert_refused(ended, answers)
