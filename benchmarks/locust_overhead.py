"""What chaoskit adds to Locust: CPU of the generator per request, beside the same requests from the `locust` command.

Pairs of runs, in turns the one and the other first, against the same CRM with the same stack running beside both (or,
with --cheap, against a server that costs nothing), in the closed model: users who await their answer and pause. The
plain locustfile is written from the very requests that chaoskit sends; --own has chaoskit run that very file. CPU is
the kernel's count for the generating process (user and system) after the users have started. Beside that: what a
request costs in the open model, which plain Locust does not have, and how many it can send. On a busy machine that
ceiling is what the neighbours leave; what a whole core could make follows from the CPU of a request.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks.cheap_server import serving
from benchmarks.shared import Unusable, environment, machine, out_folder, quantile, show, verdict_on
from benchmarks.standing import load_of_a_run, standing_stack
from chaoskit import waiting
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow
from chaoskit.load.model import LoadSpec, RequestSpec

GOAL = 1.05
CEILING = 4000
WARM_S = 3.0
"""Users are started and connect in this time; it is not counted."""
_CEILING_RATES = (1000, 2000, 3000, 4000, 5000, 6000, 7000)
_CEILING_S = 5.0
_SENT_SHARE = 0.97
_LATE_MS = 100.0
_LIMIT_S = 60.0
_MOST_FAILED = 0.01
"""A failed request costs something else than an answered one, so more of them spoil a comparison."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a generator used for so many requests, and how long it was watched."""

    cpu_s: float
    requests: int
    span_s: float
    failed: int = 0

    @property
    def us(self) -> float:
        """CPU microseconds per request."""
        return self.cpu_s / self.requests * 1e6

    def sound(self) -> Cost:
        """Itself; raises Unusable when there were no requests, or too many of them failed."""
        if not self.requests:
            raise Unusable("no request finished after the start; take more --seconds")
        if self.failed > _MOST_FAILED * self.requests:
            raise Unusable(
                f"{self.failed} of {self.requests} requests failed, so their cost says nothing; see the target"
            )
        return self


def plain_locustfile(spec: LoadSpec) -> str:
    """What a person would write to send the requests of a closed load with Locust alone, and two lines that count."""
    low, high = 0.5 * spec.think_s, 1.5 * spec.think_s
    tasks = [_task(number, name, spec.requests[name], spec.mix[name]) for number, name in enumerate(spec.mix)]
    return _HEAD.format(low=low, high=high) + "\n".join(tasks) + _COUNT.format(warm_s=WARM_S)


_HEAD = """import itertools
import json
import time

import gevent
from locust import FastHttpUser, between, events, task


class Plain(FastHttpUser):
    wait_time = between({low!r}, {high!r})
"""

_COUNT = """

@events.test_start.add_listener
def begin(environment, **_):
    def mark():
        total = environment.stats.total
        environment.begun = (time.process_time(), total.num_requests, time.perf_counter(), total.num_failures)

    gevent.spawn_later({warm_s!r}, mark)


@events.test_stop.add_listener
def end(environment, **_):
    cpu_s, requests, at, failed = environment.begun
    total = environment.stats.total
    print("counted", json.dumps([
        time.process_time() - cpu_s,
        total.num_requests - requests,
        time.perf_counter() - at,
        total.num_failures - failed,
    ]), flush=True)
"""


def _task(number: int, name: str, request: RequestSpec, weight: int) -> str:
    body = "" if request.json is None else f", json={_literal(request.json)}"
    lines = [
        f"    counter_{number} = itertools.count()",
        "",
        f"    @task({weight})",
        f"    def request_{number}(self):",
        f"        n = next(self.counter_{number})",
        f"        self.client.request({request.method!r}, {_literal(request.path)}{body}, name={name!r})",
    ]
    if "{n" not in f"{request.path}{request.json}":
        lines = [line for line in lines if "counter_" not in line]
    return "\n".join(lines) + "\n"


