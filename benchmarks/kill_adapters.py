"""Adapters under SIGKILL: a fault by hand through one, and run, holder or both killed at any instant.

Then the thing's own tool is asked (psql, supervisorctl, nft, rq, …), not chaoskit, until nothing is left of it.

    python -m benchmarks.kill_adapters --count 50 --via postgres --via nft
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from benchmarks.outliving import heal_all, kill_holders, marked
from benchmarks.shared import environment
from chaoskit import waiting
from chaoskit.safety.heal import FORK_SERVER
from chaoskit.safety.run_registry import FOLDER_VARIABLE

FOR = "1500ms"
LONGEST_S = 4.5
CLEAN_S = 15.0
_AIMED = 0.7
"""The part of the kills that fall while the fault comes, is in force or goes."""
MODES = ("run", "holder", "both", "all")
"""What is killed: after `all`, nothing of ours is left to take it back, and `chaoskit heal` must."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault by hand, and what the thing's own tool says is wrong because of it."""

    name: str
    words: Sequence[str]
    """What `chaoskit inject` is given."""
    wrong: Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class Blow:
    """One kill and how it ended."""

    name: str
    mode: str
    after_s: float
    in_force: bool
    took_s: float
    left: list[str]


def inject(broken: Broken, out: Path, state: Path, for_: str = FOR) -> subprocess.Popen[bytes]:
    """The fault, begun in a process group of its own."""
    out.mkdir(parents=True, exist_ok=True)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "chaoskit", "inject", *broken.words, "--for", for_, "--out", str(out)]
    with (out / "said.txt").open("ab") as said:
        return subprocess.Popen(command, env=_env(state), stdout=said, stderr=said, start_new_session=True)


def _env(state: Path) -> dict[str, str]:
    return {**environment(), FOLDER_VARIABLE: str(state)}


def control(broken: Broken, at: Path) -> list[str]:
    """The fault undisturbed: what was wrong while it was in force, seen by the thing's own tool. Raises ValueError."""
    process = inject(broken, at / "runs", at / "state", "2500ms")
    seen: list[str] = []

    def shows() -> bool:
        seen[:] = [*seen, *broken.wrong()][:3]
        return process.poll() is not None

    waiting.await_true(shows, 60, 0.05)
    code = process.wait(60)
    left = broken.wrong()
    if code or not seen or left:
        said = (at / "runs" / "said.txt").read_text()
        raise ValueError(f"{broken.name} does not even work undisturbed: {code}, seen {seen}, left {left}\n{said}")
    return seen


def blow(broken: Broken, mode: str, after_s: float, at: Path, *, journaled: bool) -> Blow:
    """One kill `after_s` after the start, or after the fault was journaled; then the thing's own tool is asked."""
    out, state = at / "runs", at / "state"

    def written(step: str) -> bool:
        return any(f'"{step}"' in path.read_text() for path in out.glob("*/events.jsonl"))

    process = inject(broken, out, state)
    if journaled:
        waiting.await_true(lambda: written("invoke") or process.poll() is not None, 30, 0.01)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    in_force = written("invoke") and not written("undo-ok")
    if mode in ("holder", "both", "all"):
        kill_holders(out)
    if mode in ("run", "both", "all"):
        process.kill()
    if mode == "all":
        for one in marked(state):
            with suppress(psutil.Error):
                one.kill()
        process.wait(20)
        heal_all(out, _env(state))
    begun = time.monotonic()
    process.wait(60)
    waiting.await_true(lambda: not broken.wrong() and not _holding(state), CLEAN_S, 0.1)
    return Blow(broken.name, mode, after_s, in_force, time.monotonic() - begun, broken.wrong())


def _holding(state: Path) -> bool:
    for one in marked(state):
        with suppress(psutil.Error):
            if FORK_SERVER in one.cmdline():
                return True
    return False


def blows(broken: Broken, count: int, chance: random.Random, at: Path) -> Iterator[Blow]:
    """So many kills at random instants, the modes in turn."""
    for number in range(count):
        journaled = chance.random() < _AIMED
        after_s = chance.uniform(0, 2.0) if journaled else chance.uniform(0.4, LONGEST_S)
        yield blow(broken, MODES[number % len(MODES)], after_s, at / f"{number}", journaled=journaled)


def summed(done: Sequence[Blow]) -> str:
    """So many kills in one line."""
    clean, in_force = sum(not one.left for one in done), sum(one.in_force for one in done)
    return f"{clean} of {len(done)} clean, {in_force} in force, longest {max(one.took_s for one in done):.1f} s"


@click.command()
@click.option("--count", default=20, show_default=True, help="Kills of each fault.")
@click.option("--via", "vias", multiple=True, help="Only these adapters.")
@click.option("--seed", default=0, show_default=True, help="Of the instants.")
def main(count: int, vias: tuple[str, ...], seed: int) -> None:
    """Kills what breaks things through adapters, and asks the things themselves."""
    from tests.staging.broken import MAKERS

    chance, failed = random.Random(seed), 0
    for via in vias or tuple(MAKERS):
        with ExitStack() as stack:
            at = Path(stack.enter_context(TemporaryDirectory(prefix="chaoskit-kill-")))
            for broken in MAKERS[via](stack, at):
                control(broken, at / "control" / broken.name)
                done = list(blows(broken, count, chance, at / broken.name))
                bad = [one for one in done if one.left]
                failed += len(bad)
                click.echo(f"{via} {broken.name}: {summed(done)}")
                for one in bad:
                    click.echo(f"  {one}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
