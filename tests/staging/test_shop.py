"""The example shop: each of its eight alerts is caused without a program of its own, and told where people read.

Its servers are real ones of Debian's packages; waits are shortened, so that a drill takes half a minute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.shop_system import EXAMPLE, Shop, demo, running

SCENARIOS = sorted(file.stem for file in (EXAMPLE / "scenarios").glob("*.yml"))
FIRST = "dead-letters"
TOO_WEAK = [
    ("queue-backlog", {"level: 150": "level: 50"}),
    ("dead-letters", {"level: 20": "level: 5"}),
    ("slow-orders", {"locked: 4s": "locked: 1500ms"}),
    ("uploads-nearly-full", {"size: 60MiB": "size: 29MiB"}),
    ("database-errors", {"operation: insert": "operation: insert, ratio: 5%"}),
    # These are on or off: supervisord starts the worker again at once, a part of the API that serves nothing itself
    # stands still, the cut ends before three calls have failed.
    ("worker-down", {"hold: true": "hold: false"}),
    ("api-down", {"process.stop": "process.pause"}),
    ("payments-unreachable", {r"at_most: \w+": "at_most: 1s"}),
]
WEAKEST = [
    ("queue-backlog", {"level: 150": "level: 110"}),
    ("dead-letters", {"level: 20": "level: 11"}),
    ("slow-orders", {"locked: 4s": "locked: 3s"}),
    ("uploads-nearly-full", {"size: 60MiB": "size: 58MiB"}),
    ("database-errors", {"operation: insert": "operation: insert, ratio: 25%"}),
    ("worker-down", {"process.kill": "process.pause", "hold: true": ""}),
]
"""Two have none below the shipped one that is enough: an API that is stopped, and payments all of which fail, until all
was told. With fewer of them the breaker closes at the next that succeeds."""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with running() as one:
        yield one


def rows(shop: Shop) -> list[dict[str, Any]]:
    """Of the last run."""
    judged = shop.run("verify", "latest", "--format", "json")
    found: list[dict[str, Any]] = json.loads(judged.stdout)["rows"]
    return found


@pytest.mark.drill
def test_a_drill_on_the_shop_is_proved_by_its_recorder_and_its_mailbox(shop: Shop) -> None:
    """What `make test` plays of it."""
    done = shop.drill(FIRST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "by the mailbox team/email, and the recorder too" in " ".join(done.stdout.split())


@pytest.mark.staging
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != FIRST])
def test_each_alert_of_the_shop_is_caused_and_told(shop: Shop, scenario: str) -> None:
    done = shop.drill(scenario)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.staging
def test_a_first_profile_of_the_shop_finds_its_parts(shop: Shop) -> None:
    """What `attach` writes can be loaded, and `doctor` finds nothing missing but the secret that it cannot know."""
    attached = yaml.safe_load((shop.folder / "profiles" / "staging.yml").read_text())["target"]["attached"]
    words = ["--prometheus", attached["prometheus"], "--alertmanager", attached["alertmanager"]]
    done = shop.run("attach", *words, "--out", "profiles/first.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    first = yaml.safe_load((shop.folder / "profiles" / "first.yml").read_text())
    found = first["target"]["attached"]
    for key in ("metrics", "environment", "recorder"):
        assert found[key] == attached[key]
    assert first["handles"]["role"]["shop-worker"]["label"] == "worker"
    assert first["handles"]["queue"]["orders"]["via"] == "rq"
    looked = shop.run("doctor", "--profile", "first", "--bundle", "alerts", "--format", "json")
    # Other programs of this machine may have ended meanwhile.
    ours = [one for one in json.loads(looked.stdout) if not one["what"].startswith("role ") or "shop" in one["what"]]
    assert {one["state"] for one in ours if one["what"] == "role shop-worker"} == {"ok"}, looked.stdout
    missing = [one for one in ours if one["state"] == "missing"]
    assert {one["what"].partition("-")[0] for one in missing} == {"database postgres"}, looked.stdout
    assert all("install -D -m 600" in one["mend"] for one in missing)


@pytest.mark.staging
@pytest.mark.parametrize(("scenario", "dose"), WEAKEST, ids=[name for name, _ in WEAKEST])
def test_the_weakest_dose_that_is_enough_passes(shop: Shop, scenario: str, dose: dict[str, str]) -> None:
    done = shop.drill(shop.change(scenario, f"{scenario}-weakest", dose))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.staging
@pytest.mark.parametrize(("scenario", "dose"), TOO_WEAK, ids=[name for name, _ in TOO_WEAK])
def test_a_dose_that_is_too_weak_is_unknown_and_no_failure_of_the_alert(
    shop: Shop, scenario: str, dose: dict[str, str]
) -> None:
    done = shop.drill(shop.change(scenario, f"{scenario}-too-weak", dose))
    assert done.returncode == 3, done.stdout + done.stderr
    results = {row["result"] for row in rows(shop)}
    assert "UNKNOWN" in results, done.stdout
    assert "FAIL" not in results, done.stdout


def test_what_is_missing_is_one_sentence_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    program = demo()
    monkeypatch.setattr(program, "program", lambda name: "" if name in ("exim4", "nft") else f"/usr/bin/{name}")
    assert program.missing() == (
        "these packages are missing: exim4-daemon-light nftables (apt-get install exim4-daemon-light nftables)"
    )


def test_a_folder_of_others_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = demo()
    monkeypatch.setattr(program, "missing", lambda: "")
    (tmp_path / "theirs").touch()
    assert program.start(tmp_path) == 2
    assert "is not the shop's, so it is left alone" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["theirs"]


def test_another_port_takes_the_place_of_one_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = demo()
    monkeypatch.setattr(program, "_free_now", lambda port: port != 18707)
    ports = program.render(tmp_path)
    assert ports["18707"] not in map(str, program.PORTS)
    assert {port for port, used in ports.items() if port != used} == {"18707"}
    profile = (tmp_path / "profiles" / "staging.yml").read_text()
    assert f"prometheus: http://127.0.0.1:{ports['18707']}" in profile
    rendered = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in rendered if "18707" in file.read_text() or str(program.FOLDER) in file.read_text()]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_scenario_of_the_shop_has_a_command(scenario: str) -> None:
    steps = yaml.safe_load((EXAMPLE / "scenarios" / f"{scenario}.yml").read_text())["steps"]
    assert not [step for step in steps if "command" in (step.get("inject"), step.get("do"))]


def test_each_alert_of_the_shop_has_a_scenario() -> None:
    rules = yaml.safe_load((EXAMPLE / "alerts" / "rules.yml").read_text())["groups"][0]["rules"]
    expected = {
        one["alert"]
        for name in SCENARIOS
        for one in yaml.safe_load((EXAMPLE / "scenarios" / f"{name}.yml").read_text())["expect"]
    }
    assert expected == {rule["alert"] for rule in rules}
