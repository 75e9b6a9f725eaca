"""Gates in a row beside processes that compute without pause: how many end with exit 0, and what failed in the others.

Beside two of them on two cores everything waits for a processor all the time. A FAIL that is none of the system's
doing would make the gate useless on such a machine, so each FAIL is printed with what the gate said of it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.gate import command, endings
from benchmarks.shared import machine, out_folder, show, verdict_on

WANTED = 0.95
"""The part of the gates that must end with exit 0: 19 of 20."""
# It ends when its parent closes the other end of the pipe, by intention or by dying.
_BUSY = "import os, threading\nthreading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()\nwhile True: pass"


@dataclass(frozen=True, slots=True)
class Played:
    """One gate: real seconds from command to prompt, how each scenario ended at last, how many were tried twice."""

    wall_s: float
    code: int
    ended: dict[str, str]
    again: int
    said: str


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute without pause, as long as this lasts."""
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            assert loop.stdin is not None
            loop.stdin.close()
            loop.wait(10)


def play(arguments: Sequence[str], out: Path) -> Played:
    """One gate, to its end."""
    return read(*command(["--require-coverage", "100", *arguments], out))


def read(said: str, code: int, wall_s: float) -> Played:
    """What a gate said, in order."""
    ended, again = endings(said)
    return Played(wall_s, code, ended, again, said)


def blamed(played: Played) -> list[str]:
    """Each scenario that did not pass, with the gate's own words on it."""
    said = " ".join(played.said.split()).split(" proven: ")[0]
    reasons: dict[str, list[str]] = {}
    for part in said.split("\u2022 "):
        name, _, reason = part.strip().partition(": ")
        reasons.setdefault(name, []).append(reason[:400])
    return [
        f"{result} {name}: {'; '.join(reasons.get(name, ['?']))}"
        for name, result in sorted(played.ended.items())
        if result != "PASS"
    ]


@click.command(help=__doc__)
@click.argument("arguments", nargs=-1)
@click.option("--count", default=20, show_default=True, type=click.IntRange(1))
@click.option("--busy", "loops", default=2, show_default=True, type=click.IntRange(0))
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs here.")
def main(arguments: tuple[str, ...], count: int, loops: int, out: Path | None) -> None:
    series: list[Played] = []
    with out_folder(out) as folder, busy(loops):
        for number in range(1, count + 1):
            one = play(arguments, folder)
            series.append(one)
            passed = sum(result == "PASS" for result in one.ended.values())
            click.echo(
                f"gate {number}: exit {one.code}, {passed} of {len(one.ended)} PASS, {one.again} tried twice, "
                f"{one.wall_s:.0f} s, load {os.getloadavg()[0]:.1f}"
            )
            for line in blamed(one):
                click.echo(f"  {line}")
    results = [result for one in series for result in one.ended.values()]
    rows = [
        ("gates with exit 0", f"{sum(one.code == 0 for one in series)} of {count}"),
        ("scenarios that ended FAIL", f"{results.count('FAIL')} of {len(results)}"),
        ("scenarios that ended UNKNOWN, twice", f"{results.count('UNKNOWN')} of {len(results)}"),
        ("scenarios tried a second time", f"{sum(one.again for one in series)} of {len(results)}"),
        ("wall s, median (most)", _walls([one.wall_s for one in series])),
    ]
    show(f"gates beside {loops} busy processes", ("", ""), rows)
    missed = sum(one.code != 0 for one in series)
    click.echo(f"gates without exit 0: {verdict_on(missed, (1 - WANTED) * count + 1e-9)}")
    click.echo(machine())


def _walls(walls_s: Sequence[float]) -> str:
    return f"{statistics.median(walls_s):.0f} ({max(walls_s):.0f})"


if __name__ == "__main__":
    main()
