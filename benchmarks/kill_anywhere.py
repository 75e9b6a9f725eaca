"""Whatever is killed, at whatever instant: a few seconds later nothing is wrong and no process of ours is left.

Each trial breaks a target that outlives us (by `chaoskit inject`: journal, holder, lease and watchdog are those of a
run), kills at some instant, and then asks the target itself, not the tool, until nothing is wrong. The kinds of
fault take turns; each has shown before that it works here. Every other trial of `runner` aims at a step: between
journal, effect, confirmation and undo.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from benchmarks.kill_commands import COMMANDS, blows
from benchmarks.outliving import Outliving, heal_all, kill_holders, outliving, until_right
from benchmarks.shared import Unusable, quantile, show
from chaoskit import waiting
from chaoskit.safety.heal import FORK_SERVER

GOAL_S = 5.0
_PATIENCE_S = 45.0
_STEP_S = 30.0
_FOR = "1500ms"
_AFTER_START_S = 3.5
STEPS = ("header", "invoke", "fault-ok", "undo-begin", "undo-ok")


@dataclass(frozen=True, slots=True)
class Trial:
    """One kill: what, when, and how it ended."""

    mode: str
    kind: str
    when: str
    took_s: float
    wrong: list[str]
    code: int | None
    in_force: bool
    """Whether the fault was journaled and not yet undone when the blow fell."""


def runner_killed(runner: subprocess.Popen[bytes], target: Outliving) -> None:
    """SIGKILL of the runner alone."""
    runner.kill()


def runner_stopped(runner: subprocess.Popen[bytes], target: Outliving) -> None:
    """SIGSTOP of the runner; it is let go again once all is well, and must then keep its hands off."""
    runner.send_signal(signal.SIGSTOP)


def holder_killed(runner: subprocess.Popen[bytes], target: Outliving) -> None:
    """SIGKILL of the holder; the runner lives."""
    kill_holders(target.out)


def both_killed(runner: subprocess.Popen[bytes], target: Outliving) -> None:
    """SIGKILL of holder and runner."""
    kill_holders(target.out)
    runner.kill()


def group_killed(runner: subprocess.Popen[bytes], target: Outliving) -> None:
    """SIGKILL of the runner's process group."""
    with suppress(ProcessLookupError):
        os.killpg(runner.pid, signal.SIGKILL)


def all_killed(runner: subprocess.Popen[bytes], target: Outliving) -> None:
    """SIGKILL of everything of ours at once; then `chaoskit heal --all`."""
    for process in target.ours():
        with suppress(psutil.Error):
            process.kill()
    runner.kill()
    runner.wait(timeout=10)
    heal_all(target.out, target.environment())


MODES: dict[str, Callable[[subprocess.Popen[bytes], Outliving], None]] = {
    "runner": runner_killed,
    "stopped": runner_stopped,
    "holder": holder_killed,
    "both": both_killed,
    "group": group_killed,
    "all": all_killed,
}