def _literal(value: object) -> str:
    """Python source of a value whose strings may hold `{n}` or `{n%50}`."""
    if isinstance(value, str):
        return ("f" if "{n" in value else "") + repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)


def written(spec: LoadSpec, folder: Path) -> Path:
    """The plain locustfile, in this folder."""
    file = folder / "plain_locustfile.py"
    file.write_text(plain_locustfile(spec))
    return file


def under_locust(spec: LoadSpec, seconds: float, folder: Path) -> Cost:
    """Plain Locust, as its own command runs it; raises Unusable when it told no counts."""
    file = written(spec, folder)
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--only-summary", "-H", spec.host]
    command += ["-u", str(spec.users), "-r", str(spec.users), "-t", f"{seconds + WARM_S:g}s"]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + _LIMIT_S, env=environment(), check=False
    )
    return told(run.stdout, run.stderr)


def told(output: str, log: str) -> Cost:
    """The counts in what the plain locustfile printed."""
    for line in output.splitlines():
        if line.startswith("counted "):
            cpu_s, requests, span_s, failed = json.loads(line.partition(" ")[2])
            return Cost(cpu_s, requests, span_s, failed).sound()
    raise Unusable("plain Locust counted no requests; the end of its log:\n" + "\n".join(log.splitlines()[-8:]))


def under_chaoskit(spec: LoadSpec, seconds: float, log: Path) -> tuple[Cost, list[LoadWindow]]:
    """chaoskit's load child, for as long; with the windows that were counted."""
    windows: list[LoadWindow] = []

    def heard(report: LoadState | LoadWindow | LoadTotals) -> None:
        if isinstance(report, LoadWindow):
            windows.append(report)

    load = LoadChild.start(spec, log=log, on_event=heard)
    try:
        load.flows(20.0)
        _wait(load, seconds + WARM_S)
    finally:
        totals = load.stop()
    if not totals.reconciled:
        raise Unusable(f"the load did not come to its end: {totals.detail}")
    return counted(windows), whole(windows)


def whole(windows: Sequence[LoadWindow]) -> list[LoadWindow]:
    """The windows after the users have started, without the last one, in which the load ended."""
    first_s = windows[0].second[0] if windows else 0.0
    return [w for w in windows[:-1] if w.second[0] >= first_s + WARM_S]


def counted(windows: Sequence[LoadWindow]) -> Cost:
    """The cost of these windows; raises Unusable as `Cost.sound` does."""
    kept = whole(windows)
    span_s = kept[-1].second[1] - kept[0].second[0] if kept else 0.0
    requests, failed = sum(w.finished for w in kept), sum(w.failed for w in kept)
    return Cost(sum(w.cpu_s for w in kept), requests, span_s, failed).sound()


def _wait(load: LoadChild, seconds: float) -> None:
    if waiting.await_true(lambda: not load.alive, seconds, 0.1):
        raise Unusable("the load died under way")


