"""Spoilt files of every kind, read by the code of the commands: accepted, or refused with a place and a reason.

Anything else is a finding: another exception, a refusal without a place or without words, a file that takes longer
than its limit or more memory than there is. A case is named by kind, seed and number, and can be made again; findings
are kept on disk, made smaller where that is cheap.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import click

from benchmarks.fuzz_readers import KINDS, read_the_same_once, scratch
from benchmarks.mutations import mutated
from benchmarks.shared import Unusable, show
from chaoskit.errors import BadInput

_LIMIT_S = 5.0
_MEMORY = 2 * 2**30
_BATCH = 250
_SMALLER_TRIES = 60


class _Hang(BaseException):
    """Not an Exception: code that is careful about errors may not take it for one of its own."""


@dataclass(slots=True)
class Finding:
    """A file that was neither accepted nor properly refused."""

    kind: str
    name: str
    what: str
    data: bytes


@dataclass(slots=True)
class Tally:
    """What came of the files of one kind."""

    kind: str
    files: int = 0
    accepted: int = 0
    rejected: int = 0
    slowest_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Takes in what another worker saw."""
        self.files += other.files
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.findings += other.findings


def unplaced(error: BadInput) -> str:
    """What the refusal fails to say; empty where it says where and why."""
    if not error.problems:
        return "refused without a problem"
    for problem in error.problems:
        if problem.place is None or not problem.place.file:
            return f"refused without a place: {problem.message}"
        if not problem.message.strip():
            return f"refused without a reason at {problem.place}"
    return ""


def judged(kind: str, data: bytes, folder: Path, limit_s: float = _LIMIT_S) -> str:
    """`accepted`, `rejected`, or what is wrong; in the main thread, for the limit is a signal of its processor time."""
    reader, name, _, _ = KINDS[kind]
    file = folder / name
    file.write_bytes(data)

    def ring(signal_: int, frame: FrameType | None) -> None:
        raise _Hang

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        reader(file)
    except BadInput as error:
        return unplaced(error) or "rejected"
    except _Hang:
        return f"hangs: not done after {limit_s:g} s of processor time"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return "accepted"


def case(kind: str, seed: int, number: int) -> bytes:
    """The spoilt file of this number; the same every time."""
    chance = random.Random(f"{seed} {kind} {number}")
    _, _, corpus, ways = KINDS[kind]
    if kind not in _CORPORA:
        _CORPORA[kind] = corpus()
    return mutated(chance, chance.choice(_CORPORA[kind]), ways)


_CORPORA: dict[str, tuple[bytes, ...]] = {}


def batch(kind: str, seed: int, first: int, count: int) -> Tally:
    """Reads so many files in this process."""
    tally = Tally(kind)
    with TemporaryDirectory(prefix="chaoskit-fuzz-") as name:
        scratch(Path(name))
        for number in range(first, first + count):
            data = case(kind, seed, number)
            begun = time.monotonic()
            said = judged(kind, data, Path(name))
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - begun)
            tally.files += 1
            tally.accepted += said == "accepted"
            tally.rejected += said == "rejected"
            if said not in ("accepted", "rejected"):
                tally.findings.append(
                    Finding(kind, f"{kind}-{seed}-{number}", said, smaller(kind, data, said, Path(name)))
                )
    return tally


def smaller(kind: str, data: bytes, said: str, folder: Path) -> bytes:
    """The same finding with fewer lines, as far as few tries lead; a hang is left as it is, tries would be slow."""
    if said.startswith("hangs"):
        return data
    lines, size = data.split(b"\n"), len(data.split(b"\n")) // 2
    for _ in range(_SMALLER_TRIES):
        if size < 1:
            break
        for at in range(0, len(lines), size):
            fewer = lines[:at] + lines[at + size :]
            if judged(kind, b"\n".join(fewer), folder).split(":")[:2] == said.split(":")[:2]:
                lines = fewer
                break
        else:
            size //= 2
    return b"\n".join(lines)


def prepare_worker() -> None:
    """Bounds this process's memory; what is over it becomes a MemoryError, which is a finding."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    read_the_same_once()


def fuzz(kinds: tuple[str, ...], count: int, seed: int, processes: int) -> dict[str, Tally]:
    """Reads `count` files altogether, kinds in turns; what was seen by kind."""
    tallies = {kind: Tally(kind) for kind in kinds}
    with ProcessPoolExecutor(processes, initializer=prepare_worker) as pool:
        for tally in pool.map(batch, *zip(*_batches(kinds, count, seed), strict=True)):
            tallies[tally.kind].add(tally)
    return tallies


def _batches(kinds: tuple[str, ...], count: int, seed: int) -> Iterator[tuple[str, int, int, int]]:
    share, more = divmod(count, len(kinds))
    for place, kind in enumerate(kinds):
        mine = share + (place < more)
        yield from ((kind, seed, first, min(_BATCH, mine - first)) for first in range(0, mine, _BATCH))


@click.command()
@click.option("--count", type=click.IntRange(7), default=100_000, show_default=True, help="Files altogether.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other files.")
@click.option("--processes", type=click.IntRange(1, 64), default=os.cpu_count() or 1, show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(tuple(KINDS)), help="Only this kind; repeatable.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("fuzz-findings"), show_default=True)
def main(count: int, seed: int, processes: int, kinds: tuple[str, ...], keep: Path) -> None:
    """Read spoilt files until something else than an answer comes."""
    begun = time.monotonic()
    tallies = fuzz(tuple(dict.fromkeys(kinds)) or tuple(KINDS), count, seed, processes)
    whole = Tally("all")
    for tally in tallies.values():
        whole.add(tally)
    show(
        f"{count} spoilt files in {time.monotonic() - begun:.0f} s, seed {seed}",
        ("kind", "files", "accepted", "rejected", "findings", "slowest"),
        [
            (one.kind, one.files, one.accepted, one.rejected, len(one.findings), f"{one.slowest_s:.2f} s")
            for one in (*tallies.values(), whole)
        ],
    )
    for finding in whole.findings:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / finding.name).write_bytes(finding.data)
    seen: dict[str, Finding] = {}
    for finding in whole.findings:
        seen.setdefault(f"{finding.kind}: {finding.what[:120]}", finding)
    for what, finding in seen.items():
        click.echo(f"{keep / finding.name}: {what}", err=True)
    if whole.findings:
        raise Unusable(f"{len(whole.findings)} findings, kept in {keep}")


if __name__ == "__main__":
    main()