def trial(target: Outliving, mode: str, kind: str, step: str, after_s: float) -> Trial:
    """One kill, `after_s` after the step's line is in the journal, or after the start where no step is named."""
    before = set(target.out.glob("*by-hand*"))
    command = [sys.executable, "-m", "chaoskit", "inject", kind, *target.orders()[kind]]
    with (target.folder / "inject.log").open("ab") as log:
        runner = subprocess.Popen(
            [*command, "--for", _FOR, "--out", str(target.out)],
            env=target.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        if step:
            waiting.await_true(lambda: _written(target, before, step) or runner.poll() is not None, _STEP_S, 0.002)
        time.sleep(after_s)  # the blow falls at this instant, whatever happens: it is what is tried
        in_force = _written(target, before, "invoke") and not _written(target, before, "undo-ok")
        MODES[mode](runner, target)
        # Processes of ours that are still at work are no failure until the time is over, nor is a stopped runner.
        if mode == "stopped":
            took_s, wrong = _until_right_beside(target, runner)
            runner.send_signal(signal.SIGCONT)
            runner.wait(timeout=_PATIENCE_S)
            _, again = until_right(target, GOAL_S)
            wrong += again
        elif mode == "holder":
            # The runner takes back at once and then stops in order.
            took_s, wrong = _until_right_beside(target, runner)
            runner.wait(timeout=_PATIENCE_S)
            wrong += until_right(target, GOAL_S)[1]
        else:
            runner.wait(timeout=_PATIENCE_S)
            took_s, wrong = until_right(target, _PATIENCE_S)
    finally:
        if runner.poll() is None:
            runner.kill()
            runner.wait(timeout=10)
    return Trial(mode, kind, f"{step or 'start'}+{after_s:.3f}", took_s, wrong, runner.returncode, in_force)


def control(target: Outliving, kind: str) -> None:
    """The fault without any blow: it must come into force and be undone; raises Unusable otherwise."""
    command = [sys.executable, "-m", "chaoskit", "inject", kind, *target.orders()[kind]]
    done = subprocess.run(
        [*command, "--for", "300ms", "--out", str(target.out)],
        env=target.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    wrong = until_right(target, GOAL_S)[1]
    if done.returncode or wrong:
        raise Unusable(f"{kind} does not even work undisturbed: {done.returncode} {done.stdout}{done.stderr} {wrong}")


def _until_right_beside(target: Outliving, runner: subprocess.Popen[bytes]) -> tuple[float, list[str]]:
    """As `until_right`, while the runner itself may still be there."""

    def wrong() -> list[str]:
        found = [one for one in target.wrong() if not one.startswith("a process of ours")]
        # Before its effect there is nothing to see; so the runner's fate is waited for as well.
        return found or ([] if _settled(target, runner) else ["a process of ours is at work"])

    return until_right(target, _PATIENCE_S, wrong)


def _settled(target: Outliving, runner: subprocess.Popen[bytes]) -> bool:
    """Whether no process of ours is at work but the runner and what it gets holders from, which holds nothing."""
    return runner.poll() is not None or not [
        process for process in target.ours() if process.pid != runner.pid and not _bears(process, runner)
    ]


def _bears(process: psutil.Process, runner: subprocess.Popen[bytes]) -> bool:
    with suppress(psutil.Error):
        return bool(process.ppid() == runner.pid and FORK_SERVER in process.cmdline())
    return False


def _written(target: Outliving, before: set[Path], step: str) -> bool:
    for folder in set(target.out.glob("*by-hand*")) - before:
        with suppress(OSError):
            if f'"type":"{step}"'.encode() in (folder / "events.jsonl").read_bytes():
                return True
    return False


def trials(target: Outliving, mode: str, count: int, chance: random.Random, kinds: list[str]) -> Iterator[Trial]:
    """So many kills of one mode, the kinds in turn; every other one aims at a step, the others at any instant."""
    for number in range(count):
        kind = kinds[number % len(kinds)]
        step = STEPS[number // 2 % len(STEPS)] if number % 2 else ""
        if mode in ("holder", "stopped", "all"):
            step = step or "fault-ok"  # before, there is no holder, or nothing that could stand still
        after_s = chance.uniform(0, 0.03) if step else chance.uniform(0, _AFTER_START_S)
        yield trial(target, mode, kind, step, after_s)


@click.command()
@click.option("--count", default=300, show_default=True, help="Kills of the runner.")
@click.option("--others", default=50, show_default=True, help="Kills of each other mode.")
@click.option("--mode", "modes", multiple=True, type=click.Choice(list(MODES)), help="Only these.")
@click.option("--kind", "chosen", multiple=True, help="Only these kinds of fault.")
@click.option("--command", "commands", multiple=True, type=click.Choice(list(COMMANDS)), help="Only these commands.")
@click.option("--each", default=10, show_default=True, help="Kills of each command.")
@click.option("--seed", default=0, show_default=True, help="Of the instants.")
def main(
    count: int,
    others: int,
    modes: tuple[str, ...],
    chosen: tuple[str, ...],
    commands: tuple[str, ...],
    each: int,
    seed: int,
) -> None:
    """Kill what breaks things, at any instant, and see whether anything stays broken."""
    chance = random.Random(seed)
    if commands or not modes:
        _commands(commands or tuple(COMMANDS), each, chance)
    if commands and not modes:
        return
    failed: list[Trial] = []
    rows = []
    with TemporaryDirectory(prefix="chaoskit-kill-") as folder, outliving(Path(folder)) as target:
        target.out.mkdir()
        kinds = list(chosen or target.orders())
        for kind in kinds:
            control(target, kind)
        for mode in modes or tuple(MODES):
            done = []
            for one in trials(target, mode, count if mode == "runner" else others, chance, kinds):
                done.append(one)
                good = not one.wrong and one.took_s <= GOAL_S
                if not good:
                    failed.append(one)
                    click.echo(f"{one.mode} {one.kind} {one.when}: {one.took_s:.1f} s, {one.wrong}")
                    until_right(target, _PATIENCE_S)
            struck = sum(1 for one in done if one.in_force)
            took = [one.took_s for one in done]
            clean = sum(1 for one in done if not one.wrong and one.took_s <= GOAL_S)
            codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(str(one.code) for one in done).items()))
            rows.append(
                (mode, f"{clean} of {len(done)}", str(struck), f"{quantile(took, 0.5):.2f}", f"{max(took):.2f}", codes)
            )
    show("Killed anywhere", ("what", "clean in time", "in force", "median s", "longest s", "exit codes"), rows)
    if failed:
        raise Unusable(f"{len(failed)} trials left something, or took longer than {GOAL_S:g} s")


def _commands(names: tuple[str, ...], each: int, chance: random.Random) -> None:
    rows, bad = [], 0
    with TemporaryDirectory(prefix="chaoskit-kill-") as folder:
        for name in names:
            done = []
            for one in blows([name], each, chance, Path(folder)):
                done.append(one)
                if one.left:
                    bad += 1
                    click.echo(f"{one.command} {one.signal} after {one.after_s:.2f} s: {one.left}")
            clean, struck = sum(not one.left for one in done), sum(one.struck for one in done)
            longest_s = max(one.took_s for one in done)
            rows.append((name, f"{clean} of {len(done)}", str(struck), f"{longest_s:.2f}"))
    show("Commands killed anywhere", ("what", "clean", "still ran", "longest s"), rows)
    if bad:
        raise Unusable(f"{bad} kills of a command left something")


if __name__ == "__main__":
    main()
