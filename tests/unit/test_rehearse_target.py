"""What a rehearsal plays on: each wave finds the stack as if it were new, and its faults act on a page of series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import EquipmentError, Place
from chaoskit.events import End, Event, FaultOk, Invoke, Phase, Poll, Pressure, Scrapes, UndoOk
from chaoskit.faults.base import FaultError, Seen, Target
from chaoskit.faults.registry import known
from chaoskit.faults.series import PAGES, Scripted, Series, constant
from chaoskit.handles.address import Address
from chaoskit.history import read_history
from chaoskit.rehearse import perform as performing
from chaoskit.rehearse import target as rehearsing
from chaoskit.rehearse.drill import wave_drill
from chaoskit.rehearse.page import Page
from chaoskit.rehearse.target import RehearsalStack, Script, SeriesTarget
from chaoskit.run.held_fault import HeldHere
from chaoskit.run.planning import wrong_steps
from chaoskit.safety.run_registry import FOLDER_VARIABLE
from chaoskit.scenario.loader import load_scenario
from chaoskit.stack.binaries import Binaries
from chaoskit.verify.verdict import Result
from tests.rehearse_examples import alerts, proven
from tests.rehearse_examples import config as config

UP, QUEUE = (Scripted(name, (), constant(1), constant(0)) for name in ("up", "queue"))
URL = "http://127.0.0.1:9"
NONE = Path("/nonexistent")


class Stack:
    """Notes what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.page_url, self.prometheus_url, self.alertmanager_url = folder, URL, URL, URL
        self.done: list[object] = []
        self.page: Any = SimpleNamespace(
            rest=lambda series, every_s: self.done.append(("rest", [one.name for one in series])),
            remove=lambda series: self.done.append(("remove", [one.name for one in series])),
            start=lambda series, every_s: self.done.append(("follow", [one.name for one in series], every_s)) or 5.0,
            stop=lambda series: self.done.append(("stop", [one.name for one in series])) or 6.0,
        )

    def start(self, say: object) -> None:
        self.done.append("start")

    def load_rules(self, files: dict[str, str]) -> None:
        self.done.append(("rules", *files))

    def await_discovery(self, timeout_s: float) -> None:
        """It is there at once."""

    def missed_scrapes(self, real_s: float) -> bool:
        return True

    def remember(self, past: object, files: dict[str, str], every_s: float) -> tuple[float, float]:
        self.done.append(("remember", *files))
        return (1.0, 2.0)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr(rehearsing, "PAGES", {})
    return Stack(tmp_path)


class Waved:
    """A track, as far as a target sees it."""

    def __init__(self, config: AlertConfig) -> None:
        self.plan = SimpleNamespace(config=config, time_scale=1e6, steady_vs=0.0)
        self.said: list[object] = []
        self.say = self.said.append


def script(series: Any, records: Any, rules: Any, past: Any = (), stay: frozenset[str] = frozenset()) -> Script:
    drill: Any = SimpleNamespace(series=series, past=past, stay=stay)
    return Script(drill, records, rules)


def playing(stack: Stack, config: AlertConfig, *scripts: Script) -> tuple[SeriesTarget, list[Any]]:
    target = SeriesTarget(stack, 15.0)  # type: ignore[arg-type]
    tracks: list[Any] = [Waved(config) for _ in scripts]
    target.scripts.update(zip(tracks, scripts, strict=True))
    target.start(tracks, lambda event: None)
    return target, tracks


def begin(target: SeriesTarget, wave: Any, stack: Stack) -> None:
    never: Any = SimpleNamespace(wait=lambda seconds: False)
    target.begin([wave], lambda name: stack.done.append(("renew", name)))
    assert target.await_ready([wave], never, lambda: "") == []


def test_a_wave_finds_nothing_of_the_one_before(stack: Stack, config: AlertConfig) -> None:
    first = script([((UP,), 15.0)], {"records": ""}, {"all": ""})
    second = script([((QUEUE,), 15.0)], {"same": ""}, {"same": ""})
    target, (one, other) = playing(stack, config, first, second)
    begin(target, one, stack)
    assert stack.done == ["start", ("rules", "records"), ("rest", ["up"]), ("rules", "all")]
    stack.done.clear()
    begin(target, other, stack)
    assert stack.done == [("remove", ["up"]), ("rules", "same"), ("renew", "alertmanager"), ("rest", ["queue"])]


def test_its_history_gets_what_else_its_verdict_rests_on(stack: Stack, config: AlertConfig) -> None:
    target, (one,) = playing(stack, config, script([], {}, {}))
    begin(target, one, stack)
    target.over(one)
    scrapes, pressure = one.said
    assert isinstance(scrapes, Scrapes)
    assert scrapes.failed is True
    assert scrapes.during[0] <= scrapes.during[1]
    assert isinstance(pressure, Pressure)


