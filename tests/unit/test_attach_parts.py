"""The parts of an attached run by themselves: the witness as events, the clock behind waits, one scenario at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit import bundle
from chaoskit.access import plain_session
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import EquipmentError
from chaoskit.events import AlertState, Equipment, Event, Notice, Poll, StepBegin, Watch
from chaoskit.gate.candidate import Candidate
from chaoskit.gate.choose import scheduled
from chaoskit.run.planning import Asked, plan_for
from chaoskit.run.progress import Progress
from chaoskit.waiting import await_true
from chaoskit.witness.client import WitnessClient, asks_for_no_token, await_answer
from chaoskit.witness.server import Settings
from tests.witness_examples import bearing, message, post, witness, witness_again

LIMIT_S = 20.0


class Heard:
    """What an observer emitted, which can be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._lock = threading.Lock()

    def take(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        with self._lock:
            return [event for event in self.events if isinstance(event, kind)]

    def await_some(self, kind: type[Any], count: int = 1) -> list[Any]:
        assert await_true(lambda: len(self.of(kind)) >= count, LIMIT_S), self.events
        return self.of(kind)


def test_a_witness_that_believes_any_process_of_its_machine_is_known() -> None:
    with witness() as server:
        assert not asks_for_no_token(server.url)
        url = server.url
    assert not asks_for_no_token(url)  # nothing answers there any more
    with witness(Settings(port=0)) as server:
        assert asks_for_no_token(f"{server.url}/")


def test_what_the_witness_hears_becomes_notices_and_watches() -> None:
    """Not what it had heard before; the notice's instant lies within what was watched."""
    heard = Heard()
    with witness() as server:
        post(server, "ops", message("BeforeTheRun"))
        observer = WitnessClient(server.url, bearing(), on_event=heard.take)
        observer.begin()
        post(server, "critical-alerts", message(worker_name="worker-1"))
        notice: Notice = heard.await_some(Notice)[0]
        observer.end()
    assert (notice.receiver, notice.integration, notice.index, notice.status) == (
        "critical-alerts",
        "witness",
        0,
        "firing",
    )
    assert [item.labels["alertname"] for item in notice.alerts] == ["WorkerUnhealthy"]
    watches: Sequence[Watch] = heard.of(Watch)
    assert {watch.sink for watch in watches} == {"witness"}
    assert watches[0].seen[0] <= notice.sent[0]
    assert notice.sent[1] <= watches[-1].seen[1]
    assert [event.state for event in heard.of(Equipment)] == ["up"]


def test_a_witness_that_was_started_again_has_a_gap() -> None:
    """Down, then up; and the watch does not claim what lay in between."""
    heard = Heard()
    with witness() as server:
        observer = WitnessClient(server.url, bearing(), on_event=heard.take)
        observer.begin()
        heard.await_some(Watch)
    with witness_again(server) as again:
        post(again, "critical-alerts")
        heard.await_some(Notice)
        observer.end()
    states = [event.state for event in heard.of(Equipment)]
    assert states[0] == states[-1] == "up"
    assert "down" in states
    assert any("started again" in event.detail for event in heard.of(Equipment))
    spans = [watch.seen for watch in heard.of(Watch)]
    assert any(later[0] > earlier[1] for earlier, later in itertools.pairwise(spans))


def test_a_witness_that_does_not_answer_is_said_with_what_to_do() -> None:
    with pytest.raises(EquipmentError, match="start it with `chaoskit witness serve`"):
        await_answer("http://127.0.0.1:9", plain_session())


@pytest.mark.parametrize("ahead_s", [-3.0, 0.0, 3.0])
def test_waits_see_an_alert_whatever_prometheuss_clock_says(ahead_s: float) -> None:
    """A Prometheus 3 s behind dates the alert before the fault; the wait for it ends all the same."""
    plan = plan_for(Asked("worker-unhealthy", "local", ConfigFiles(bundle.folder())))[0]
    progress = Progress(plan, clock=lambda: 1000.0)
    victim = plan.alerts[0].names[0]
    labels = {**plan.alerts[0].rule.labels, "alertname": "WorkerUnhealthy", "worker_name": victim}
    progress.feed(Poll(t=999.0, source="prometheus", asked=999.0, ok=True, skew=(ahead_s - 0.01, ahead_s + 0.01)))
    progress.feed(StepBegin(t=1000.0, step="kill", verb="inject"))
    progress.step_done("kill")
    progress.feed(AlertState(t=1001.1, labels=labels, state="firing", at=1001.0 + ahead_s, previous=None))
    assert progress.reached("WorkerUnhealthy", "firing")


def test_one_scenario_at_a_time_breaks_an_attached_target() -> None:
    """Whatever -j says: one stack, and a wave for each."""
    plan: Any = SimpleNamespace(attached=True, config=None)
    nothing = frozenset[str]()
    candidates = [
        Candidate(name, f"{name}.yml", plan, frozenset({name}), nothing, nothing, "", 60.0) for name in ("one", "other")
    ]
    schedule = scheduled(candidates, 4)
    assert len(schedule.stacks) == 1
    assert [[member.name for member in wave.members] for wave in schedule.stacks[0].waves] == [["one"], ["other"]]


def test_the_example_of_the_documentation_is_a_profile() -> None:
    from chaoskit.scenario.profile import load_profile

    text = (Path(__file__).parents[2] / "docs" / "attach.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    profile = load_profile(example, "staging.yml")
    assert profile.limits.share == {"workers": 0.5}
