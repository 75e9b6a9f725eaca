"""A revision is unpacked on every Python 3.11, and what a repository holds writes and leads nowhere else."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from chaoskit.host.revisions import _unpack, at_revision


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a folder of rules, and links in it that lead inside, outside, in a circle and by a detour."""
    folder = tmp_path / "work" / "rules"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.yml").write_text("a")
    for name, to in (
        ("link.yml", "sub/a.yml"),
        ("passwd", "/etc/passwd"),
        ("up", "../.."),
        ("self", "self"),
        ("sub/top", ".."),
        ("detour", "sub/top/.."),
    ):
        (folder / name).symlink_to(to)
    monkeypatch.chdir(folder.parent)
    for arguments in (["init"], ["add", "."], ["commit", "-m", "one"]):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments], check=True, capture_output=True
        )
    return folder


@pytest.mark.parametrize("filters", [True, False], ids=["newest", "3.11.0"])
def test_a_revision_is_unpacked_whole_without_what_leads_out_of_it(
    repository: Path, filters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.delattr(tarfile.TarFile, "extractall")  # as it was before filters: not to be called with one
    with at_revision(Path("rules"), "HEAD") as found:
        assert (found / "link.yml").read_text() == (found / "sub/a.yml").read_text() == "a"
        assert (found / "sub/top").resolve() == found
        kept = {str(path.relative_to(found)) for path in found.rglob("*")}
    assert kept == {"link.yml", "self", "sub", "sub/a.yml", "sub/top"}


def test_an_archive_that_climbs_out_of_its_folder_writes_nothing_there(tmp_path: Path) -> None:
    data, folder = io.BytesIO(), tmp_path / "in"
    folder.mkdir()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("../out.yml", f"{tmp_path}/absolute.yml", "in.yml"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        fifo = tarfile.TarInfo("fifo")
        fifo.type = tarfile.FIFOTYPE
        tar.addfile(fifo)
    _unpack(data.getvalue(), folder)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["in", "in/in.yml"]
