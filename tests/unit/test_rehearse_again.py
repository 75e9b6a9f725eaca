"""What a busy machine does to a rehearsal: what it may excuse, and what is played once more."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from chaoskit import waiting
from chaoskit.alerting.model import AlertConfig, PromisedNotice
from chaoskit.errors import BadInput, ChaoskitError, EquipmentError, ExitCode, Interrupted, Place, Problem, Refused
from chaoskit.hop import Hop
from chaoskit.host import process
from chaoskit.observe import pressure
from chaoskit.rehearse import lanes, session
from chaoskit.rehearse.derive import Subject
from chaoskit.rehearse.drill import Given
from chaoskit.rehearse.inputs import Asked
from chaoskit.rehearse.lanes import Lane
from chaoskit.rehearse.outcome import Rehearsed, RuleOutcome
from chaoskit.rehearse.output import exit_code, text_lines
from chaoskit.rehearse.perform import Performed
from chaoskit.rehearse.proof import Proven, Unproven
from chaoskit.rehearse.session import Session
from chaoskit.rehearse.written import stub_for
from chaoskit.stack.binaries import Binaries
from chaoskit.verify.verdict import Result, Row
from tests.rehearse_examples import alerts, proven
from tests.rehearse_examples import config as config

NONE = Path("/nonexistent")


class Attempts:
    """In place of stacks: attempt by attempt the result that every rule of every drill ends with."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)
        self.played: list[tuple[str, float, int]] = []

    def __call__(self, stacks: Sequence[Lane], side_by_side: int, *_: Any) -> Iterator[Performed]:
        result = self.results.pop(0)
        for lane in stacks:
            for drill in lane.drills:
                self.played.append((drill.name, drill.plan.time_scale, side_by_side))
                rows = [Row(about="nothing else", hop=Hop.FINDING, result=Result.UNKNOWN, reason="blind")]
                found = {
                    a.rule.key: RuleOutcome(a.rule, result, (f"it is {result}",), wave=drill.name)
                    for a in drill.plan.alerts
                }
                yield Performed(found, {drill.name: rows if result is Result.UNKNOWN else []})


@pytest.fixture
def rehearse(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Attempts], tuple[Rehearsed, list[str]]]:
    text = stub_for(alerts(config)[0], "m").replace("job:errors:rate5m", "errors_total").replace("FILL-IN", "'1'")

    def run(attempts: Attempts) -> tuple[Rehearsed, list[str]]:
        monkeypatch.setattr(session, "play", attempts)
        said: list[str] = []
        first = frozenset({alerts(config)[0].alert})
        asked = Asked(config, 15.0, tmp_path, False, only=first, given=(Given("one.yml", text),), side_by_side=2)
        return Session(asked, Binaries(NONE, NONE, NONE, NONE, {}), said.append).rehearse(), said

    return run


def test_what_ended_unknown_is_played_once_more_a_quarter_as_fast_and_said_so(rehearse: Any) -> None:
    attempts = Attempts(Result.UNKNOWN, Result.PASS)
    found, said = rehearse(attempts)
    assert attempts.played == [("one", 60.0, 2), ("one-again", 15.0, min(2, os.cpu_count() or 1))]
    assert [(one.result, one.attempt) for one in found.outcomes] == [(Result.PASS, 2)]
    assert not found.findings, "what only the first attempt could not know no longer counts"
    assert any("1 alert UNKNOWN: once more at 15x, at most " in line for line in said)
    assert any(line.endswith("at the second attempt") for line in text_lines(found))


