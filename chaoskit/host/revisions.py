"""A configuration as git keeps it: a folder or a file at a revision, unpacked where nothing else is touched.

The one idea: git writes an archive to a pipe and it is unpacked into a temporary folder; no checkout, no worktree, no
lock, so that a comparison can run beside anything.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.fresh import fresh

_TIMEOUT_S = 60.0
_SAID = 300


def commit_here() -> str:
    """The commit checked out in the current folder, ending in `-dirty` where files differ; empty where git has none."""
    try:
        return (
            _git(Path(), Place("."), "", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
            .decode()
            .strip()
        )
    except BadInput:
        return ""


@contextmanager
def at_revision(path: Path, revision: str) -> Iterator[Path]:
    """This folder or file as it was at the revision, in a temporary folder that is removed at the end.

    Of a file its whole folder is unpacked, for what it names beside it. Raises BadInput where git is missing, the
    path is in no repository, or the revision does not have it.
    """
    place = Place(str(path))
    if shutil.which("git") is None:
        raise BadInput(Problem(place, "git was not found", "install it, or give the old folder by its path"))
    if revision.startswith("-"):
        raise BadInput(Problem(None, f"'{revision}' is not a revision", "give a branch, a tag or a commit"))
    beside = path.parent if path.is_file() or (not path.is_dir() and path.suffix) else path
    if not beside.is_dir():
        raise BadInput(Problem(place, "is not there", "give a folder or file of the working tree"))
    inside = _git(beside, place, "is in no git repository", "rev-parse", "--show-prefix").decode().strip().rstrip("/")
    unknown = f"git knows no revision '{revision}' here"
    commit = _git(beside, place, unknown, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    top = Path(_git(beside, place, "has no working tree", "rev-parse", "--show-toplevel").decode().strip())
    tree = f"{commit}:{inside}" if inside else commit
    missing = f"is not there at revision '{revision}'"
    archive = _git(top, place, missing, "archive", "--format=tar", tree)
    with TemporaryDirectory(prefix="chaoskit-revision-") as name:
        folder = Path(name).resolve() / (beside.resolve().name or "configuration")
        folder.mkdir()
        _unpack(archive, folder)
        found = folder if beside == path else folder / path.name
        if not found.exists():
            raise BadInput(Problem(place, missing, "it may have been called differently then"))
        yield found


def _unpack(archive: bytes, folder: Path) -> None:
    """Files, folders and links of a tree's archive, all below the folder; what leads out of it is left out.

    tarfile's own filters came with Python 3.11.4. Links are made last, so that nothing is written through one.
    """
    links = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = folder / member.name
            if not _below(path, folder):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                path.mkdir(exist_ok=True)
            elif member.issym():
                links.append((path, member.linkname))
            elif (content := tar.extractfile(member)) is not None:
                path.write_bytes(content.read())
    for path, leads_to in links:
        path.symlink_to(leads_to)
    for path, _ in links:
        if not _below(path, folder):
            path.unlink()


def _below(path: Path, folder: Path) -> bool:
    """Whether it lies, or as a link leads, below the folder; pathlib's resolve ends a circle of links with an error."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _git(folder: Path, place: Place, what: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            fresh(["git", "-C", str(folder), *arguments]), capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(Problem(place, f"git could not be asked: {error}", "try it by hand")) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadInput(Problem(place, what, said[-1][:_SAID] if said else ""))
    return done.stdout
