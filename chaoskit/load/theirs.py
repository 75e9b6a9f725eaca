"""Whose code a place is in: that of a locustfile and what it brings along, or Locust's, Python's and ours."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sysconfig
from pathlib import Path
from types import FrameType

_OURS = str(Path(__file__).parents[1]) + os.sep
_PYTHONS = sysconfig.get_paths()["stdlib"] + os.sep


def theirs(file: str) -> bool:
    """Whether this file is the locustfile's author's: not installed, not Python's own, not ours."""
    # Compiled code has no absolute path.
    return file.startswith(os.sep) and not installed(file) and not file.startswith(_PYTHONS)


def installed(file: str) -> bool:
    """Whether this file belongs to an installed package, such as Locust, or to us."""
    return "site-packages" in file or file.startswith(_OURS)


def place(frame: FrameType | None) -> str:
    """Where a stack is in their code, as `file.py:12`; empty when it is nowhere there."""
    while frame is not None and not theirs(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def cleans_up(frame: FrameType | None) -> bool:
    """Whether a stack is inside an on_stop, an `__exit__` or a `finally:` that is not Locust's own."""
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if not installed(file) and (name in ("on_stop", "__exit__") or frame.f_lineno in _finals(file)):
            return True
        frame = frame.f_back
    return False


@functools.cache
def _finals(file: str) -> frozenset[int]:
    """The lines of every `finally:` of a file."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return frozenset()
    blocks = [getattr(node, "finalbody", None) for node in ast.walk(tree)]
    return frozenset(
        line for block in blocks if block for line in range(block[0].lineno, (block[-1].end_lineno or 0) + 1)
    )
