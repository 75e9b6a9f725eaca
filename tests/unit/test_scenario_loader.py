"""A scenario is read whole: what was written, and the defaults that the format promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import BadInput, Place
from chaoskit.scenario.loader import load_scenario, load_scenario_file
from chaoskit.scenario.model import Allow, Change, Do, Expectation, FaultSpec, Inject, Notify, Undo, Wait

ERRORS = """\
chaoskit: 1
title: Nearly every agent request fails, and later hardly any
runbook: high-error-rate
tags: [api, slow]
steps:
  - inject: http.error
    as: errors
    target: {link: upstream}
    with: {status: 422, ratio: 95%}
  - wait: settled
  - change: errors
    as: normal
    with: {ratio: 4%}
  - wait: settled
expect:
  - alert: HighErrorRate
    from: errors
    until: normal
    notifies: [critical-alerts, default-receiver]
"""

LETTERS = """\
chaoskit: 1
title: Dead letters pile up, then most of them are replayed
steps:
  - inject: queue.dead-letters
    target: {queue: agent-tasks}
    with: {level: 75, replayable: true}
  - wait: {alert: DeadLetterQueueGrowing, state: notified, at_most: 20m}
  - do: queue.replay
    as: replay
    target: {queue: agent-tasks}
    with: {count: 50}
  - wait: {query: 'insa_dead_letter_queue_size < 30', at_most: 5m}
expect:
  - alert: DeadLetterQueueGrowing
    until: replay
    instances: 2
    labels: {queue: agent-tasks, tier: 010}
    resolves: false_alarm
    notifies:
      dlq-alerts: {within: 12m, not_before: 10m, notices: 1..2, contains: {subject: Growing, runbook: dead-letter}}
      critical-alerts: never
      default-receiver: promised
notices: {dlq-alerts: 1..3, total: ..10, critical-alerts: 0, default-receiver: 2..}
"""

WORKERS = """\
chaoskit: 1
title: Half of the workers die loudly, another one quietly
steps:
  - inject: process.kill
    as: two
    target: {role: worker, count: 2}
    with: {hold: true}
  - wait: 2m
  - inject: process.kill
    as: third
    target: {role: worker, share: 25%}
  - wait: settled
  - undo: [third, two]
expect:
  - alert: WorkerUnhealthy
    from: two
  - alert: MultipleWorkersDown
    from: two
    until: never
    notifies: {critical-alerts: promised, worker-alerts: {within: 3m}}
  - alert: WorkerUnhealthy
    from: third
    suppressed_by: MultipleWorkersDown
    then: delivered
    control: two
allow:
  - alert: WorkerHighQueueDepth
    because: one worker of four is left
