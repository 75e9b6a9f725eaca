"""The local stack of a run, standing by itself, so that something can be measured beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.crm.physics import REQUESTS
from chaoskit.events import Event
from chaoskit.fold import Fold
from chaoskit.load.model import LoadSpec
from chaoskit.plan.model import Plan
from chaoskit.run.journal import Journal
from chaoskit.run.metrics import RunMetrics
from chaoskit.run.planning import Asked, plan_for
from chaoskit.run.prepare import prepare
from chaoskit.run.traffic import load_spec
from chaoskit.stack.local import LocalStack
from chaoskit.stack.monitoring import await_discovery


@dataclass(frozen=True, slots=True)
class Standing:
    """A stack that scrapes, evaluates and may notify; `load` is what a run of this plan would put on it."""

    plan: Plan
    stack: LocalStack
    journal: Journal
    load: LoadSpec

    @property
    def log(self) -> Path:
        """Where load generators may complain."""
        return self.stack.folder / "logs" / "load.log"

    def keep(self, event: Event) -> None:
        """Into the journal, as in a run."""
        self.journal.write(event)


@contextmanager
def standing_stack(folder: Path, scale: float) -> Iterator[Standing]:
    """Everything but load and observers of a run, until the block ends. From the main thread only."""
    prepared = prepare([_asked(scale)], lambda plan: folder)
    run = prepared.runs[0]
    fold = Fold()
    metrics = RunMetrics(prepared.stack.metrics_port, [fold])
    journal = Journal(folder / "events.jsonl", fold.take)
    journal.write(run.header)

    def keep(event: Event) -> None:
        journal.write(event)

    try:
        # The sinks' events go where those of a run go, so that what is measured includes writing them.
        prepared.stack.start(keep)
        try:
            await_discovery(prepared.stack.prometheus_url)
            spec = load_spec(run.plan, prepared.stack.target_url, prepared.stack.requests)
            yield Standing(run.plan, prepared.stack, journal, spec)
        finally:
            prepared.stack.stop()
    finally:
        journal.close()
        metrics.close()


def load_of_a_run(host: str) -> LoadSpec:
    """The load that a run puts on the practice CRM, on a server there; nothing is started."""
    plan, *_ = plan_for(_asked(60.0))
    return load_spec(plan, host, REQUESTS)


def _asked(scale: float) -> Asked:
    longer = () if scale >= 60 else ("limits.fault=3h", "limits.run=4h")
    return Asked("worker-unhealthy", "local", ConfigFiles(bundle.folder()), longer, time_scale=scale)
