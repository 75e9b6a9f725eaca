"""Answers that cost time, kept in the state folder under the hash of all that they rest on.

    <state>/remembered/<kind>/<hash>

A file that another user may have written is not believed, and asked for again. Nothing breaks where none can be kept.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable

from chaoskit.errors import Refused
from chaoskit.safety.run_registry import state_folder, write_whole
from chaoskit.trust import read_own, real_folder

_FOLDER = "remembered"
_MOST = 5000
"""Answers of a kind; beyond that the oldest go."""


def key_of(parts: Iterable[str]) -> str:
    """The key under which an answer is remembered: a hash of these parts, in their order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recall(kind: str, key: str) -> str | None:
    """The remembered answer; None where there is none, or where other users may have written it."""
    try:
        return read_own(real_folder(state_folder(_FOLDER, kind)) / key, once=True).decode()
    except (OSError, ValueError, Refused):
        return None


def keep(kind: str, key: str, answer: str) -> None:
    """Remembers an answer on disk, and forgets the oldest where there are too many."""
    with contextlib.suppress(Refused, OSError):
        folder = state_folder(_FOLDER, kind)
        write_whole(folder / key, answer.encode())
        kept = list(folder.iterdir())
        if len(kept) > _MOST:
            for old in sorted(kept, key=lambda file: file.lstat().st_mtime)[: len(kept) - _MOST]:
                old.unlink(missing_ok=True)