"""


def at(line: int) -> Place:
    return Place("some/file.yml", line)


def test_errors_scenario_as_written() -> None:
    scenario = load_scenario(ERRORS, "some/file.yml")
    fault = FaultSpec("http.error", {"link": "upstream"}, {"status": 422, "ratio": "95%"}, at(6))
    assert scenario.steps == (
        Inject("errors", (fault,), at(6)),
        Wait("wait", at(10), settled=True),
        Change("normal", "errors", {"ratio": "4%"}, at(11)),
        Wait("wait-2", at(14), settled=True),
    )
    assert scenario.expect == (
        Expectation(
            alert="HighErrorRate",
            place=at(16),
            from_step="errors",
            until_step="normal",
            instances=None,
            labels={},
            notifies={"critical-alerts": Notify("promised"), "default-receiver": Notify("promised")},
        ),
    )
    assert (scenario.name, scenario.title) == ("file", "Nearly every agent request fails, and later hardly any")
    assert (scenario.runbook, scenario.tags, scenario.allow, scenario.notices) == (
        "high-error-rate", ("api", "slow"), (), {},
    )  # fmt: skip


def test_dead_letter_scenario_as_written() -> None:
    scenario = load_scenario(LETTERS, "some/file.yml")
    assert scenario.steps[1:] == (
        Wait("wait", at(7), alert="DeadLetterQueueGrowing", state="notified", at_most_vs=1200.0),
        Do("replay", "queue.replay", {"queue": "agent-tasks"}, {"count": 50}, at(8)),
        Wait("wait-2", at(12), query="insa_dead_letter_queue_size < 30", at_most_vs=300.0),
    )
    (expectation,) = scenario.expect
    assert expectation.from_step == "queue.dead-letters"
    assert (expectation.until_step, expectation.instances, expectation.resolves) == ("replay", 2, "false_alarm")
    assert expectation.labels == {"queue": "agent-tasks", "tier": "010"}
    assert expectation.notifies == {
        "dlq-alerts": Notify("bounded", 720.0, 600.0, (1, 2), {"subject": "Growing", "runbook": "dead-letter"}),
        "critical-alerts": Notify("never"),
        "default-receiver": Notify("promised"),
    }
    assert scenario.notices == {
        "dlq-alerts": (1, 3), "total": (0, 10), "critical-alerts": (0, 0), "default-receiver": (2, None),
    }  # fmt: skip


def test_workers_scenario_as_written() -> None:
    scenario = load_scenario(WORKERS, "some/file.yml")
    assert scenario.steps[1] == Wait("wait", at(8), duration_vs=120.0)
    assert scenario.steps[-1] == Undo("undo-third", ("third", "two"), at(13))
    first, second, third = scenario.expect
    assert (first.until_step, first.notifies, first.resolves, first.then) == ("end", None, True, "silent")
    assert second.until_step == "never"
    assert second.notifies == {"critical-alerts": Notify("promised"), "worker-alerts": Notify("bounded", 180.0)}
    assert (third.suppressed_by, third.then, third.control) == ("MultipleWorkersDown", "delivered", "two")
    assert scenario.allow == (Allow("WorkerHighQueueDepth", "one worker of four is left", at(27)),)


def test_faults_of_one_step_start_together() -> None:
    scenario = load_scenario(
        "chaoskit: 1\ntitle: t\nsteps:\n  - inject:\n      - {kind: db.slow, with: {by: 2s}}\n"
        "      - kind: cpu.burn\nexpect: nothing\n",
        "some/file.yml",
    )
    assert scenario.steps == (
        Inject(
            "db.slow+cpu.burn",
            (FaultSpec("db.slow", {}, {"by": "2s"}, at(5)), FaultSpec("cpu.burn", {}, {}, at(6))),
            at(4),
        ),
    )
    assert scenario.expect == ()


def test_unnamed_steps_get_names_that_nobody_chose() -> None:
    scenario = load_scenario(
        "chaoskit: 1\ntitle: t\nsteps:\n  - inject: cpu.burn\n  - inject: cpu.burn\n  - inject: cpu.burn\n"
        "    as: cpu.burn-2\n  - change: load\n    with: {rate: 5/s}\n  - do: command\n  - wait: 5m\n"
        "    as: wait-2\n  - wait: 5m\n  - wait: 5m\n  - undo: all\nexpect: nothing\n",
        "some/file.yml",
    )
    assert [step.name for step in scenario.steps] == [
        "cpu.burn", "cpu.burn-3", "cpu.burn-2", "change-load", "command", "wait-2", "wait", "wait-3", "undo-all",
    ]  # fmt: skip


def test_bounds_of_notices_alone_leave_the_promised_window_in_place() -> None:
    scenario = load_scenario(
        "chaoskit: 1\ntitle: t\nsteps: [{inject: cpu.burn}]\nexpect: [{alert: A, notifies: {r: {notices: 2}}}]\n",
        "a.yml",
    )
    assert scenario.expect[0].notifies == {"r": Notify("promised", notices=(2, 2))}


def test_a_file_gives_its_stem_as_the_name(tmp_path: Path) -> None:
    path = tmp_path / "high-errors.yml"
    path.write_text(ERRORS)
    assert load_scenario_file(path).name == "high-errors"
    assert load_scenario_file(path).place == Place(str(path), 1)


def test_every_problem_comes_at_once_in_reading_order() -> None:
    text = (
        ERRORS.replace("title:", "titel:")
        .replace("change: errors", "change: erors")
        .replace("until: normal", "until: norml")
        .replace("  - wait: settled\n  - change", "  - wait: 30\n  - change")
    )
    with pytest.raises(BadInput) as caught:
        load_scenario(text, "scenarios/errors.yml", ["scenario.tag=x"])
    assert str(caught.value).splitlines() == [
        "scenarios/errors.yml:1: a scenario needs 'title' (say in a sentence what breaks and what follows)",
        "scenarios/errors.yml:2: 'titel' is not a key of a scenario (did you mean 'title'?)",
        "scenarios/errors.yml:10: 'wait' has no unit: 30 (write 30s for seconds or 30m for minutes)",
        "scenarios/errors.yml:11: 'erors' names no step (did you mean 'errors'?)",
        "scenarios/errors.yml:18: 'until' names no step: 'norml' (did you mean 'normal'?)",
        "--set scenario.tag=x: 'tag' is not a key of a scenario (did you mean 'tags'?)",
    ]
