"""Which scenarios a gate takes: expressions as in pytest, and what proves most in the time there is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.cli import run as chaoskit
from chaoskit.errors import BadInput, ExitCode
from chaoskit.gate.choose import expression, within_budget

Gate = Callable[..., tuple[ExitCode, str]]

WORDS = ["worker-unhealthy", "One worker dies", "WorkerUnhealthy"]


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("worker", True),
        ("WORKER", True),
        ("cache", False),
        ("not cache", True),
        ("worker and not unhealthy", False),
        ("cache or unhealthy", True),
        ("not (cache or unhealthy)", False),
        ("not cache and dies", True),
        ("cache and dies or worker", True),
    ],
)
def test_words_are_found_inside_names_titles_and_alerts(text: str, selected: bool) -> None:
    assert expression(text, "-k", whole=False)(WORDS) is selected


def test_tags_are_compared_whole() -> None:
    assert expression("outage", "-m", whole=True)(["outage", "slow"])
    assert not expression("out", "-m", whole=True)(["outage"])


@pytest.mark.parametrize("text", ["", "and", "worker and", "(worker", "worker)", "not", "worker cache", "or or"])
def test_what_is_no_expression_is_said(text: str) -> None:
    with pytest.raises(BadInput, match="is not an expression"):
        expression(text, "-k", whole=False)


PROVES = {
    "wide": frozenset({"a", "b", "c", "d"}),
    "narrow": frozenset({"a"}),
    "other": frozenset({"e"}),
    "slow": frozenset({"f", "g"}),
}
TAKES_S = {"wide": 30.0, "narrow": 5.0, "other": 10.0, "slow": 300.0}


def takes(names: object) -> float:
    assert isinstance(names, list)
    return sum(TAKES_S[name] for name in names)


def test_a_budget_takes_what_adds_most_for_its_time_and_then_whatever_still_fits() -> None:
    """`narrow` proves nothing that `wide` does not: it is taken where there is time left, and never in its place."""
    assert within_budget(PROVES, takes, 100)[-1] == "narrow"
    assert set(within_budget(PROVES, takes, 100)) == {"wide", "other", "narrow"}
    assert set(within_budget(PROVES, takes, 44)) == {"wide", "other"}
    assert within_budget(PROVES, takes, 12) == ["narrow"]
    assert within_budget(PROVES, takes, 4) == []


def test_a_large_budget_takes_everything_that_proves_something() -> None:
    chosen = within_budget(PROVES, takes, 1e6)
    assert frozenset().union(*(PROVES[name] for name in chosen)) == frozenset("abcdefg")


HEALTH = "insa_worker_health_status == 0"
BROKEN = "chaoskit: 1\ntitle: broken\nsteps: 3\n"
FOREIGN = (Path(__file__).parents[2] / "scenarios" / "worker-unhealthy.yml").read_text()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gate:
    """`chaoskit gate --dry-run` in a folder with two scenarios of its own; one expects an alert that no rule is for."""
    own = tmp_path / "scenarios"
    own.mkdir()
    (own / "broken.yml").write_text(BROKEN)
    (own / "foreign.yml").write_text(FOREIGN.replace("WorkerUnhealthy", "NoSuchAlert"))
    monkeypatch.chdir(tmp_path)

    def run(*options: str) -> tuple[ExitCode, str]:
        code = chaoskit(["gate", "--dry-run", *options])
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return run


@pytest.mark.parametrize("options", [("-k", "disk-space-low"), ("-m", "documented"), ("worker-unhealthy",)])
def test_what_is_not_selected_is_not_checked(gate: Gate, options: tuple[str, ...]) -> None:
    code, said = gate(*options)
    assert code is ExitCode.PASS, said
    assert "NoSuchAlert' is" not in said


def test_what_is_left_out_is_listed_with_the_reason(gate: Gate) -> None:
    _, said = gate("-k", "disk-space-low")
    assert "left out: broken (last passed: never): " in said
    assert "broken.yml:3: " in said
    assert (
        "left out: foreign, which proves NoSuchAlert (last passed: never): not selected by -k 'disk-space-low'" in said
    )
    assert "left out: worker-unhealthy, which proves WorkerUnhealthy (last passed: never): not selected by -k" in said


@pytest.mark.parametrize("options", [(), ("-k", "broken or foreign"), ("broken", "foreign")])
def test_what_is_selected_is_checked_and_all_problems_are_said_at_once(gate: Gate, options: tuple[str, ...]) -> None:
    code, said = gate(*(f"scenarios/{one}.yml" if one in ("broken", "foreign") else one for one in options))
    assert code is ExitCode.USAGE
    assert "broken.yml:3: " in said
    assert "NoSuchAlert" in said


def test_what_does_not_fit_the_budget_or_cannot_be_read_is_listed(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "foreign.yml").unlink()
    code, said = gate("--budget", "60s")
    assert code is ExitCode.PASS, said
    assert "it does not fit --budget 60s" in said
    assert "left out: broken (last passed: never): " in said


def test_load_workers_of_other_machines_bear_one_stack_at_a_time(gate: Gate, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("f" * 32)
    token.chmod(0o600)
    workers = f"load={{rate: 40/s, workers: {{expect: 2, bind: 127.0.0.1, port: 5557, token_file: {token}}}}}"
    options = ("worker-unhealthy", "disk-space-low", "--set", workers)
    code, said = gate(*options)
    assert code is ExitCode.PASS, said
    assert "1 side by side" in said
    code, said = gate(*options, "-j", "2")
    assert code is ExitCode.USAGE
    assert "-j 2: load workers of other machines bear the load of one stack at a time" in said


def test_shipped_scenarios_that_do_not_fit_another_configuration_are_left_out(gate: Gate, tmp_path: Path) -> None:
    """They are named with the reason, and are no complaint; what is wrong with the configuration itself is one."""
    for one in (tmp_path / "scenarios").iterdir():
        one.unlink()
    folder = tmp_path / "bundle"
    assert chaoskit(["bundle", "render", "--out", str(folder)]) is ExitCode.PASS
    rules, promise = folder / "prometheus_alerts.yml", folder / "notification_windows.yml"
    rules.write_text(rules.read_text().replace("alert: DiskSpaceLow", "alert: DiskNearlyFull"))
    code, said = gate("--bundle", str(folder), "-k", "disk or healthy")
    assert (code, "notification_windows.yml" in said) == (ExitCode.USAGE, True), said
    promise.write_text(promise.read_text().replace("DiskSpaceLow", "DiskNearlyFull"))
    code, said = gate("--bundle", str(folder), "-k", "disk or healthy")
    assert "left out: disk-space-low, which proves DiskSpaceLow (last passed: never): " in said, said
    assert code is ExitCode.PASS


def test_what_this_time_scale_cannot_play_is_left_out(gate: Gate, tmp_path: Path) -> None:
    """As with faults that a time scale would falsify; test_check_plans has the one that was named."""
    for one in (tmp_path / "scenarios").iterdir():
        one.unlink()
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder(), folder)
    rules = folder / "prometheus_alerts.yml"
    rules.write_text(rules.read_text().replace(HEALTH, f"max_over_time({HEALTH[:-5]}[7s]) == 0"))
    code, said = gate("-k", "disk-space-low or worker-unhealthy", "--bundle", str(folder))
    assert "left out: worker-unhealthy, which proves WorkerUnhealthy (last passed: never): " in said
    assert "range 7s cannot be compressed" in said
    assert "1 scenario in 1 stack" in said
    assert code is ExitCode.PASS


def test_a_named_scenario_that_is_not_there_or_not_the_only_one_of_its_name_ends_no_other(
    gate: Gate, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "foreign.yml").write_text(FOREIGN)
    (tmp_path / "scenarios" / "foreign.yml").write_text(FOREIGN)
    code, said = gate("foreign", "elsewhere/foreign.yml", "nowhere", "scenarios/gone.yml")
    assert code is ExitCode.USAGE
    assert "1 scenario in 1 stack" in said
    assert "not played: elsewhere/foreign.yml (last passed: never): elsewhere/foreign.yml: it has the same name" in said
    assert "not played: nowhere (last passed: never): no scenario is called 'nowhere'" in said
    assert "scenarios/gone.yml: no such file, so it is no scenario" in said
    code, said = gate("nowhere", "gone.yml")
    assert code is ExitCode.USAGE
    assert "1 stack" not in said
    assert "no scenario is called 'nowhere'" in said
    assert "gone.yml: no such file" in said
