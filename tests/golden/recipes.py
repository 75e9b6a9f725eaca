"""What each recorded run did: what was broken, what was done to it under way, and what its verdict must say.

A recipe says the rows that must come out, so that a run disturbed by a busy machine is not kept as a golden one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.drills.conftest import kill
from tests.drills.test_first_game_day import ALWAYS_FIRING, MAIL_OF_WORKER_ALERTS, WORKER_ROUTE

Act = Callable[[psutil.Process], None]

RULES, ROUTES = "prometheus_alerts.yml", "alertmanager.yml"
SCENARIO = """chaoskit: 1
title: One worker dies, is reported as unhealthy, and comes back
runbook: worker-unhealthy
steps:
  - inject: process.kill
    as: kill
    target: {role: worker, count: 1}
    with: {hold: true}
  - wait: settled
  - undo: kill
    as: recovery
  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: kill
    until: recovery
    notifies: [critical-alerts, worker-alerts]
allow:
  - alert: WorkerHighQueueDepth
    because: one worker of four is gone, and the others may fall behind for a while
"""
HEALTH = "        expr: insa_worker_health_status == 0\n"
UNDO = "  - undo: kill\n    as: recovery\n"
NOTIFIES = "    notifies: [critical-alerts, worker-alerts]\n"
SILENCED = (
    SCENARIO.replace(
        "One worker dies, is reported as unhealthy, and comes back",
        "A silence mutes a worker's alert until it is expired",
    )
    .replace(
        "steps:\n",
        "steps:\n  - inject: alertmanager.silence\n    as: silence\n    target: {equipment: alertmanager}\n"
        "    with: {matchers: alertname=WorkerUnhealthy}\n",
    )
    .replace(
        "  - wait: settled\n  - undo: kill",
        "  - wait: {alert: WorkerUnhealthy, state: suppressed}\n  - wait: 1m\n  - undo: silence\n"
        "  - wait: settled\n  - undo: kill",
    )
    .replace(NOTIFIES, f"    silenced_by: silence\n{NOTIFIES}")
)
EXPECT = SCENARIO[SCENARIO.index("expect:\n") :]
IN_FORCE = "fault kill#0 in force"

HELPER = """
      - alert: Slow
        expr: insa_worker_health_status == 0
        {more}
        labels: {{severity: warning, component: api, team: platform}}
        annotations: {{summary: the first of two}}
"""
MUTER = """
      - alert: Muter
        expr: max(changes(insa_worker_health_status[6m])) >= 2
        labels: {severity: warning, component: api, team: platform}
        annotations: {summary: mutes what has just ended}
"""
MUTES = """
  - source_matchers:
      - 'alertname="Muter"'
    target_matchers:
      - 'alertname="WorkerUnhealthy"'
"""
TWO_AND_A_THIRD = """chaoskit: 1
title: Two workers die and are reported; the third dies quietly under MultipleWorkersDown
runbook: multiple-workers-down
steps:
  - inject: process.kill
    as: first-two
    target: {role: worker, count: 2}
    with: {hold: true}
  - wait: {alert: MultipleWorkersDown, state: notified}
  - inject: process.kill
    as: third
    target: {role: worker, count: 1}
    with: {hold: true}
  - wait: settled
  - undo: third
  - wait: 2m
  - undo: first-two
expect:
  - alert: WorkerUnhealthy
    from: first-two
    notifies: {critical-alerts: {within: 4m}, worker-alerts: promised}
  - alert: MultipleWorkersDown
    from: first-two
    notifies: {critical-alerts: promised, worker-alerts: promised}
  - alert: WorkerUnhealthy
    from: third
    suppressed_by: MultipleWorkersDown
    control: first-two
allow:
  - alert: WorkerHighQueueDepth
    because: one worker of four is left to take tasks
"""
QUIET = """chaoskit: 1
title: Nothing is broken, and nothing is heard
runbook: none
steps:
  - wait: 5m
