"""Another user of this machine, for tests of whose word is believed: what they leave, and what they do themselves.

Only root can be another user; elsewhere such a test is skipped, and says so.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

STRANGER = 65534
"""The number that every system keeps for a user who owns nothing."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder like /tmp: every user reaches it and may put files in it. pytest's own are this user's alone."""
    with tempfile.TemporaryDirectory(prefix="chaoskit-common-") as made:
        folder = Path(made)
        folder.chmod(0o1777)
        yield folder


def as_stranger(work: Callable[[], object]) -> str:
    """What the work gives back as text when another user does it, in a child; fails with its traceback.

    A fork, for the interpreter itself may lie where only this user comes.
    """
    said, says = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(said)
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            os.umask(0o022)
            os.write(says, str(work()).encode())
            code = 0
        except BaseException:
            os.write(says, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(says)
    with os.fdopen(said, "rb") as heard:
        text = heard.read().decode()
    assert os.waitpid(child, 0)[1] == 0, text
    return text


def theirs(path: Path) -> Path:
    """Gives a file or folder, and all in it, to the stranger."""
    for one in [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]:
        os.chown(one, STRANGER, STRANGER, follow_symlinks=False)
    return path
