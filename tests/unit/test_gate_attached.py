"""A gate on a running system, beside everything that ships: it plays what suits the system, and names the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from test_attach_refusals import RULE, Case, System
from test_docs_commands import wrong

from chaoskit.cli import run
from chaoskit.gate.candidate import Candidate
from chaoskit.gate.choose import scheduled
from tests.attached_system import ROUTES, RULES, SCENARIO, processes_titled, write_bundle
from tests.reverse_proxy import proxied

MATCH, worker = processes_titled("a-gated-worker", "w-1")
SECOND = """      - alert: WorkerSlow
        expr: insa_worker_seconds > 1
        for: 4s
        labels: {severity: critical}
"""
PROMISED = "  WorkerSlow:\n    notices:\n      everybody: {for: 4s, group_wait: 2s, repeat: 1h}\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system that has WorkerUnhealthy loaded as it is in the bundle, and WorkerSlow not at all."""
    rules = {"status": "success", "data": {"groups": [{"interval": 1, "rules": [RULE]}]}}
    answers = {
        "/api/v1/rules": json.dumps(rules),
        "/api/v2/status": json.dumps({"config": {"original": ROUTES}}),
    }
    with proxied(System(answers)) as there:
        case = Case(tmp_path, match=MATCH, more="limits: {fault: 3m, run: 10m}\n")
        case.target = {"prometheus": there.url, "alertmanager": there.url, "metrics": f"{there.url}/metrics"}
        write_bundle(tmp_path / "bundle")
        (tmp_path / "bundle" / "rules.yml").write_text(RULES + SECOND)
        promise = tmp_path / "bundle" / "notification_windows.yml"
        promise.write_text(promise.read_text() + PROMISED)
        case.plan()
        scenarios = tmp_path / "scenarios"
        scenarios.mkdir()
        (tmp_path / "drill.yml").rename(scenarios / "one-dies.yml")
        (scenarios / "slow.yml").write_text(SCENARIO.replace("alert: WorkerUnhealthy", "alert: WorkerSlow"))
        (scenarios / "far.yml").write_text(SCENARIO.replace("role: worker", "role: elsewhere"))
        monkeypatch.chdir(tmp_path)
        yield there


def gated(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run(["gate", *words, "--profile", "staging.yml", "--bundle", "bundle", "--dry-run"])
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


def test_beside_everything_that_ships_it_plays_what_suits_and_names_the_rest(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = gated(capsys)
    assert code == 0
    assert "1 scenarios in 1 stacks" in said or "1 scenario in 1 stack" in said
    assert "tells everybody (email, webhook): 4 notifications" in said
    assert "left out: slow, which proves WorkerSlow" in said
    assert "WorkerSlow, which is expected to fire, is not loaded in" in said
    assert "left out: far, which proves WorkerUnhealthy" in said
    assert "role handle 'elsewhere' is defined nowhere" in said
    assert "left out: high-error-rate" in said
    assert "left out: one-dies" not in said


@pytest.mark.parametrize("words", [("-m", "not outage"), ("--budget", "20m"), ("-k", "one-dies")])
def test_it_is_narrowed_like_any_other_gate(
    system: System, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = gated(capsys, *words)
    assert (code, "left out: one-dies" in said) == (0, False)


def test_what_was_named_and_does_not_suit_is_not_passed_over(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = gated(capsys, "scenarios/one-dies.yml", "scenarios/slow.yml")
    assert code == 2
    assert "not played: slow" in said


def test_a_running_system_is_not_shared_among_machines(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = gated(capsys, "--shard", "1/2")
    assert code == 2
    assert "a running system bears one scenario at a time, and each machine's lock is its own" in said


def test_a_system_that_does_not_tell_what_it_has_loaded_is_no_system_without_it(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.backends.pop("/api/v1/rules")
    code, said = gated(capsys)
    assert code == 2
    assert "has nothing at /api/v1/rules (404)" in said


def test_what_breaks_the_fewest_things_comes_first() -> None:
    plan: Any = SimpleNamespace(attached=True, config=None)
    none = frozenset[str]()
    hits = {"many": 4, "none": 0, "one": 1}
    found = scheduled(
        [Candidate(n, f"{n}.yml", plan, frozenset({n}), none, none, "", 60.0 + h, harm=h) for n, h in hits.items()], 3
    )
    assert [wave.members[0].name for wave in found.stacks[0].waves] == ["none", "one", "many"]


@pytest.mark.parametrize("name", ["github-staging.yml", "gitlab-staging.yml"])
def test_the_pipelines_for_staging_run_commands_that_there_are(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ci" / name).read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)
    found = [" ".join(line.split()) for line in runs_of(jobs) if line.startswith("chaoskit ")]
    assert any(line.startswith("chaoskit gate --profile staging --confirm staging") for line in found)
    assert "chaoskit heal --all" in found
    assert [why for line in found if (why := wrong(line.split()[1:]))] == []


def runs_of(node: Any) -> Iterator[str]:
    """The commands of a pipeline, wherever they stand."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "script", "after_script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from runs_of(value)
    elif isinstance(node, list):
        for one in node:
            yield from runs_of(one)
