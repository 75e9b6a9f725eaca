"""What the rules cost in real time: how long each takes to evaluate, and Prometheus's share of a processor.

A stack at scale 1 with load, the shipped rules loaded as they are. Prometheus's own word: for each rule the duration of
its last evaluation, looked at after every evaluation; its counters of evaluation time and CPU over the whole span.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from pathlib import Path

import click
import requests

from benchmarks.shared import machine, out_folder, quantile, show, verdict_on
from benchmarks.standing import Standing, standing_stack
from chaoskit.load.engine import LoadChild

GOAL_MS, GOAL_PERCENT = 10.0, 0.2
"""What the documentation of the alerts says: for one rule, and of one core for the evaluation of all."""
_SUM = "prometheus_rule_evaluation_duration_seconds_sum"
_CPU = "process_cpu_seconds_total"


def counter(page: str, name: str) -> float:
    """The sum of all series of a metric on a page of metrics; 0 where there is none."""
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE)
    return sum(map(float, found))


def watch(url: str, for_s: float) -> dict[str, list[float]]:
    """By rule, the milliseconds of each evaluation that was seen within the time."""
    taken: dict[str, list[float]] = defaultdict(list)
    seen: dict[str, str] = {}
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        groups = requests.get(f"{url}/api/v1/rules", timeout=5).json()["data"]["groups"]
        for group in groups:
            for rule in group["rules"]:
                name = f"{group['name']}/{rule['name']}"
                if rule["evaluationTime"] and seen.get(name) != rule["lastEvaluation"]:
                    seen[name] = rule["lastEvaluation"]
                    taken[name].append(rule["evaluationTime"] * 1000)
        time.sleep(min(5.0, max(0.0, end - time.monotonic())))  # Prometheus announces no evaluation
    return taken


def measure(standing: Standing, for_s: float, settle_s: float) -> tuple[dict[str, list[float]], float, float, float]:
    """Each rule's evaluations, then over the span: rule evaluation and CPU of Prometheus in seconds, and its length."""
    url = standing.stack.prometheus_url
    time.sleep(settle_s)  # not measured: what starting costs, of which nothing tells the end
    before, begun = requests.get(f"{url}/metrics", timeout=5).text, time.monotonic()
    taken = watch(url, for_s)
    after, lasted_s = requests.get(f"{url}/metrics", timeout=5).text, time.monotonic() - begun
    return taken, counter(after, _SUM) - counter(before, _SUM), counter(after, _CPU) - counter(before, _CPU), lasted_s


@click.command(help=__doc__)
@click.option("--minutes", type=click.FloatRange(min=0.5), default=3.0, show_default=True, help="How long to look.")
@click.option("--settle", type=click.FloatRange(min=0), default=40.0, show_default=True, help="Seconds before that.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the stack's files here.")
def main(minutes: float, settle: float, out: Path | None) -> None:
    before = os.getloadavg()[0]
    with out_folder(out) as folder, standing_stack(folder, 1.0) as standing:
        load = LoadChild.start(standing.load, log=standing.log, on_event=lambda report: None)
        try:
            taken, rules_s, cpu_s, lasted_s = measure(standing, minutes * 60, settle)
        finally:
            load.stop()
    rows = [
        (name, len(each), f"{quantile(each, 0.5):.2f}", f"{quantile(each, 0.95):.2f}", f"{max(each):.2f}")
        for name, each in sorted(taken.items(), key=lambda item: -quantile(item[1], 0.5))
    ]
    show(f"evaluations in {lasted_s:.0f} real s", ("rule", "seen", "median ms", "P95 ms", "most ms"), rows)
    slowest = max(quantile(each, 0.5) for each in taken.values())
    click.echo(f"the slowest rule's median: {verdict_on(slowest, GOAL_MS, ' ms')}")
    click.echo(f"evaluation of all rules: {verdict_on(100 * rules_s / lasted_s, GOAL_PERCENT, ' % of a core')}")
    click.echo(f"Prometheus as a whole, scrapes and these looks included: {100 * cpu_s / lasted_s:.2f} % of a core")
    click.echo(f"load average before and after: {before:.1f}, {os.getloadavg()[0]:.1f}")
    click.echo(machine())


if __name__ == "__main__":
    main()
