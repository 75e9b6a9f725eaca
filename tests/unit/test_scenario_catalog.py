"""Scenarios and profiles are found by name or path, and a name that nobody knows gets the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import BadInput
from chaoskit.scenario import catalog
from chaoskit.scenario.catalog import (
    Listed,
    find_profile,
    find_scenario,
    list_scenarios,
    profile_names,
    scenario_names,
)  # fmt: skip
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.profile import load_profile_file

GOOD = """\
chaoskit: 1
title: Two things break
runbook: two-things
tags: [smoke]
steps:
  - inject: [{kind: db.slow}, {kind: cpu.burn}]
  - inject: db.slow
    as: again
  - do: queue.replay
expect:
  - {alert: B, from: again}
  - {alert: A, from: again}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "two-things.yml").write_text(GOOD)
    (folder / "broken.yaml").write_text("chaoskit: 1\n")
    (folder / "notes.txt").write_text("no scenario")
    return tmp_path


def test_names_in_the_current_directory_are_found(here: Path) -> None:
    assert find_scenario("two-things", here) == here / "scenarios" / "two-things.yml"
    assert find_scenario("broken", here) == here / "scenarios" / "broken.yaml"
    assert "notes" not in scenario_names(here)


def test_without_a_place_the_current_directory_counts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    assert find_scenario("two-things") == here / "scenarios" / "two-things.yml"
    assert find_scenario("scenarios/two-things.yml") == Path("scenarios/two-things.yml")


def test_a_path_is_taken_as_it_is(here: Path) -> None:
    path = here / "elsewhere.yml"
    path.write_text(GOOD)
    assert find_scenario(str(path)) == path
    assert find_scenario("elsewhere.yml", here) == path


def test_the_shipped_profile_is_found_from_anywhere(tmp_path: Path) -> None:
    path = find_profile("local", tmp_path)
    assert load_profile_file(path).name == "local"
    assert "local" in profile_names(tmp_path)


def test_ones_own_comes_before_a_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "profiles" / "local.yml"
    own.parent.mkdir()
    own.write_text("chaoskit: 1\ntarget: local\nload: {users: 1}\n")
    assert find_profile("local", tmp_path) == own


def test_an_installed_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "chaoskit"
    (package / "shipped" / "scenarios").mkdir(parents=True)
    (package / "shipped" / "scenarios" / "shipped.yml").write_text(GOOD)
    foreign = tmp_path / "site-packages" / "scenarios"
    foreign.mkdir()
    (foreign / "foreign.yml").write_text(GOOD)
    monkeypatch.setattr(catalog, "files", lambda name: package)
    assert set(scenario_names(tmp_path / "work")) == {"shipped"}
    (package / "shipped" / "scenarios" / "shipped.yml").unlink()
    assert scenario_names(tmp_path / "work") == {}


def test_an_unknown_name_gets_the_nearest_and_the_list(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "files", lambda name: here / "nowhere" / "chaoskit")
    with pytest.raises(BadInput) as caught:
        find_scenario("two-thing", here)
    assert str(caught.value) == (
        "no scenario is called 'two-thing' (did you mean 'two-things'?; known: broken, two-things)"
    )
    with pytest.raises(BadInput) as caught:
        find_profile("local", here)
    assert str(caught.value) == (
        "no profile is called 'local' (there is no profile in ./profiles, and none came with chaoskit)"
    )


@pytest.mark.parametrize("wanted", ["", " ", "a\0b", "x/" * 5000, "scenarios/", "./absent.yml", "\ud800.yml", "a\\b"])
def test_what_cannot_be_a_scenario_is_bad_input(here: Path, wanted: str) -> None:
    with pytest.raises(BadInput):
        find_scenario(wanted, here)


def test_the_list_shows_what_breaks_and_what_follows(here: Path) -> None:
    listed = {one.name: one for one in list_scenarios(here)}
    things = ("db.slow", "cpu.burn", "queue.replay")
    assert listed["two-things"] == Listed("two-things", "Two things break", things, ("B", "A"))


def test_a_scenario_that_cannot_be_read_is_listed_with_its_problems(here: Path) -> None:
    listed = {one.name: one for one in list_scenarios(here)}
    assert [problem.message for problem in listed["broken"].problems][:1] == ["a scenario needs 'title'"]


@pytest.mark.parametrize("path", scenario_names().values(), ids=str)
def test_every_shipped_scenario_can_be_read(path: Path) -> None:
    assert load_scenario_file(path).title