expect: nothing
"""


@dataclass(frozen=True)
class Row:
    """A row that the verdict must have; `to` and `words` are parts of what it says."""

    hop: str
    result: str
    to: str = ""
    words: str = ""


@dataclass(frozen=True)
class Recipe:
    """One run: changes are (file, old text, new text) in a copy of the shipped configuration."""

    rows: tuple[Row, ...]
    changes: tuple[tuple[str, str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    """(file, text at its end)."""
    scenario: str = SCENARIO
    settings: tuple[str, ...] = ()
    when: str = ""
    do: Act | None = None
    killed: bool = False
    """The run itself is killed, so it leaves a history that breaks off."""
    never: tuple[str, ...] = ()
    """Results that no row may have."""


def changed(text: str, old: str, new: str) -> str:
    """The text with a part of it replaced; the part must be there."""
    assert old in text, f"{old!r} is gone from what the recipe changes"
    return text.replace(old, new, 1)


def sends(number: signal.Signals) -> Act:
    """Sends a signal to the run itself."""
    return lambda run: run.send_signal(number)


def freezes(word: str, real_s: float) -> Act:
    """Stops, for so long, the run (no word) or the descendant of it whose command line has the word."""

    def freeze(run: psutil.Process) -> None:
        found = [c for c in run.children(recursive=True) if word in " ".join(c.cmdline())] if word else [run]
        found[0].suspend()
        threading.Timer(real_s, found[0].resume).start()

    return freeze


def lets_go(word: str) -> Act:
    """Lets a stopped descendant run again, behind the back of the fault that holds it."""

    def resume(run: psutil.Process) -> None:
        held = [c for c in run.children(recursive=True) if c.status() == psutil.STATUS_STOPPED]
        assert held, f"no {word} is stopped"
        held[0].resume()

    return resume


def rule(new: str, *more: tuple[str, str, str]) -> tuple[tuple[str, str, str], ...]:
    """WorkerUnhealthy with another expression."""
    return ((RULES, HEALTH, f"        expr: {new}\n"), *more)


def _silent_mail() -> str:
    return MAIL_OF_WORKER_ALERTS.replace("send_resolved: true", "send_resolved: false")


def _empty_mail() -> str:
    return MAIL_OF_WORKER_ALERTS.replace('template "insa.html" .', '""').replace('template "insa.text" .', '""')


HEALTH_IS_0 = "insa_worker_health_status == 0"
LATCHED = f"{HEALTH_IS_0} or insa_worker_restarts_total > 0"
SLOW = 'ALERTS{alertname="Slow",alertstate="firing"}'
ALLOW_SLOW = SCENARIO + "  - alert: Slow\n    because: the other one waits for it\n"
ALLOW_MUTER = SCENARIO + "  - alert: Muter\n    because: it mutes the other one\n"

RECIPES: dict[str, Recipe] = {
    # Every promise kept.
    "kept": Recipe(
        (Row("finding", "PASS"), Row("notify", "PASS", "worker-alerts"), Row("all-clear", "PASS", "critical-alerts")),
        never=("FAIL", "UNKNOWN"),
    ),
    "suppressed": Recipe((Row("suppressed", "PASS"),), scenario=TWO_AND_A_THIRD, never=("FAIL", "UNKNOWN")),
    "quiet": Recipe((Row("finding", "PASS"),), scenario=QUIET, never=("FAIL", "UNKNOWN")),
    "latched": Recipe(
        (Row("clear", "PASS"), Row("notify", "PASS")),
        rule(LATCHED),
        scenario=changed(SCENARIO, "until: recovery", "until: never"),
        never=("FAIL", "UNKNOWN"),
    ),
    # Each hop late, early, never.
    "detected-late": Recipe(
        (Row("detect", "FAIL", words="too late"), Row("hold", "PASS")),
        rule(f"{HEALTH_IS_0} and on (worker_name) {SLOW}"),
        ((RULES, HELPER.format(more="for: 2m")),),
        changed(ALLOW_SLOW, UNDO, f"  - wait: 5m\n{UNDO}"),
    ),
    "never-detected": Recipe((Row("detect", "FAIL", words="never became pending"),), rule("insa_worker_wellness == 0")),
    "held-too-long": Recipe(
        (Row("hold", "FAIL", words="too late"),), ((RULES, "        for: 1m\n", "        for: 5m\n"),)
    ),
    "held-too-short": Recipe((Row("hold", "FAIL", words="too early"),), ((RULES, "        for: 1m\n", ""),)),
    "never-held": Recipe(
        (Row("detect", "PASS"), Row("hold", "FAIL", words="never fired")),
        rule(f"{HEALTH_IS_0} and changes(insa_worker_health_status[30s]) > 0"),
    ),
    "notified-late": Recipe(
        (Row("notify", "FAIL", "critical-alerts", "too late"), Row("notify", "PASS", "worker-alerts")),
        ((ROUTES, "group_wait: 10s", "group_wait: 90s"),),
    ),
    "notified-early": Recipe(
        (Row("notify", "FAIL", "worker-alerts", "too early"), Row("notify", "PASS", "critical-alerts")),
        ((ROUTES, WORKER_ROUTE, WORKER_ROUTE.replace("group_wait: 30s", "group_wait: 5s")),),
    ),
    "never-notified": Recipe(
        (Row("notify", "FAIL", "worker-alerts", "never notified"),), ((ROUTES, WORKER_ROUTE, ""),)
    ),
    "cleared-late": Recipe(
        (Row("clear", "FAIL", words="too late"),),
        rule(f"{HEALTH_IS_0} or max by (instance, job, worker_name) ({SLOW})"),
        ((RULES, HELPER.format(more="keep_firing_for: 3m")),),
        ALLOW_SLOW,
    ),
    "cleared-early": Recipe(
        (Row("clear", "FAIL", words="too early"), Row("notify", "PASS")),
        rule(f"{HEALTH_IS_0} and changes(insa_worker_health_status[3m]) > 0"),
        scenario=changed(SCENARIO, UNDO, f"  - wait: 3m\n{UNDO}"),
    ),
    "never-cleared": Recipe((Row("clear", "FAIL", words="never resolved"),), rule(LATCHED)),
    "all-clear-late": Recipe(
        (Row("all-clear", "FAIL", "critical-alerts", "too late"), Row("clear", "PASS")),
        add=((RULES, MUTER),),
        changes=((ROUTES, "inhibit_rules:\n", f"inhibit_rules:{MUTES}\n"),),
        scenario=ALLOW_MUTER,
    ),
    "never-all-clear": Recipe(
        (Row("all-clear", "FAIL", "worker-alerts", "never heard the all-clear"),),
        ((ROUTES, MAIL_OF_WORKER_ALERTS, _silent_mail()),),
    ),
    # What was said, and to whom.
    "mail-empty": Recipe(
        (Row("content", "FAIL", "worker-alerts", "body is empty"), Row("notify", "PASS", "worker-alerts")),
        ((ROUTES, MAIL_OF_WORKER_ALERTS, _empty_mail()),),
    ),
    "told-though-never": Recipe(
        (Row("notify", "FAIL", "critical-alerts", "the scenario says never"),),
        scenario=changed(SCENARIO, NOTIFIES, "    notifies: {critical-alerts: never, worker-alerts: promised}\n"),
    ),
    "told-to-others": Recipe(
        (Row("finding", "FAIL", words="promised to other receivers only"),),
        scenario=changed(SCENARIO, NOTIFIES, "    notifies: [worker-alerts]\n"),
    ),
    "too-many-notices": Recipe(
        (Row("finding", "FAIL", words="the scenario says 0..2"),), scenario=f"{SCENARIO}notices: {{total: ..2}}\n"
    ),
    "stray-alert": Recipe(
        (Row("finding", "FAIL", words="neither expects nor allows"), Row("hold", "PASS")),
        add=((RULES, ALWAYS_FIRING.format(condition="on() (count(insa_worker_health_status == 0))")),),
    ),
    "not-quiet": Recipe(
        (Row("finding", "FAIL", words="neither expects nor allows"),),
        scenario=changed(SCENARIO, EXPECT, "expect: nothing\n").replace("wait: settled", "wait: 2m"),
    ),
    "silenced": Recipe(
        (Row("suppressed", "PASS"), Row("after-silence", "PASS", "worker-alerts")),
        scenario=SILENCED,
        never=("FAIL", "UNKNOWN"),
    ),
    "not-suppressed": Recipe(
        (Row("suppressed", "FAIL", words="should mute it"),),
        ((ROUTES, 'alertname="MultipleWorkersDown"\'\n    target', 'alertname="Nobody"\'\n    target'),),
        scenario=TWO_AND_A_THIRD,
    ),
    # Nobody can know.
    "already-firing": Recipe(
        (Row("steady", "UNKNOWN", words="Stray is firing"),), add=((RULES, ALWAYS_FIRING.format(condition="1")),)
    ),
    "prometheus-died": Recipe(
        (Row("finding", "UNKNOWN", words="prometheus"),),
        when=IN_FORCE,
        do=kill("/stack/prometheus.yml"),
        never=("FAIL",),
    ),
    "alertmanager-died": Recipe(
        (Row("notify", "UNKNOWN", words="alertmanager was down"), Row("hold", "PASS")),
        when=IN_FORCE,
        do=kill("/stack/alertmanager.yml"),
        never=("FAIL",),
    ),
    "mailbox-died": Recipe(
        (Row("notify", "UNKNOWN", "email", "mail-sink"), Row("notify", "PASS", "webhook")),
        when=IN_FORCE,
        do=kill("chaoskit.observe.mail_sink"),
        never=("FAIL",),
    ),
    "webhook-died": Recipe(
        (Row("notify", "UNKNOWN", "webhook", "webhook-sink"), Row("notify", "PASS", "email")),
        when=IN_FORCE,
        do=kill("chaoskit.observe.webhook_sink"),
        never=("FAIL",),
    ),
    "load-died": Recipe(
        (Row("load", "UNKNOWN", words="the load generator died"), Row("hold", "PASS")),
        when=IN_FORCE,
        do=kill("chaoskit.load.child"),
        never=("FAIL",),
    ),
    "fault-lapsed": Recipe(
        (Row("effect", "UNKNOWN", words="lapsed"),), when=IN_FORCE, do=lets_go("worker"), never=("FAIL",)
    ),
    "never-reached": Recipe(
        (Row("effect", "UNKNOWN", words="was not firing"),),
        scenario=changed(SCENARIO, "wait: settled", "wait: {alert: MultipleWorkersDown, state: firing, at_most: 1m}"),
    ),
    "interrupted": Recipe(
        (Row("end", "UNKNOWN", words="SIGINT"),), when=IN_FORCE, do=sends(signal.SIGINT), never=("FAIL",)
    ),
    "run-killed": Recipe(
        (Row("end", "UNKNOWN", words="breaks off"),),
        when="pending [",
        do=sends(signal.SIGKILL),
        killed=True,
        never=("FAIL",),
    ),
    # The observer's own trouble is never the alerts' failure.
    "observer-frozen": Recipe((Row("effect", "PASS"),), when="firing [", do=freezes("", 2.0), never=("FAIL",)),
    "mailbox-frozen": Recipe(
        (Row("notify", "UNKNOWN", "email"),), when="firing [", do=freezes("observe.mail_sink", 3.0), never=("FAIL",)
    ),
    "prometheus-frozen": Recipe(
        (Row("hold", "UNKNOWN"),), when="pending [", do=freezes("/stack/prometheus.yml", 2.0), never=("FAIL",)
    ),
    "alertmanager-frozen": Recipe(
        (Row("notify", "UNKNOWN"),), when="firing [", do=freezes("/stack/alertmanager.yml", 3.0), never=("FAIL",)
    ),
}
