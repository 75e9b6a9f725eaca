"""Many scenarios, one answer: together where they may, each judged for itself, and never greener than alone."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chaoskit.history import read_history
from chaoskit.verify.verdict import to_json
from chaoskit.verify.verify import verify
from tests.drills.conftest import Drill, says_busy, too_busy
from tests.drills.test_first_game_day import ALWAYS_FIRING

pytestmark = [pytest.mark.drill, pytest.mark.stack, pytest.mark.timeout(400)]

WORKER = """chaoskit: 1
title: a worker dies
runbook: worker-unhealthy
steps:
  - inject: process.kill
    as: kill
    target: {role: worker, count: 1}
    with: {hold: true}
  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: kill
allow:
  - alert: WorkerHighQueueDepth
    because: three workers may fall behind
"""
BREAKER = """chaoskit: 1
title: the upstream answers nothing but errors
runbook: circuit-breaker-open
steps:
  - inject: http.error
    as: starve
    target: {link: upstream}
    with: {status: 503, ratio: 100%}
  - wait: {alert: CircuitBreakerOpen, state: notified}
expect:
  - alert: CircuitBreakerOpen
    from: starve
allow:
  - alert: HighErrorRate
    because: every request is answered with an error
  - alert: HighTimeoutRate
    because: probes may time out
  - alert: LowRetrySuccessRate
    because: no retry can succeed
  - alert: ExcessiveRetryAttempts
    because: every request is tried again until the breaker opens