@click.command(help=__doc__)
@click.option("--pairs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=5), default=20.0, show_default=True, help="Counted, of each run.")
@click.option("--users", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--think", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Mean pause, seconds.")
@click.option("--cheap", is_flag=True, help="Send the pairs to a server that costs nothing, without a stack beside.")
@click.option("--own", is_flag=True, help="Have chaoskit run the plain locustfile, too, instead of its own mix.")
@click.option("--ceiling/--no-ceiling", default=True, show_default=True, help="Also find the open model's ceiling.")
def main(pairs: int, seconds: float, users: int, think: float, cheap: bool, own: bool, ceiling: bool) -> None:
    plain: list[Cost] = []
    ours: list[Cost] = []
    with ExitStack() as held:
        folder = held.enter_context(out_folder(None))
        log = folder / "load.log"
        if cheap:
            load = load_of_a_run(held.enter_context(serving()))
        else:
            load = held.enter_context(standing_stack(folder, 60.0)).load
        closed = dataclasses.replace(load, rate=None, users=users, think_s=think)
        as_ours = closed
        if own:
            as_ours = LoadSpec(host=closed.host, users=users, locustfile=str(written(closed, folder)))
        for number in range(pairs):
            if number % 2:
                ours.append(under_chaoskit(as_ours, seconds, log)[0])
            plain.append(under_locust(closed, seconds, folder))
            if not number % 2:
                ours.append(under_chaoskit(as_ours, seconds, log)[0])
            click.echo(
                f"pair {number + 1:2} of {pairs}: plain {plain[-1].us:.1f} us a request, "
                f"chaoskit {ours[-1].us:.1f}, ratio {ours[-1].us / plain[-1].us:.3f}, {_busy()}"
            )
        rate = round(median(cost.requests / cost.span_s for cost in ours))
        opened = dataclasses.replace(closed, users=None, rate=float(rate))
        open_cost = under_chaoskit(opened, seconds, log)[0]
    _show_costs(plain, ours, open_cost)
    ratios = [our.us / their.us for our, their in zip(ours, plain, strict=True)]
    if ceiling:
        _show_ceiling(closed)
    spread = f"quartiles {quantile(ratios, 0.25):.3f} to {quantile(ratios, 0.75):.3f}"
    click.echo(
        f"CPU per request over plain Locust's, median of {pairs} pairs: {verdict_on(median(ratios), GOAL)}; {spread}"
    )
    click.echo(machine())


def _show_costs(plain: list[Cost], ours: list[Cost], open_cost: Cost) -> None:
    rows = []
    for name, costs in (("plain Locust, closed", plain), ("chaoskit, closed", ours), ("chaoskit, open", [open_cost])):
        rows.append(
            (
                name, len(costs), f"{median(c.us for c in costs):.1f}",
                f"{min(c.us for c in costs):.1f}-{max(c.us for c in costs):.1f}",
                f"{median(c.requests / c.span_s for c in costs):.0f}/s", sum(c.failed for c in costs),
            )
        )  # fmt: skip
    show("Generator's CPU per request", ("", "runs", "us, median", "us, range", "rate", "failed"), rows)


def _show_ceiling(closed: LoadSpec) -> None:
    """Rising rates against a server that costs next to nothing, until the generator falls behind at two in a row."""
    rows = []
    highest = cheapest = 0.0
    with out_folder(None) as folder, serving() as host:
        for rate in _CEILING_RATES:
            spec = dataclasses.replace(closed, host=host, users=None, rate=float(rate))
            cost, windows = under_chaoskit(spec, _CEILING_S, folder / "load.log")
            late_ms = median(w.lag_ms for w in windows)
            sent = cost.requests / cost.span_s
            kept = sent >= _SENT_SHARE * rate and late_ms <= _LATE_MS and not sum(w.dropped for w in windows)
            highest, cheapest = max(highest, sent if kept else 0.0), max(cheapest, 1e6 / cost.us)
            rows.append(
                (
                    f"{rate}/s", f"{sent:.0f}/s", f"{cost.us:.1f}", f"{cost.cpu_s / cost.span_s:.0%}",
                    f"{late_ms:.1f}", "yes" if kept else "no",
                )
            )  # fmt: skip
            if [row[-1] for row in rows[-2:]] == ["no", "no"]:
                break
    heads = ("asked", "answered", "us a request", "of a core", "latest in a second, ms", "kept up")
    show("Open model against a cheap server, one process", heads, rows)
    click.echo(
        f"ceiling of the open model: {highest:.0f} requests/s (goal: at least {CEILING}, "
        f"{'met' if highest >= CEILING else 'NOT met'}; {_busy()}); "
        f"by the CPU of a request a whole core makes {cheapest:.0f}/s\n"
    )


def _busy() -> str:
    return f"load average {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
