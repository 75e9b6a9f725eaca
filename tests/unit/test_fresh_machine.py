"""`make fresh-machine`: what it takes over from this machine, and what it refuses before it makes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import fresh_machine
from scripts.fresh_machine import archive_of, local_folders, main


def test_folders_that_pip_reads_are_seen_inside_and_an_index_with_what_lies_beside_it(tmp_path: Path) -> None:
    for name in ("wheels/more", "mirror/simple", "mirror/files", "alone"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ca.crt").touch()
    settings = f"""[global]
find-links = {tmp_path}/wheels {tmp_path}/wheels/more
cert = {tmp_path}/ca.crt
extra-index-url = https://mirror.example/simple file://{tmp_path}/mirror/simple
root = /
"""
    found = local_folders([settings, f"{tmp_path}/alone"])
    assert found == [tmp_path / "alone", tmp_path / "mirror", tmp_path / "wheels"]


def test_packages_come_from_this_machines_own_archive_at_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_machine, "os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    sources = tmp_path / "sources.list"
    sources.write_text(
        "deb http://others.example/apt nodistro main\n"
        "deb http://security.example/debian-security bookworm-security main\n"
        "deb http://mirror.example/debian bookworm main contrib\n"
    )
    found = archive_of("trixie", tmp_path)
    assert found is not None
    assert (found.uri, found.suite, found.components) == ("http://mirror.example/debian", "trixie", ("main",))
    sources.write_text("")
    assert archive_of("trixie", tmp_path) is None


@pytest.mark.parametrize(
    ("user", "arguments", "said"),
    [(0, ["bookworm", "dance"], "no such part: dance"), (1000, ["bookworm"], "sudo make fresh-machine")],
)
def test_what_cannot_be_done_is_a_sentence(
    user: int,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fresh_machine.os, "geteuid", lambda: user)
    assert main(arguments) == 2
    assert said in capsys.readouterr().out
