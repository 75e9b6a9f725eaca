"""How much longer a run takes than it must: its wall time over the time that no run could do without.

The floor is what the run's own events show to be needed: Prometheus' first discovery, the quiet before the fault,
what the alert and its group waits take from the fault to the last notice and from the undo to the last all-clear,
and the tail. Everything else (start-up of Python, checks, reactions, the verdict) is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks.shared import Unusable, machine, must_pass, out_folder, run_drill, show, verdict_on
from chaoskit.events import End, FaultOk, Notice, Phase, Steady, UndoOk
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.verify.verify import plan_of

GOAL = 1.25
DISCOVERY_S = 5.1
"""From Prometheus' start to its first scrape: it publishes what it discovers on a ticker of 5 s."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run's wall time, and how much of it no run could do without; real seconds."""

    name: str
    taken_s: float
    needed_s: float


def parts(history: History, plan: Plan, started: float, ended: float) -> list[Part]:
    """A run with one fault and one undo from command to prompt, without a gap; the parts' sum is its wall time.

    Raises Unusable for a history without a fault, a notice, an undo or an all-clear.
    """
    steady = _only([e.t for e in history.of(Steady) if e.reached], "steady state")
    effect = _only([e.effect[1] for e in history.of(FaultOk)], "fault in force")
    gone = _only([e.gone[1] for e in history.of(UndoOk)], "undone fault")
    notices = [e.sent[1] for e in history.of(Notice) if e.status == "firing" and effect <= e.sent[1] <= gone]
    clears = [e.sent[1] for e in history.of(Notice) if e.status == "resolved" and e.sent[1] >= gone]
    told, cleared = _only(notices, "notice between fault and undo"), _only(clears, "all-clear after the undo")
    phase = {e.name: e.t for e in history.of(Phase)}
    tail, stopping = max(cleared, phase["tail"]), phase["stopping"]
    end = _only([e.t for e in history.of(End)], "end")
    begun = history.header.t
    return [
        Part("command to first event: imports, plan, promtool, amtool", begun - started, 0.0),
        Part("start of the stack and the load, steady state", steady - begun, DISCOVERY_S + quiet_s(plan)),
        Part("steady state to effect of the fault", effect - steady, 0.0),
        Part("fault to last notice: evaluation, for, group_wait", told - effect, told - effect),
        Part("last notice to undone", gone - told, 0.0),
        Part("undone to last all-clear: evaluation, group_interval", cleared - gone, cleared - gone),
        Part("last all-clear to tail", tail - cleared, 0.0),
        Part("tail: late is not never", stopping - tail, plan.tail_vs / plan.time_scale),
        Part("stopping", end - stopping, 0.0),
        Part("verdict, report, exit", ended - end, 0.0),
    ]


def quiet_s(plan: Plan) -> float:
    """Real seconds of quiet that a run wants to see before its first step."""
    scrape_s = max((job.interval_s for job in plan.config.jobs), default=15.0)
    return max(plan.steady_vs, 2 * (scrape_s + plan.config.evaluation_interval_s)) / plan.time_scale


def ratio(found: list[Part]) -> float:
    """Taken over needed."""
    return sum(part.taken_s for part in found) / sum(part.needed_s for part in found)


def _only(instants: list[float], what: str) -> float:
    if not instants:
        raise Unusable(f"this history has no {what}; take a scenario with one fault, its notices and its undo")
    return max(instants)


@click.command(help=__doc__)
@click.option("--scenario", default="worker-unhealthy", show_default=True)
@click.option("--scale", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Virtual seconds a second")
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs here.")
def main(scenario: str, scale: float, runs: int, out: Path | None) -> None:
    ratios: list[float] = []
    with out_folder(out) as folder:
        for number in range(1, runs + 1):
            drill = must_pass(run_drill(scenario, folder, scale=scale))
            found = parts(drill.history, plan_of(drill.history.header), drill.started, drill.ended)
            ratios.append(ratio(found))
            total = Part("together", sum(p.taken_s for p in found), sum(p.needed_s for p in found))
            show(
                f"{scenario} at {scale:g}x, run {number} of {runs}, real seconds",
                ("part", "taken", "needed", "ours"),
                [
                    (p.name, f"{p.taken_s:.2f}", f"{p.needed_s:.2f}", f"{p.taken_s - p.needed_s:.2f}")
                    for p in (*found, total)
                ],
            )
            click.echo(f"taken over needed: {ratios[-1]:.3f}\n")
    click.echo(f"wall time over its floor, median of {runs}: {verdict_on(median(ratios), GOAL)}")
    click.echo(machine())


if __name__ == "__main__":
    main()