"""


@dataclass
class Gated:
    code: int
    said: str
    folder: Path

    def verdict(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name / "verdict.json").read_bytes())
        return found


def gate(drill: Drill, scenarios: dict[str, str], *arguments: str) -> Gated:
    files = []
    for name, text in scenarios.items():
        file = drill.folder.parent / f"{name}.yml"
        file.write_text(text)
        files.append(str(file))
    gated = _gated(drill, files, arguments)
    judged = [name for name in scenarios if (gated.folder / name / "verdict.json").exists()]
    if any(too_busy(gated.verdict(name)) for name in judged):
        with drill.turn.alone():
            gated = _gated(drill, files, arguments)  # what this one says counts
    return gated


def gate_named(drill: Drill, *arguments: str) -> Gated:
    """A gate with these arguments; where this machine was too busy for it, once more, alone."""
    gated = _gated(drill, (), arguments)
    if gated.code == 3 and says_busy(gated.said):
        with drill.turn.alone():
            gated = _gated(drill, (), arguments)
    return gated


def _gated(drill: Drill, files: Sequence[str], arguments: Sequence[str]) -> Gated:
    """One gate, into the drill's folder; of its bundle, unless files are named."""
    given = () if "--rules" in arguments else ("--bundle", str(drill.folder))
    done = subprocess.run(
        [sys.executable, "-m", "chaoskit", "gate", *files, *arguments, *given, "--out", str(drill.out)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    folders = sorted(drill.out.glob("*-gate*"))
    return Gated(done.returncode, done.stdout + done.stderr, folders[-1] if folders else drill.out)


def test_scenarios_that_may_share_a_stack_run_together_and_each_is_judged_by_itself(drill: Drill) -> None:
    """One stack, one wave, two histories; each is judged again byte for byte; JUnit and coverage say the same."""
    report = drill.out / "junit.xml"
    gated = gate(drill, {"worker": WORKER, "breaker": BREAKER}, "-j", "1", "--junitxml", str(report))
    assert gated.code == 0, gated.said
    assert "2 scenarios in 1 stack" in gated.said
    assert "proven: 2 of 22 alerts" in gated.said
    for name in ("worker", "breaker"):
        assert gated.verdict(name)["result"] == "PASS"
        stored = (gated.folder / name / "verdict.json").read_bytes()
        assert to_json(verify(read_history(gated.folder / name))) == stored
        assert (gated.folder / name / "report.html").exists()
        assert f'href="{name}/report.html"' in (gated.folder / "index.html").read_text()
    header = read_history(gated.folder / "worker").header
    assert "CircuitBreakerOpen" in header.beside
    cases = ET.parse(report).getroot().iter("testcase")
    assert {case.get("name"): [part.tag for part in case] for case in cases} == {
        "worker": ["system-out"],
        "breaker": ["system-out"],
    }
    assert "++++++++" in gated.said


@pytest.mark.long
def test_a_gate_of_files_by_themselves_is_judged_like_one_of_their_bundle(drill: Drill) -> None:
    """The job's process, the verdict and the command that does it again have the files, each in another folder."""
    rules, mails = drill.folder.parent / "rules", drill.folder.parent / "mails"
    (drill.folder / "templates").rename(mails)
    rules.mkdir()
    (drill.folder / "prometheus_alerts.yml").rename(rules / "a.yml")
    names = {"alertmanager": "alertmanager", "prometheus": "prometheus_config", "promise": "notification_windows"}
    given = [word for role, name in names.items() for word in (f"--{role}", str(drill.folder / f"{name}.yml"))]
    given += ["--rules", str(rules / "*.yml"), "--template", str(mails / "*.tmpl")]
    gated = gate(drill, {"worker": WORKER}, *given)
    assert gated.code == 0, gated.said
    assert "proven: 1 of 22 alerts" in gated.said
    assert read_history(gated.folder / "worker").header.origin.command.endswith(shlex.join(given))


@pytest.mark.long
def test_two_machines_share_a_gate_and_their_parts_are_one_answer(drill: Drill) -> None:
    """Each plays one of two scenarios; merged, every byte of a verdict is the part's own, and one part alone is 3."""
    parts = [gate(drill, {"worker": WORKER, "breaker": BREAKER}, "--shard", f"{number}/2") for number in (1, 2)]
    assert [part.code for part in parts] == [0, 0], "\n".join(part.said for part in parts)
    assert "part 1 of 2 passed (exit 0)" in parts[0].said
    played = {file.parent.name: file.read_bytes() for part in parts for file in part.folder.glob("*/verdict.json")}
    assert sorted(played) == ["breaker", "worker"]
    merged = drill.folder.parent / "merged"

    def merge(*folders: Path) -> Gated:
        words = ["gate", "merge", *map(str, folders), "--out", str(merged)]
        done = subprocess.run(
            [sys.executable, "-m", "chaoskit", *words], capture_output=True, text=True, timeout=60, check=False
        )
        return Gated(done.returncode, done.stdout + done.stderr, max(merged.glob("*-gate*")))

    whole = merge(*(part.folder for part in parts))
    assert whole.code == 0, whole.said
    assert "proven: 2 of 22 alerts" in whole.said
    assert {name: (whole.folder / name / "verdict.json").read_bytes() for name in played} == played
    assert 'href="worker/report.html"' in (whole.folder / "index.html").read_text()
    half = merge(parts[1].folder)
    assert (half.code, "part 1 of 2 is missing" in half.said) == (3, True), half.said


@pytest.mark.long
def test_a_hidden_interference_is_a_finding_and_not_a_pass(drill: Drill) -> None:
    """Each alone passes; together they raise an alert that neither of them speaks of."""
    rules = drill.folder / "prometheus_alerts.yml"
    both = "on() (count(insa_worker_health_status == 0) and on() max(insa_circuit_breaker_state > 0) / 2)"
    rules.write_text(rules.read_text() + ALWAYS_FIRING.format(condition=both))
    gated = gate(drill, {"worker": WORKER, "breaker": BREAKER}, "-j", "1")
    assert gated.code == 1, gated.said
    reasons = " ".join(row["reason"] for name in ("worker", "breaker") for row in gated.verdict(name)["rows"])
    assert "Stray fired, and the scenario neither expects nor allows it" in reasons


@pytest.mark.long
def test_what_ends_unknown_is_tried_once_more_on_a_fresh_stack_and_what_fails_is_not(drill: Drill) -> None:
    """Side by side: one waits in vain at either attempt and so shows nothing; the other's alert comes too late."""
    drill.change("prometheus_alerts.yml", "        for: 1m\n", "        for: 5m\n")
    in_vain = WORKER.replace("- wait: settled", '- wait: {query: "vector(1) > 2", at_most: 30s}')
    gated = gate(drill, {"worker": WORKER, "in-vain": in_vain}, "-j", "2")
    assert gated.code == 1, gated.said
    assert gated.verdict("in-vain-again")["result"] == "UNKNOWN"
    assert "UNKNOWN  in-vain (second attempt)" in gated.said
    assert gated.verdict("worker")["result"] == "FAIL"
    assert not (gated.folder / "worker-again").exists()


@pytest.mark.long
def test_a_gap_in_the_required_coverage_is_a_failure_and_nothing_selected_a_usage_error(drill: Drill) -> None:
    gated = gate(drill, {"worker": WORKER}, "--require-coverage", "100")
    assert gated.code == 1, gated.said
    assert "100 % is required" in gated.said
    assert gate(drill, {"worker": WORKER}, "-k", "nothing-is-called-so").code == 2
