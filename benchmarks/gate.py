"""A whole gate: its wall time against the bound that its planner prints and against the goals; together as one by one.

The first of `--jobs` is played twice: what the first gate took makes the second one's schedule and bound. The last
line says whether every scenario ended alike however many stacks stood side by side.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.shared import RUN_MODULE, Unusable, environment, machine, out_folder, show, verdict_on

GOAL_S, LONGEST_S, OVER_BOUND = 90.0, 180.0, 1.25
_BOUND = re.compile(r"side by side:\s+about\s+(\d+):(\d\d)")
_ENDED = re.compile(r"^(PASS|FAIL|UNKNOWN|ERROR)  (\S+), [\d.]+ s( \(second attempt)?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Played:
    """One gate: real seconds from command to prompt, the planner's bound, and how each scenario ended at last."""

    jobs: int
    wall_s: float
    bound_s: float
    code: int
    ended: dict[str, str]
    load: tuple[float, float]
    """The load average before and after."""


def command(arguments: Sequence[str], out: Path) -> tuple[str, int, float]:
    """`chaoskit gate` as a user calls it: what it said, its exit code, and real seconds from command to prompt."""
    whole = [sys.executable, "-m", RUN_MODULE, "gate", *arguments, "--out", str(out)]
    begun = time.monotonic()
    done = subprocess.run(whole, capture_output=True, text=True, env=environment(), check=False)
    return done.stdout + done.stderr, done.returncode, time.monotonic() - begun


def endings(said: str) -> tuple[dict[str, str], int]:
    """How each scenario of a gate ended at last, and how many were tried a second time."""
    found = _ENDED.findall(said)
    return {name: result for result, name, _ in found}, sum(bool(again) for _, _, again in found)


def read_gate(said: str) -> tuple[float, dict[str, str]]:
    """The bound in what a gate said, in real seconds, and each scenario's last result; raises Unusable."""
    bound = _BOUND.search(" ".join(said.split()))
    if bound is None:
        raise Unusable(f"this gate printed no schedule; it said:\n{said[-2000:]}")
    return int(bound[1]) * 60 + int(bound[2]), endings(said)[0]


def play(jobs: int, scenarios: Sequence[str], out: Path) -> Played:
    """One gate with so many stacks side by side, to its end."""
    before = os.getloadavg()[0]
    said, code, wall_s = command([*scenarios, "-j", str(jobs)], out)
    bound_s, ended = read_gate(said)
    return Played(jobs, wall_s, bound_s, code, ended, (before, os.getloadavg()[0]))


def differing(played: Sequence[Played]) -> list[str]:
    """Scenarios that did not end alike in all gates, with how they ended in each."""
    names = sorted({name for each in played for name in each.ended})
    ends = {name: [each.ended.get(name, "not played") for each in played] for name in names}
    return [f"{name}: {', '.join(found)}" for name, found in ends.items() if len(set(found)) > 1]


@click.command(help=__doc__)
@click.argument("scenarios", nargs=-1)
@click.option("--jobs", default="3,1", show_default=True, help="Stacks side by side, one gate for each.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs here.")
def main(scenarios: tuple[str, ...], jobs: str, out: Path | None) -> None:
    try:
        counts = [int(word) for word in jobs.split(",")]
    except ValueError:
        raise click.BadParameter(f"{jobs!r} is not like 3,1", param_hint="--jobs") from None
    with out_folder(out) as folder:
        played = [play(count, scenarios, folder) for count in (counts[0], *counts)]
    rows = [
        (
            f"-j {each.jobs}",
            f"{each.wall_s:.1f}",
            f"{each.bound_s:.0f}",
            f"{each.wall_s / each.bound_s:.2f}",
            each.code,
            f"{sum(result == 'PASS' for result in each.ended.values())} of {len(each.ended)}",
            f"{each.load[0]:.1f}, {each.load[1]:.1f}",
        )
        for each in played
    ]
    show("gates, in order", ("", "wall s", "bound s", "ratio", "exit", "PASS", "load before, after"), rows)
    second = played[1]
    click.echo(f"wall over bound: {verdict_on(second.wall_s / second.bound_s, OVER_BOUND)}")
    click.echo(f"wall: {verdict_on(second.wall_s, LONGEST_S, ' s')}; {verdict_on(second.wall_s, GOAL_S, ' s')}")
    different = differing(played)
    click.echo("every scenario ended alike in all gates" if not different else "\n".join(["different:", *different]))
    click.echo(machine())


if __name__ == "__main__":
    main()
