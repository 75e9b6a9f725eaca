"""What a run costs the machine: CPU and memory of each part of the stack, and the time to the first fault.

Memory is PSS (shared pages counted in parts, so that the sum is what the machine gives), sampled twice a second;
CPU is what the kernel counted for the processes of a part, over the time in which the run was alive.
"""

from __future__ import annotations

import re
import resource
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

from benchmarks.shared import Drill, Unusable, machine, must_pass, out_folder, run_drill, show
from chaoskit.events import FaultOk, Invoke

EVERY_S = 0.5
_PARTS = (
    ("prometheus", r"\bprometheus\b.*--storage\.tsdb"),
    ("alertmanager", r"\balertmanager\b.*--cluster"),
    ("promtool, amtool", r"\b(promtool|amtool)\b"),
    ("load (Locust)", r"chaoskit\.load\.child"),
    ("mail sink", r"chaoskit\.observe\.mail_sink"),
    ("webhook sink", r"chaoskit\.observe\.webhook_sink"),
    ("fault holder and what it is forked from", r"chaoskit\.faults\.fork_server"),
    ("watchdog", r"chaoskit\.\S*watchdog"),
    ("CRM", r"chaoskit\.crm|^crm\["),
)
OTHER = "(other)"
_BRIEF = "(ended between samples)"
RUN = "chaoskit run"


@dataclass(slots=True)
class Use:
    """What one part used: processes at once, PSS and RSS in MiB at most, CPU seconds."""

    processes: int = 0
    pss_mib: float = 0.0
    rss_mib: float = 0.0
    cpu_s: dict[int, float] = field(default_factory=dict)
    """By pid: the last that was seen of it, for a process that ends takes its count along."""


def part_of(words: Sequence[str], root: bool) -> str:
    """Which part a process belongs to, by its command line."""
    if root:
        return RUN
    line = " ".join(words)
    return next((name for name, pattern in _PARTS if re.search(pattern, line)), OTHER)


class Sampler:
    """Watches a run's process and all its descendants until it ends."""

    def __init__(self) -> None:
        self.uses: dict[str, Use] = defaultdict(Use)
        self.most_mib = 0.0
        """PSS of everything together."""

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            begun = time.monotonic()
            self.sample(root)
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - begun)))  # memory announces no change

    def sample(self, root: psutil.Process) -> None:
        now: dict[str, Use] = defaultdict(Use)
        try:
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in family:
            try:
                name = part_of(process.cmdline(), process.pid == root.pid)
                memory = process.memory_full_info()
                times = process.cpu_times()
            except psutil.Error:  # it ended meanwhile
                continue
            use = now[name]
            use.processes += 1
            use.pss_mib += memory.pss / 2**20
            use.rss_mib += memory.rss / 2**20
            self.uses[name].cpu_s[process.pid] = times.user + times.system
        for name, use in now.items():
            most = self.uses[name]
            most.processes = max(most.processes, use.processes)
            most.pss_mib = max(most.pss_mib, use.pss_mib)
            most.rss_mib = max(most.rss_mib, use.rss_mib)
        self.most_mib = max(self.most_mib, sum(use.pss_mib for use in now.values()))


def first_fault(drill: Drill) -> tuple[float, float]:
    """Real seconds from the command to the first fault's order, and to its effect."""
    invoked = next(drill.history.of(Invoke), None)
    effect = next(drill.history.of(FaultOk), None)
    if invoked is None or effect is None:
        raise Unusable("this run injected no fault that took effect")
    return invoked.t - drill.started, effect.effect[1] - drill.started


def _reaped_s() -> float:
    """CPU seconds of all our descendants that have ended and were reaped."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@click.command(help=__doc__)
@click.option("--scenario", default="worker-unhealthy", show_default=True)
@click.option("--scale", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Virtual seconds a second")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the run here.")
def main(scenario: str, scale: float, out: Path | None) -> None:
    sampler = Sampler()
    before_s = _reaped_s()
    with out_folder(out) as folder:
        drill = must_pass(run_drill(scenario, folder, scale=scale, beside=sampler.watch))
    wall_s = drill.ended - drill.started
    rows: list[tuple[object, ...]] = [
        (name, use.processes, f"{use.pss_mib:.0f}", f"{use.rss_mib:.0f}", f"{cpu:.2f}", f"{cpu / wall_s:.1%}")
        for name, use in sorted(sampler.uses.items(), key=lambda item: -sum(item[1].cpu_s.values()))
        for cpu in [sum(use.cpu_s.values())]
    ]
    cpu_s = _reaped_s() - before_s
    unseen_s = max(0.0, cpu_s - sum(sum(use.cpu_s.values()) for use in sampler.uses.values()))
    rows.append((_BRIEF, "", "", "", f"{unseen_s:.2f}", f"{unseen_s / wall_s:.1%}"))
    together = ("together (PSS at one instant)", "", f"{sampler.most_mib:.0f}", "", f"{cpu_s:.2f}")
    show(
        f"{scenario} at {scale:g}x, {wall_s:.1f} real s from command to prompt",
        ("part", "processes", "PSS MiB", "RSS MiB", "CPU s", "of a core"),
        [*rows, (*together, f"{cpu_s / wall_s:.1%}")],
    )
    ordered_s, effect_s = first_fault(drill)
    click.echo(f"from the command to the first fault: {ordered_s:.2f} s to its order, {effect_s:.2f} s to its effect")
    click.echo(machine())


if __name__ == "__main__":
    main()
