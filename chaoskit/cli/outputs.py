"""Where commands write: standard output and error that outlast their reader, and files that were named for results.

A reader that goes away, a full disk and a terminal that cannot show a letter change nothing of what a command does,
nor how it ends: what was judged stays judged.
"""

from __future__ import annotations

import codecs
import errno
import io
import locale
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from chaoskit.errors import ExitCode

F = TypeVar("F", bound=Callable[..., Any])

_GONE = (errno.EPIPE, errno.EIO)
"""A pipe without a reader, a terminal that was hung up: no reader is left."""


def form(*forms: str) -> Callable[[F], F]:
    """The option `--format` of a command that prints in these forms; the first is the default."""
    return click.option("--format", "format_", type=click.Choice(forms), default=forms[0], show_default=True)


class Outlasting(io.FileIO):
    """A descriptor that takes everything; what can no longer be written is dropped, and `lost` says why."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes to the stream; never raises for want of a reader or of space, and waits where a pipe is full."""
        size = memoryview(data).nbytes
        try:
            while self.lost is None:
                written = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])
        except OSError as error:
            self.lost = error
        return size


class _Text(io.TextIOWrapper):
    """Text whose letters are replaced where the terminal's encoding has none."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Never plain ASCII by name: click would take that for a mistake, and write UTF-8."""
        name = super().encoding
        return f"{name}, replaced" if codecs.lookup(name).name == "ascii" else name


_outputs: list[Outlasting] = []


def outlast() -> None:
    """Leads sys.stdout and sys.stderr through `Outlasting`; descriptors that were closed lead to nowhere."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        raw = Outlasting(descriptor)
        _outputs.append(raw)
        lines = descriptor == 2 or raw.isatty() or getattr(before, "write_through", False)
        text = _Text(
            io.BufferedWriter(raw),
            encoding=getattr(before, "encoding", "utf-8"),
            errors="replace",
            line_buffering=lines,
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def in_utf8() -> None:
    """Begins again in Python's UTF-8 mode where the locale is another: files, names and programs speak UTF-8.

    The terminal's own encoding is kept for what is printed. Returns where nothing has to change.
    """
    plain = locale.getpreferredencoding(False).lower().replace("-", "")
    if sys.flags.utf8_mode or plain == "utf8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", f"{codecs.lookup(sys.stdout.encoding).name}:replace")
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def settle(code: ExitCode, *, judges: bool) -> ExitCode:
    """The code a command ends with: its own, but 3 where it judged nothing and its output is not whole."""
    sys.stdout.flush()
    lost = _outputs[0].lost
    if lost is None or lost.errno in _GONE:
        return code
    sys.stderr.write(f"standard output could not be written: {lost.strerror}\n")
    return ExitCode.UNKNOWN if code is ExitCode.PASS and not judges else code


RUNS = Path("chaoskit-runs")
"""Where runs are kept unless another folder is named."""


class ResultFile(click.Path):
    """A file that a command writes its results to: that it can be made is found out before anything begins."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error where there is no folder for it, or none that may be written to."""
        file = Path(os.fsdecode(super().convert(value, param, ctx)))
        runs = ctx.params.get("out") if ctx is not None else None
        if runs is not None and file.parent in (runs, runs.absolute()):
            return file  # the command makes the folder of runs, or says that it cannot
        if not file.exists() and not os.access(file.parent, os.W_OK):
            why = "cannot be written to" if file.parent.is_dir() else "is not there"
            self.fail(f"{value}: the folder {file.parent} {why}", param, ctx)
        return file


JUNITXML = click.option("--junitxml", type=ResultFile(), help="Write the results as JUnit XML.")
CONFIRM = click.option(
    "--confirm",
    multiple=True,
    metavar="NAME",
    callback=lambda context, option, given: ",".join(given),
    help="The environment of an attached target, to break it; and each handle that the plan wants confirmed.",
)
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=RUNS,
    show_default=True,
    is_eager=True,  # known before the result files that may lie in it
    help="Where runs are kept.",
)
"""The option of commands that make a run's folder and may write results beside it."""
ANNOUNCE = click.option(
    "--announce", is_flag=True, help="Tell each real receiver of an attached target that a drill begins, and its end."
)
