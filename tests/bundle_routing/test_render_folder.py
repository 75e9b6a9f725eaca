"""A rendering appears whole or not at all, and takes nothing away that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.alerting.config import load_config
from chaoskit.bundle.render import PARTS, render
from chaoskit.errors import BadInput, Problem
from tests.bundle_routing.test_render import snapshot


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render(out)
    before = snapshot(tmp_path)
    with pytest.raises(BadInput, match=r"holds \d+ files \(choose another --out, or overwrite with --force\)"):
        render(out, ("sla",))
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_filled_and_missing_ones_are_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a" / "b"):
        assert render(out)
        load_config(out, complete=True)


def test_force_replaces_an_earlier_rendering_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render(out, PARTS)
    render(out, force=True)
    render(tmp_path / "fresh")
    assert snapshot(out) == snapshot(tmp_path / "fresh")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "fresh"}


@pytest.mark.parametrize("old", [True, False])
def test_what_fails_on_the_way_changes_nothing(tmp_path: Path, old: bool) -> None:
    """With --force the earlier rendering stays, byte for byte; without one there is no folder at all."""
    out = tmp_path / "out"
    if old:
        render(out, (), ["to=old@example.com"])
    before = snapshot(tmp_path)

    def refuse(folder: Path) -> None:
        assert (folder / "alertmanager.yml").is_file()
        raise BadInput(Problem(None, "not today"))

    with pytest.raises(BadInput, match="not today"):
        render(out, PARTS, force=True, check=refuse)
    assert snapshot(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if old else [])


def test_a_failing_rename_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    render(out, (), ["to=old@example.com"])
    before = snapshot(tmp_path)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BadInput, match="cannot be written: No space left on device"):
        render(out, PARTS, force=True)
    assert snapshot(tmp_path) == before


def test_force_never_deletes_what_is_somebody_elses(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render(out)
    (out / "my_rules.yml").write_text("mine")
    with pytest.raises(BadInput, match=r"holds files that no rendering wrote, which .*: my_rules\.yml"):
        render(out, force=True)
    assert (out / "my_rules.yml").read_text() == "mine"


def test_a_file_in_the_way_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(BadInput, match="is not a folder"):
        render(tmp_path / "out", force=True)


def test_a_place_that_cannot_be_written_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"file/out: cannot be written: .* \(choose another --out\)"):
        render(tmp_path / "file" / "out")
