"""What the benchmarks share: a machine in one line, a table, a quantile, and a drill run as a user runs it."""

from __future__ import annotations

import math
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from chaoskit.errors import ChaoskitError
from chaoskit.history import History, read_history
from chaoskit.stack.binaries import require

ROOT = Path(__file__).resolve().parent.parent
RUN_MODULE = "chaoskit"
_WIDTH = 150


class Unusable(click.ClickException):
    """A measurement that was made, but shows nothing; the message says why and what to do. Exit 1."""


@dataclass(frozen=True, slots=True)
class Drill:
    """A run as a user starts it: instants before its start and after its exit, and what it left behind."""

    started: float
    ended: float
    code: int
    folder: Path
    history: History


def machine() -> str:
    """This machine in one line: cores, processor, Python, kernel, Prometheus and Alertmanager."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    processor = found[1] if found else platform.machine()
    versions = ", ".join(f"{name} {version}" for name, version in sorted(require().versions.items()))
    return (
        f"machine: {os.cpu_count()} cores ({processor}), Python {platform.python_version()}, "
        f"{platform.system()} {platform.release().split('-')[0]}, {versions}"
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all do not exceed; raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def show(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table; the first column is left-aligned, the others are right-aligned."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", header_style="dim", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(table)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The power of the size with which a cost grows, between the last two of these; 1 is linear, 2 quadratic."""
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def verdict_on(figure: float, goal: float, unit: str = "") -> str:
    """`1.080 (goal: at most 1.25, met)`."""
    return f"{figure:.3f}{unit} (goal: at most {goal:g}{unit}, {'met' if figure <= goal else 'NOT met'})"


def environment() -> dict[str, str]:
    """Ours without settings of chaoskit, and with the repository's own code first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSKIT_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (str(Path.cwd()), kept.get("PYTHONPATH"))))}


@contextmanager
def out_folder(out: Path | None) -> Iterator[Path]:
    """The folder asked for, made if need be, or one that is removed in the end."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
    else:
        with TemporaryDirectory(prefix="chaoskit-benchmark-") as folder:
            yield Path(folder)


def run_drill(
    scenario: str,
    out: Path,
    *,
    scale: float,
    settings: Sequence[str] = (),
    beside: Callable[[subprocess.Popen[bytes]], None] = lambda process: None,
) -> Drill:
    """One `chaoskit run`, to its end; `beside` is called with its process and returns when that has ended.

    Raises Unusable, with the end of what it said, unless it left a history that can be read.
    """
    before = set(out.glob("*/events.jsonl"))
    arguments = ["run", scenario, "--time-scale", f"{scale:g}", "--out", str(out)]
    arguments += [word for setting in settings for word in ("--set", setting)]
    with (out / "said.txt").open("wb") as said:
        started = time.time()
        process = subprocess.Popen(
            [sys.executable, "-m", RUN_MODULE, *arguments], stdout=said, stderr=subprocess.STDOUT, env=environment()
        )
        try:
            beside(process)
            code = process.wait()
            ended = time.time()
        finally:
            # A run that is told to stop heals first; it is never killed outright.
            process.terminate()
            process.wait()
    new = sorted(path for path in set(out.glob("*/events.jsonl")) - before if not path.parent.is_symlink())
    last = "\n".join((out / "said.txt").read_text(errors="replace").splitlines()[-8:])
    if not new:
        raise Unusable(f"chaoskit run {scenario} ended with {code} and left no history; it said:\n{last}")
    try:
        return Drill(started, ended, code, new[0].parent, read_history(new[0]))
    except ChaoskitError as error:
        raise Unusable(f"{error}; the run said:\n{last}") from None


def must_pass(drill: Drill) -> Drill:
    """The drill, if its verdict is PASS: the figures of a run that went wrong mean nothing. Else raises Unusable."""
    if drill.code == 0:
        return drill
    said = (drill.folder.parent / "said.txt").read_text(errors="replace")
    wrong = [line.rstrip() for line in said.splitlines() if line.startswith(("FAIL", "UNKNOWN"))]
    raise Unusable(f"the run did not pass (exit {drill.code}), so its figures mean nothing:\n" + "\n".join(wrong))