def test_a_past_starts_prometheus_anew_with_all_rules_when_its_fault_begins(
    stack: Stack, config: AlertConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsing.past, "ahead_s", lambda past: 60.0)
    past: Any = (SimpleNamespace(),)
    target, (one,) = playing(stack, config, script([((UP,), 15.0)], {"r": ""}, {"all": ""}, past, frozenset({UP.key})))
    watched: list[str] = []
    target._watch_prometheus = lambda: SimpleNamespace(start=lambda: watched.append("anew"), stop=lambda: None)  # type: ignore[assignment, return-value]
    target._observers = [SimpleNamespace(stop=lambda: watched.append("ended"))]  # type: ignore[list-item]
    begin(target, one, stack)
    assert target.follow([UP], 15.0).between == (1.0, 2.0)
    assert stack.done[-2:] == [("remember", "all"), ("renew", "prometheus")]
    assert watched == ["ended", "anew"]
    target.rest([UP, QUEUE])
    assert stack.done[-1] == ("stop", ["queue"]), "the end of the others is not played"

    monkeypatch.setattr(rehearsing.past, "ahead_s", lambda past: -1.0)
    with pytest.raises(FaultError, match="real s after its past had ended"):
        target.follow([UP], 15.0)

    def broken(name: str) -> None:
        raise EquipmentError(name, "it ended")

    target._renew = broken
    with pytest.raises(FaultError, match="Prometheus did not start on its past"):
        target.follow([UP], 15.0)


# -- the kind of fault


class Shown:
    interval_s = 15.0

    def __init__(self) -> None:
        self.done: list[object] = []

    def follow(self, series: Any, interval_s: float) -> Seen:
        self.done.append(([one.key for one in series], interval_s))
        return Seen((1.0, 1.0), "followed")

    def rest(self, series: Any) -> Seen:
        self.done.append([one.key for one in series])
        return Seen((2.0, 2.0), "rested")


def test_the_kind_acts_on_the_page_at_its_address_and_is_held_by_the_run_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = Shown()
    monkeypatch.setitem(PAGES, URL, page)
    kind = known()["series"]
    assert isinstance(kind, Series)
    assert kind.in_process
    given: dict[str, Any] = {"series": [{"series": 'up{job="a"}', "values": "0", "rest": "1"}]}
    token = kind.prepare(Target("", (), Address(url=URL)), kind.settings.model_validate(given))
    held = HeldHere(kind, token)
    assert held.await_effect().detail == "followed"
    assert held.take_back().detail == "rested"
    assert page.done == [(['up{job="a"}'], 15.0), ['up{job="a"}']]
    PAGES.pop(URL)
    with pytest.raises(FaultError, match="series are shown by a rehearsal alone"):
        held.await_effect()
    assert held.take_back().detail == "it ended with the run that showed it"


def test_it_is_refused_where_no_page_could_show_it() -> None:
    text = (
        "chaoskit: 1\ntitle: t\nrunbook: r\nsteps:\n  - inject: series\n    with: {series: []}\n"
        "  - wait: 5s\nexpect: nothing\n"
    )
    (problem,) = wrong_steps(load_scenario(text, "s.yml"))
    assert problem.place == Place("s.yml", 5)
    assert "no metrics page here that could show its series" in problem.message


# -- the whole, but for the programs


class NoPrograms(RehearsalStack):
    """A rehearsal's stack of which only the page is real."""

    def start(self, on_event: Callable[[Event], None]) -> None:
        self.page = Page(self.ports.metrics, self._scale)
        PLAYED.append(self)

    def load_rules(self, files: Mapping[str, str]) -> None:
        self.loaded = [*getattr(self, "loaded", []), (sorted(files), self.page.text())]

    def restart(self, name: str) -> None:
        self.loaded.append((["renewed"], name))

    def await_discovery(self, timeout_s: float) -> None:
        """There is none to be awaited."""

    def missed_scrapes(self, real_s: float) -> bool | None:
        return None


PLAYED: list[NoPrograms] = []


def test_the_one_runner_plays_the_waves_one_after_the_other_into_histories_of_their_own(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(performing, "RehearsalStack", NoPrograms)
    monkeypatch.setattr(performing, "fitted", lambda make, programs: make(frozenset()))
    rules = alerts(config)
    drills = [
        wave_drill(name, config, [proven(rules[n], n, metric)], False, 600.0, 15.0)
        for name, n, metric in (("first", 1, "queue"), ("second", 0, "job:errors:rate5m"))
    ]
    found = performing.perform(config, drills, tmp_path / "lane", Binaries(NONE, NONE, NONE, NONE, {}), 15.0)
    assert found.codes == []
    assert found.ended == {"first": Result.UNKNOWN, "second": Result.UNKNOWN}, "no program ran"
    for drill in drills:
        history = read_history(tmp_path / "lane" / drill.name)
        (invoke,), (ok,), (undone,) = history.of(Invoke), history.of(FaultOk), history.of(UndoOk)
        assert (invoke.kind, ok.detail, undone.detail) == (
            "series",
            "1 series follow the script",
            "the series are at rest",
        )
        assert len(list(history.of(Scrapes))) == len(list(history.of(Pressure))) == 1
        assert [one.name for one in history.of(Phase)] == ["starting", "steady", "steps", "undo", "tail", "stopping"]
        assert next(history.of(End)).healed
    first, second = (read_history(tmp_path / "lane" / drill.name) for drill in drills)
    polls = [[poll.asked for poll in one.of(Poll)] for one in (first, second)]
    assert polls[0]
    assert polls[1]
    assert max(polls[0]) < min(polls[1]), "what is seen goes to the wave that plays"
    (stack,) = PLAYED
    assert [what for what, _ in stack.loaded if what == ["renewed"]] == [["renewed"]]
    assert "queue" not in stack.loaded[-1][1], "nothing is left of the wave before"
