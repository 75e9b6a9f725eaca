"""Drills and faults again and again in one process: does anything grow?

The process is the one that grows if anything does: it opens the journals, leases, holders, locks and stacks. Every
kind of fault by hand on a target that stays up takes turns with a whole drill on a stack of its own. The first turn
warms it up; then the largest figures of the last tenth are held against the largest of the first tenth after that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from benchmarks.outliving import Outliving, outliving, until_right
from benchmarks.shared import Unusable, show
from chaoskit.cli import run as chaoskit
from chaoskit.errors import ExitCode
from chaoskit.safety.run_registry import FOLDER_VARIABLE

_GROWTH_MIB = 8.0
_MEMORY = ("memory MiB", "memory of the target MiB")
_HEALED = (ExitCode.PASS, ExitCode.FAIL, ExitCode.UNKNOWN, ExitCode.ABORTED)
_RIGHT_S = 5.0
_LEAST_LOOKS = 20


@dataclass(slots=True)
class _Soak:
    """What takes turns, how often each did, and what was seen after each."""

    target: Outliving
    temporary: Path
    drill: str
    faults: int = 0
    drills: int = 0
    unproven: int = 0
    """Ended otherwise than with PASS, and healed: on a machine that is busy with something else they may."""
    looks: list[dict[str, float]] = field(default_factory=list)

    def turn(self) -> Iterator[None]:
        """Each kind of fault once, then a drill; one step at each `next`."""
        for kind, words in self.target.orders().items():
            self._play(["inject", kind, *words, "--for", "200ms"])
            self.faults += 1
            yield
        if self.drill:
            self._play(["run", self.drill])
            self.drills += 1
            yield

    def _play(self, words: list[str]) -> None:
        out = self.target.out
        said = self.temporary.parent / "said.txt"
        with said.open("w") as file, contextlib.redirect_stdout(file):
            code = chaoskit([*words, "--out", str(out)])
        self.unproven += code is not ExitCode.PASS
        if code not in _HEALED:
            last = "\n".join(said.read_text(errors="replace").splitlines()[-12:])
            raise Unusable(f"{' '.join(words[:2])} ended with {int(code)} after {len(self.looks)} rounds:\n{last}")
        # What a run is meant to leave is its own folder, which none of ours reads again.
        shutil.rmtree(out)
        out.mkdir()

    def look(self) -> None:
        """Notes every figure; whatever a command leaves running has a moment to be gone."""
        _, wrong = until_right(self.target, _RIGHT_S)
        if wrong:
            raise Unusable(f"after {self.faults} faults and {self.drills} drills: {'; '.join(wrong)}")
        me, crm = psutil.Process(), psutil.Process(self.target.process.pid)
        target = [crm, *crm.children(recursive=True)]
        self.looks.append(
            {
                "memory MiB": me.memory_info().rss / 2**20,
                "memory of the target MiB": sum(one.memory_info().rss for one in target) / 2**20,
                "file handles": me.num_fds(),
                "file handles of the target": sum(one.num_fds() for one in target),
                "threads": me.num_threads(),
                "processes": len(me.children(recursive=True)),
                "temporary files": _files(self.temporary),
                "files of the target": _files(self.target.folder / "data"),
                "notes of runs": len(list((self.target.state / "runs").iterdir())),
                "files of the state folder": _files(self.target.state),
            }
        )


def _files(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*"))


def rows_and_growth(looks: list[dict[str, float]]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """The figures at both ends, and the names of those that grew."""
    tenth = max(1, len(looks) // 10)
    rows, grown = [], []
    for name in looks[0]:
        before, after = (max(one[name] for one in part) for part in (looks[:tenth], looks[-tenth:]))
        rows.append((name, f"{before:.1f}", f"{after:.1f}") if name in _MEMORY else (name, f"{before}", f"{after}"))
        if after - before > (_GROWTH_MIB if name in _MEMORY else 0):
            grown.append(name)
    return rows, grown


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A folder of our own for temporary files, so that no stranger's are counted."""
    folder.mkdir()
    before = tempfile.tempdir
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"]


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="For how long.")
@click.option("--drill", default="worker-unhealthy", show_default=True, help="The scenario; empty for faults only.")
def main(minutes: float, drill: str) -> None:
    """Break and mend for a while, and look for what grows."""
    with TemporaryDirectory(prefix="chaoskit-soak-") as name, outliving(Path(name)) as target:
        target.out.mkdir()
        os.environ[FOLDER_VARIABLE] = str(target.state)
        with _temporary(Path(name) / "temporary") as temporary:
            soak = _Soak(target, temporary, drill)
            for _ in soak.turn():
                pass
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end or len(soak.looks) < _LEAST_LOOKS:
                for _ in soak.turn():
                    soak.look()
                    if time.monotonic() >= end and len(soak.looks) >= _LEAST_LOOKS:
                        break
    rows, grown = rows_and_growth(soak.looks)
    unproven = f" ({soak.unproven} without PASS)" if soak.unproven else ""
    title = f"{soak.faults} faults and {soak.drills} drills{unproven} in {minutes:g} minutes"
    show(title, ("what", "first tenth", "last tenth"), rows)
    if grown:
        raise Unusable(f"growing: {', '.join(grown)}")


if __name__ == "__main__":
    main()
