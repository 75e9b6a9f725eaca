"""How regularly a run looks at Prometheus and Alertmanager while load has the machine: gaps beyond the poll period.

The observers share a process with the journal and the readers of load and sinks, as in a run. Each look's instant is
taken where the look begins (the journal merges looks, so it cannot tell). Two loads: that of the profile, and a full
one, in which users ask again at once, so that generator and target take whatever the cores give.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
import psutil

from benchmarks.shared import Unusable, machine, out_folder, quantile, show, verdict_on
from benchmarks.standing import Standing, standing_stack
from chaoskit.events import Poll
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow
from chaoskit.load.model import LoadSpec
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.poller import Poller
from chaoskit.observe.prometheus import PrometheusObserver

GOAL_MS = 50.0
_SETTLE_S = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One look: when it began and how long it took (real seconds), and whether its answer was whole."""

    begun: float
    took_s: float
    ok: bool


def beyond_ms(looks: Sequence[Look], period_s: float) -> list[float]:
    """By how much the distance of two successive looks exceeded the period, in ms; 0 where it did not."""
    instants = [look.begun for look in looks]
    return [max(0.0, (later - earlier - period_s) * 1000) for earlier, later in itertools.pairwise(instants)]


@contextmanager
def recorded() -> Iterator[dict[str, list[Look]]]:
    """Inside the block every look of every poller is kept, by source."""
    looks: dict[str, list[Look]] = defaultdict(list)
    original: Callable[[Poller], Poll] = Poller.look_once

    @functools.wraps(original)
    def look_once(self: Poller) -> Poll:
        begun = time.monotonic()
        poll = original(self)
        looks[poll.source].append(Look(begun, time.monotonic() - begun, poll.ok))
        return poll

    Poller.look_once = look_once  # type: ignore[method-assign]
    try:
        yield looks
    finally:
        Poller.look_once = original  # type: ignore[method-assign, assignment]


def period_s(standing: Standing) -> float:
    """As a run chooses it: twice an evaluation, between 0.1 and 1 real s."""
    return min(1.0, max(0.1, standing.plan.config.evaluation_interval_s / standing.plan.time_scale / 2))


def measure(standing: Standing, spec: LoadSpec, seconds: float) -> tuple[dict[str, list[Look]], LoadTotals, float]:
    """Looks under this load, what the load came to, and the machine's CPU in use (0 to 1)."""
    windows: list[LoadWindow] = []

    def loaded(report: LoadState | LoadWindow | LoadTotals) -> None:
        if isinstance(report, LoadWindow):
            windows.append(report)
            standing.journal.write(report.event())

    load = LoadChild.start(spec, log=standing.log, on_event=loaded)
    try:
        if not load.flows(20.0):
            raise Unusable("no request was answered within 20 s")
        time.sleep(_SETTLE_S)  # not measured: connections and caches, which announce nothing
        psutil.cpu_percent()
        with recorded() as looks:
            every_s = period_s(standing)
            observers: list[PrometheusObserver | AlertmanagerObserver] = [
                PrometheusObserver(standing.stack.prometheus_url, every_s=every_s, on_event=standing.keep),
                AlertmanagerObserver(standing.stack.alertmanager_url, every_s=every_s, on_event=standing.keep),
            ]
            for observer in observers:
                observer.start()
            time.sleep(seconds)  # the span that is measured
            for observer in observers:
                observer.stop()
        busy = psutil.cpu_percent() / 100
    finally:
        totals = load.stop()
    return dict(looks), totals, busy


@click.command(help=__doc__)
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Under each load.")
@click.option("--users", type=click.IntRange(min=1), default=50, show_default=True, help="Of the full load.")
@click.option("--scale", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Virtual seconds a second")
def main(seconds: float, users: int, scale: float) -> None:
    rows = []
    worst_ms = 0.0
    with out_folder(None) as folder, standing_stack(folder, scale) as standing:
        every_s = period_s(standing)
        full = dataclasses.replace(standing.load, rate=None, users=users, think_s=0.0)
        for name, spec in ((f"{standing.load.rate:g}/s", standing.load), (f"{users} users, no pauses", full)):
            looks, totals, busy = measure(standing, spec, seconds)
            span_s = totals.span[1] - totals.span[0]
            for source, found in sorted(looks.items()):
                gaps = beyond_ms(found, every_s)
                p99 = quantile(gaps, 0.99)
                worst_ms = max(worst_ms, p99)
                rows.append(
                    (
                        f"{name}: {source}", len(found), sum(not look.ok for look in found),
                        f"{totals.finished / span_s:.0f}/s", f"{busy:.0%}",
                        f"{quantile([look.took_s * 1000 for look in found], 0.5):.1f}",
                        f"{quantile(gaps, 0.5):.1f}", f"{p99:.1f}", f"{max(gaps):.1f}",
                    )
                )  # fmt: skip
    show(
        f"Gaps between looks beyond the period of {every_s * 1000:g} ms, at {scale:g}x, {seconds:g} s under each load",
        ("load: observer", "looks", "failed", "load", "CPU used", "look P50 ms", "P50 ms", "P99 ms", "longest ms"),
        rows,
    )
    click.echo(f"worst P99 of a gap beyond the period: {verdict_on(worst_ms, GOAL_MS, ' ms')}")
    click.echo(machine())


if __name__ == "__main__":
    main()