@pytest.mark.parametrize(
    ("waves", "first_s", "scales"),
    [(1, 50.0, {30.0}), (2, 50.0, {30.0}), (6, 50.0, {60.0}), (4, 229.5, {40.0}), (6, 900.0, {30.0})],
)
def test_second_attempts_take_no_longer_than_the_first_or_three_minutes_if_half_as_fast_will_do(
    waves: int, first_s: float, scales: set[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: AlertConfig
) -> None:
    """They are played at 120x at first, in waves of 36 s; two stacks at a time, each of which takes 9 s to start."""

    def again(slower: float, _: int) -> list[Lane]:
        plan = SimpleNamespace(longest_real_s=36 * slower, time_scale=round(120 / slower, 1), alerts=())
        return [Lane((SimpleNamespace(name=f"{n}", plan=plan),), config) for n in range(waves)]  # type: ignore[arg-type]

    attempts, said, first = Attempts(Result.PASS), list[str](), alerts(config)[0]
    monkeypatch.setattr(session, "play", attempts)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    of = Session(Asked(config, 15.0, tmp_path, False), Binaries(NONE, NONE, NONE, NONE, {}), said.append)
    of._retry(again, first_s, Performed({first.key: RuleOutcome(first, Result.UNKNOWN)}))
    assert ({scale for _, scale, _ in attempts.played}, len(attempts.played)) == (scales, waves)
    assert said[0].startswith(f"1 alert UNKNOWN: once more at {min(scales):g}x, at most ")


def test_alerts_that_are_played_once_more_share_waves_as_at_first(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Attempts(Result.UNKNOWN, Result.PASS)
    made = [proven(rule, number, f"m{number}") for number, rule in enumerate(alerts(config))]
    monkeypatch.setattr(session, "play", attempts)
    monkeypatch.setattr(session, "prove", lambda *_: (made, []))
    monkeypatch.setattr(session, "roused", lambda *_, **__: frozenset())
    asked = Asked(replace(config, inhibit_rules=()), 15.0, tmp_path, False)
    found = Session(asked, Binaries(NONE, NONE, NONE, NONE, {}), lambda line: None).rehearse()
    waves = [name for name, *_ in attempts.played]
    assert len(waves) < 2 * len(made)
    assert [name.endswith("-again") for name in waves] == [n >= len(waves) // 2 for n in range(len(waves))]
    assert {(one.result, one.attempt) for one in found.outcomes} == {(Result.PASS, 2)}


def test_what_is_unknown_twice_stays_unknown(rehearse: Any) -> None:
    found, _ = rehearse(Attempts(Result.UNKNOWN, Result.UNKNOWN))
    assert [one.result for one in found.outcomes] == [Result.UNKNOWN]


@pytest.mark.parametrize("result", [Result.FAIL, Result.PASS])
def test_what_failed_is_never_played_again(rehearse: Any, result: Result) -> None:
    attempts = Attempts(result)
    found, _ = rehearse(attempts)
    assert len(attempts.played) == 1
    assert [one.result for one in found.outcomes] == [result]


def test_rules_that_no_given_scenario_expects_are_derived_and_counted(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is dropped without a word: those for which promtool finds no series are named with the reason."""
    text = stub_for(alerts(config)[0], "m").replace("job:errors:rate5m", "errors_total").replace("FILL-IN", "'1'")
    asked_for: list[str] = []

    def prove(subjects: Sequence[Subject], *_: object) -> tuple[list[Proven], list[Unproven]]:
        asked_for.extend(one.rule.alert for one in subjects)
        return [], [Unproven(one, "none was found") for one in subjects]

    monkeypatch.setattr(session, "play", Attempts(Result.PASS, Result.PASS))
    monkeypatch.setattr(session, "prove", prove)
    asked = Asked(config, 15.0, tmp_path, False, given=(Given("one.yml", text),))
    found = Session(asked, Binaries(NONE, NONE, NONE, NONE, {}), lambda line: None).rehearse()
    every = [rule.alert for rule in alerts(config)]
    assert [one.rule.alert for one in found.outcomes] == every
    assert asked_for == every[1:]
    assert [one.result for one in found.outcomes] == [Result.PASS, *[None] * (len(every) - 1)]
    assert list(text_lines(found))[-1].startswith(f"1 of {len(every)} alert rules rehearsed")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (("alert: Errors", "alert: NoSuchAlert"), "bad.yml:"),
        (("title:", "\ttitle:"), "bad.yml:"),
        (("inject: series", "inject: process.kill"), "bad.yml:"),
    ],
)
def test_a_given_scenario_that_cannot_be_planned_is_a_row_and_ends_none_beside_it(
    wrong: tuple[str, str], place: str, config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = stub_for(alerts(config)[0], "m").replace("job:errors:rate5m", "errors_total").replace("FILL-IN", "'1'")
    assert wrong[0] in text
    attempts = Attempts(Result.PASS, Result.PASS)
    monkeypatch.setattr(session, "play", attempts)
    monkeypatch.setattr(session, "prove", lambda subjects, *_: ([], [Unproven(one, "none") for one in subjects]))
    given = (Given("bad.yml", text.replace(*wrong)), Given("one.yml", text))
    found = Session(
        Asked(config, 15.0, tmp_path, False, given=given), Binaries(NONE, NONE, NONE, NONE, {}), lambda line: None
    ).rehearse()
    assert [name for name, *_ in attempts.played] == ["one"]
    (row,) = [each for each in found.findings if each.about == "bad.yml"]
    assert row.result is Result.UNKNOWN
    assert row.reason.startswith(f"left out: {place}")
    assert found.outcomes[0].result is Result.PASS
    assert exit_code(found) is ExitCode.USAGE
    assert any(line.startswith("UNKNOWN  bad.yml: left out: ") for line in text_lines(found))


def test_a_rule_whose_wave_cannot_be_planned_is_a_row_and_the_others_of_the_wave_are_played(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the promise names a receiver that is defined nowhere."""
    wrong = PromisedNotice("AllQueues", "gone", 0, 30, 14400, Place("promise.yml", 3))
    promise = replace(config.promise, notices={("AllQueues", "gone"): wrong})
    attempts = Attempts(Result.PASS, Result.PASS)
    monkeypatch.setattr(session, "play", attempts)

    def prove(subjects: Sequence[Subject], *_: object) -> tuple[list[Proven], list[Unproven]]:
        return [proven(one.rule, one.number, f"m{one.number}") for one in subjects], []

    monkeypatch.setattr(session, "prove", prove)
    monkeypatch.setattr(session, "roused", lambda *_, **__: frozenset())
    asked = Asked(replace(config, promise=promise), 15.0, tmp_path, True)
    found = Session(asked, Binaries(NONE, NONE, NONE, NONE, {}), lambda line: None).rehearse()
    results = {one.rule.key: one.result for one in found.outcomes}
    (bad,) = [one for one in found.outcomes if one.result is not Result.PASS]
    assert (bad.rule.alert, bad.result) == ("AllQueues", Result.UNKNOWN)
    assert "receiver 'gone' is defined nowhere" in bad.reasons[0]
    assert len(results) == len(alerts(config))
    assert exit_code(found) is ExitCode.UNKNOWN


@pytest.mark.parametrize(("percent", "promise", "scale"), [(0.5, False, 120), (0.5, True, 60), (96.1, False, 60)])
def test_a_busy_machine_and_a_promise_get_more_real_time(
    percent: float, promise: bool, scale: float, config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu"
    file.write_text(f"some avg10={percent:.2f} avg60=0.00 avg300=0.00 total=5\n", encoding="ascii")
    monkeypatch.setattr(pressure, "_FILE", file)
    said: list[str] = []
    asked = Asked(config, 15.0, tmp_path, promise, only=frozenset())
    of = Session(asked, Binaries(NONE, NONE, NONE, NONE, {}), said.append)
    of.rehearse()
    assert [of._least(rules) for rules in (5, 100, 1000)] == ([200, 150, 120] if scale == 120 else [scale] * 3)
    assert any("at most 40 alerts at once" in line for line in said) == (percent > 50)


def lanes_that_say(
    found: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: AlertConfig, say: Callable[[str], None]
) -> Iterator[Performed]:
    """Two lanes, one after the other, whose processes say that right away."""

    def performed(*_: object) -> object:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(lanes, "perform", performed)
    plan = SimpleNamespace(alerts=[SimpleNamespace(rule=config.rules[1])])
    two: Any = [Lane((SimpleNamespace(name=name, plan=plan),), config) for name in ("one", "two")]  # type: ignore[arg-type]
    return lanes.play(two, 1, tmp_path, Binaries(NONE, NONE, NONE, NONE, {}), 15.0, say)


def test_a_stack_that_waits_for_its_turn_does_not_start_once_the_rehearsal_is_over(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    playing = lanes_that_say(Performed(codes=[1]), monkeypatch, tmp_path, config, lambda _: over.set())
    assert next(playing).codes == [1]
    os.kill(os.getpid(), signal.SIGTERM)
    assert over.wait(10)
    with pytest.raises(Interrupted):
        next(playing)
    assert not (tmp_path / "from-two").exists()


def test_an_error_of_a_stack_s_process_is_told_as_it_was(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = Refused("runs are stopped on this machine")
    with pytest.raises(Refused, match=re.escape(str(error))):
        next(lanes_that_say(error, monkeypatch, tmp_path, config, print))


@pytest.mark.parametrize(
    "error", [EquipmentError("prometheus", "it ended", "see its log"), BadInput(Problem(None, "amtool refuses it"))]
)
def test_a_stack_that_does_not_come_up_leaves_its_rules_unknown_and_the_others_go_on(
    error: ChaoskitError, config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing = lanes_that_say(error, monkeypatch, tmp_path, config, print)
    (outcome,) = next(playing).outcomes.values()
    assert (outcome.result, outcome.reasons, outcome.wave) == (Result.UNKNOWN, (str(error),), "one")
    assert next(playing).outcomes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_of_a_stack_s_process_that_is_killed_or_stands_still_nobody_knows_and_the_others_go_on(
    number: signal.Signals, config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.Child.stands_still, "__defaults__", (0.2,))
    monkeypatch.setattr(lanes, "_LOOK_S", 0.05)
    playing = lanes_that_say(Performed(codes=[1]), monkeypatch, tmp_path, config, print)
    well = lanes.perform
    monkeypatch.setattr(lanes, "perform", lambda *_: os.kill(os.getpid(), number))
    found = next(playing)
    (outcome,) = found.outcomes.values()
    assert (outcome.result, outcome.wave) == (Result.UNKNOWN, "one")
    assert outcome.reasons[0].startswith("its stack's process ")
    monkeypatch.setattr(lanes, "perform", well)
    assert next(playing).codes == [1]


PARENT = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
from chaoskit.rehearse import lanes
def perform(*_):
    Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(600)
lanes.perform = perform
list(lanes.play([lanes.Lane((SimpleNamespace(name="one"),), None)], 1, Path(sys.argv[2]), None, 15.0, print))
"""


def test_a_stack_s_process_ends_with_a_rehearsal_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(told), str(tmp_path)])
    assert waiting.await_true(lambda: told.exists() and told.read_text() != "", 30)
    lane = psutil.Process(int(told.read_text()))
    parent.kill()
    parent.wait(10)
    psutil.wait_procs([lane], 10)
    assert not lane.is_running()
