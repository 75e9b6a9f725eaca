"""Faults again and again in one process: does anything grow? Memory, file handles, threads, processes, files.

The process is the one that grows if anything does: it opens the journals, leases, holders and locks. The first rounds
warm it up; the figures are those of the last tenth against those of the first tenth after that.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from benchmarks.outliving import Outliving, outliving, until_right
from benchmarks.shared import Unusable, show
from chaoskit.cli import run as chaoskit
from chaoskit.safety.state import FOLDER_VARIABLE

_WARM = 5
_GROWTH_MIB = 8.0
_KINDS = ("http.error", "process.pause", "disk.fill", "db.error")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _round(target: Outliving, number: int) -> None:
    kind = _KINDS[number % len(_KINDS)]
    with _quiet():
        code = chaoskit(["inject", kind, *target.orders()[kind], "--for", "200ms", "--out", str(target.out)])
    if code:
        raise Unusable(f"round {number}: {kind} ended with {code}")


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="For how long.")
def main(minutes: float) -> None:
    """Break and mend for a while, and look for what grows."""
    me = psutil.Process()
    looks: list[tuple[float, int, int, int, int]] = []
    with TemporaryDirectory(prefix="chaoskit-soak-") as folder, outliving(Path(folder)) as target:
        target.out.mkdir()
        os.environ[FOLDER_VARIABLE] = str(target.state)
        end, number = time.monotonic() + minutes * 60, 0
        while time.monotonic() < end or len(looks) < 10:
            _round(target, number)
            number += 1
            if number > _WARM:
                states = sum(1 for path in target.state.rglob("*.json"))
                looks.append(
                    (me.memory_info().rss / 2**20, me.num_fds(), me.num_threads(), len(me.children(True)), states)
                )
        wrong = [one for one in until_right(target, 5.0)[1] if not one.startswith("a process of ours")]
    tenth = max(1, len(looks) // 10)
    first, last = looks[:tenth], looks[-tenth:]
    rows, grown = [], []
    for column, name in enumerate(("memory MiB", "file handles", "threads", "processes", "notes of runs")):
        before, after = max(one[column] for one in first), max(one[column] for one in last)
        rows.append((name, f"{before:.1f}", f"{after:.1f}"))
        if after - before > (_GROWTH_MIB if column == 0 else 0):
            grown.append(name)
    show(f"{number} faults in {minutes:g} minutes", ("what", "first tenth", "last tenth"), rows)
    if grown or wrong:
        raise Unusable(f"growing: {', '.join(grown) or 'nothing'}; left: {wrong or 'nothing'}")


if __name__ == "__main__":
    main()
