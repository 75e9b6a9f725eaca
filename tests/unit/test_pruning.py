"""`runs prune`: only old runs of this user that are certainly healed are removed, and each is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaoskit.cli import run as chaoskit
from chaoskit.events import UndoOk
from chaoskit.safety.run_registry import register
from tests.safety_examples import invoke, journal, state
from tests.strangers import common, needs_root, theirs

__all__ = ["common", "state"]
pytestmark = pytest.mark.usefixtures("state")
OLD = ["20200101-000000-run", "20200102-000000-run", "20200103-000000-run"]


def done(out: Path, name: str) -> Path:
    """A run that ended in order, with a fault that was undone."""
    journal(out / name, invoke("disk.fill", {}), UndoOk(fault="one#0", gone=(1, 2))).close()
    return out / name


def prune(out: Path, keep: int, *more: str) -> int:
    return chaoskit(["runs", "prune", "--keep", str(keep), "--out", str(out), *more])


def test_the_newest_stay_and_each_that_goes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [done(tmp_path, name) for name in OLD]
    done(tmp_path, "20200103-000000-gate/worker")  # a gate's runs go with it
    (tmp_path / "latest").symlink_to("20200103-000000-run")
    (tmp_path / "gates.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    assert prune(tmp_path, 1, "--dry-run") == 0
    assert all(run.exists() for run in runs)
    assert capsys.readouterr().out.count("would go") == 3
    assert prune(tmp_path, 1) == 0
    said = capsys.readouterr().out
    assert sorted(one.name for one in tmp_path.iterdir()) == [OLD[2], "gates.json", "latest", "notes", "state"]
    assert [f"removed    {run}" in said for run in runs] == [True, True, False]
    assert prune(tmp_path, 0) == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["gates.json", "notes", "state"], (
        "no link to nothing stays"
    )


@pytest.mark.parametrize("why", ["not healed", "at work", "damaged", "noted", "begins", "unreadable", "link"])
def test_a_run_that_may_still_matter_is_kept(tmp_path: Path, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    goes, stays = done(tmp_path, OLD[0]), tmp_path / OLD[1]
    live = None
    if why == "not healed":
        journal(stays / "worker", invoke("disk.fill", {})).close()
    elif why == "at work":
        live = journal(stays)
    elif why == "damaged":
        with (done(tmp_path, stays.name) / "events.jsonl").open("ab") as file:
            file.write(b"{\n")
    elif why == "noted":
        register("x", [done(tmp_path, stays.name) / "worker"], [], 3.0)
    elif why == "begins":
        stays.mkdir()
    elif why == "unreadable":
        stays.mkdir()
        os.mkfifo(stays / "events.jsonl")
    else:
        (tmp_path / "elsewhere").mkdir()
        stays.symlink_to("elsewhere")
    assert prune(tmp_path, 0) == 0
    assert not goes.exists(), "the control"
    assert stays.exists()
    assert f"kept       {stays}: " in capsys.readouterr().out
    if live:
        live.close()


@needs_root
def test_what_belongs_to_another_user_is_left_alone(common: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goes, stays = done(common, OLD[0]), theirs(done(common, OLD[1]))
    mixed = done(common, OLD[2])
    theirs(mixed / "events.jsonl")
    assert prune(common, 0) == 0
    assert [one.exists() for one in (goes, stays, mixed)] == [False, True, True]
    assert capsys.readouterr().out.count("belongs to user nobody") == 2
    assert prune(stays, 0) == 2


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(tmp_path / "none", 0) == 2
    assert "No such file" in capsys.readouterr().err
