"""A folder of files that appears whole or not at all: written beside its place, checked there, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from chaoskit.alerting.config import placed
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.units import listed


def refuse_unless_ours(out: Path, ours: Collection[str], *, force: bool) -> None:
    """Raises BadInput where `out` may not be written: it is a file, or holds something.

    With `force` a folder that holds nothing but files called `ours` may be replaced.
    """
    place = Place(str(out))
    if out.exists() and not out.is_dir():
        raise BadInput(Problem(place, "is not a folder", "choose another --out"))
    found = sorted(
        path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    if found and not force:
        raise BadInput(Problem(place, f"holds {len(found)} files", "choose another --out, or overwrite with --force"))
    foreign = [name for name in found if name not in ours]
    if foreign:
        lost = f"holds files that no rendering wrote, which --force would remove: {listed(foreign)}"
        raise BadInput(Problem(place, lost, "move these files elsewhere, or choose another --out"))


def put_in_place(out: Path, texts: Mapping[str, str], check: Callable[[Path], None]) -> None:
    """Writes the texts, by file name, to the folder `out`; what `check` raises leaves `out` as it was.

    Problems that name a file below the temporary folder are told as if it had its name already. Raises BadInput
    when the place cannot be written.
    """
    target = out.resolve()
    fresh = target.with_name(f".{target.name}.new-{os.getpid()}")
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        for name, text in texts.items():
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        check(fresh)
        _swap(fresh, target, old)
    except BadInput as error:
        found = placed(error.problems, lambda at: Place(at.file.replace(str(fresh), str(out)), at.line))
        raise BadInput(found) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(Problem(Place(str(out)), f"cannot be written: {reason}", "choose another --out")) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _swap(fresh: Path, target: Path, old: Path) -> None:
    """Lets `fresh` take the place of `target`, which goes to `old`; on failure `target` is back in its place."""
    if not target.exists():
        fresh.rename(target)
        return
    try:
        target.rename(old)
        fresh.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
