"""Which notices are counted: those of a scenario's own alerts, and none that tells of other scenarios' on its stack."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import msgspec
import pytest

from chaoskit.events import AlertState, Notice, NoticedAlert, Phase, Watch
from chaoskit.history import History
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import verify
from chaoskit.verify.volume import by_kind
from tests.golden.doctored import mapped, recorded, results, with_events


def beside_of(history: History, beside: list[str]) -> History:
    """The same with these alerts expected by other scenarios on its stack."""
    header = msgspec.structs.replace(history.header, beside=beside)
    return replace(with_events(history, [header, *history.events[1:]]), header=header)


def exactly_six(beside: list[str]) -> History:
    """The scenario says `total: 6..6`, and there are six notices; other scenarios on its stack expect these alerts."""
    history = recorded("too-many-notices")
    sources = {k: v.replace("total: ..2", "total: 6..6") for k, v in history.header.sources.items()}
    header = msgspec.structs.replace(history.header, sources=sources)
    return beside_of(replace(history, header=header), beside)


@pytest.mark.parametrize(
    ("beside", "note"), [([], "notices: 8 in all, .* for 2 alerts"), (["Stray"], "notices: 6 in all, .* for 1 alert ")]
)
def test_the_volume_leaves_out_what_other_scenarios_on_the_stack_expect(beside: list[str], note: str) -> None:
    """Two notices of Stray beside six of the scenario's own alert."""
    notes = verify(beside_of(recorded("stray-alert"), beside)).notes
    assert any(re.match(note, one) for one in notes), notes


@pytest.mark.parametrize(("beside", "told"), [([], {Result.FAIL}), (["DiskSpaceLow"], {Result.PASS})])
def test_notices_of_a_scenario_beside_are_not_counted_and_those_of_nobody_are(
    beside: list[str], told: set[Result]
) -> None:
    six = exactly_six(beside)
    one = next(six.of(Notice))
    labels = {"alertname": "DiskSpaceLow", "severity": "warning"}
    stray = msgspec.structs.replace(one, alerts=[msgspec.structs.replace(one.alerts[0], labels=labels)])
    seven = with_events(six, [new for e in six.events for new in ([e, stray] if e is one else [e])])
    assert {row.result for row in verify(seven).rows if row.about == "notices total"} == told


def test_notices_of_its_own_alerts_are_counted_though_another_scenario_expects_them() -> None:
    own = sorted({item.labels["alertname"] for notice in exactly_six([]).of(Notice) for item in notice.alerts})
    assert verify(exactly_six(own)).result is Result.PASS


def test_too_few_notices_while_a_sink_was_blind_is_unknown() -> None:
    """`total: 6..6` with six notices, and then without what the mail sink saw at the end."""
    exact = exactly_six([])
    assert verify(exact).result is Result.PASS
    last = max(e.t for e in exact.of(Notice))
    fewer = mapped(exact, lambda e: None if isinstance(e, Notice) and e.t == last else e)
    assert {row.result for row in verify(fewer).rows if row.about == "notices total"} == {Result.FAIL}
    blind = mapped(fewer, lambda e: None if isinstance(e, Watch) and e.t >= last - 2 else e)
    assert results(verify(blind), "finding") == {Result.UNKNOWN}


PROMISED = "volume: {healthy: 0..1/day, degraded: 2..5/day, incident: 5..10/day}\n"


def on_a_day(day: str, volume: str = PROMISED) -> History:
    """The recorded run of six notices, as if its scenario had stood for such a day, with this promised."""
    history = recorded("kept")
    added = {"scenario": f"\nvolume: {day}\n", "promise": f"\n{volume}"}
    sources = {key: text + added.get(key.partition(":")[0], "") for key, text in history.header.sources.items()}
    header = msgspec.structs.replace(history.header, sources=sources)
    return replace(with_events(history, [header, *history.events[1:]]), header=header)


def of_the_day(history: History) -> Row:
    [row] = [row for row in verify(history).rows if row.about.startswith("volume ")]
    return row


def test_the_notices_of_a_day_are_counted_apart_and_held_against_the_promise() -> None:
    kept = of_the_day(on_a_day("incident"))
    assert (kept.about, kept.result) == ("volume incident", Result.PASS)
    assert kept.rests_on == "6 notices: 3 first, 0 repeated, 3 resolved"
    many = of_the_day(on_a_day("degraded"))
    assert many.result is Result.FAIL
    assert "people got 6 notices, 2..5/day is promised (3 first, 0 repeated, 3 resolved); promised at" in many.reason


@pytest.mark.parametrize(("ended_s", "counted"), [(-1.0, 6), (1.0, 7), (None, 7)])
def test_an_all_clear_of_what_had_ended_before_the_first_step_is_not_counted(
    ended_s: float | None, counted: int
) -> None:
    """An alert that the start of the stack raises is waited for, and told of afterwards: no doing of the scenario."""
    day = on_a_day("incident")
    begun = next(e.t for e in day.of(Phase) if e.name == "steps")
    labels = {"alertname": "HighTimeoutRate", "severity": "warning"}
    like = next(day.of(AlertState))

    def state(word: Literal["firing", "inactive"], at: float) -> AlertState:
        return msgspec.structs.replace(like, labels=labels, state=word, at=at, previous=at - 0.01, active_at=None, t=at)

    early = [state("firing", begun - 2.0), *([state("inactive", begun + ended_s)] if ended_s is not None else [])]
    cleared = [e for e in day.of(Notice) if all(item.status == "resolved" for item in e.alerts)][-1]
    told = [msgspec.structs.replace(item, labels=labels) for item in cleared.alerts[:1]]
    late = msgspec.structs.replace(cleared, alerts=told)
    events = sorted([*day.events, *early, late], key=lambda e: e.t)
    assert of_the_day(with_events(day, events)).rests_on.startswith(f"{counted} notices: 3 first, 0 repeated, ")


def test_too_few_notices_on_a_day_fail_and_a_blind_sink_makes_them_unknown() -> None:
    few = on_a_day("incident")
    two = mapped(few, lambda e: None if isinstance(e, Notice) and e.receiver == "critical-alerts" else e)
    assert of_the_day(two).result is Result.FAIL
    blind = mapped(two, lambda e: None if isinstance(e, Watch) else e)
    assert of_the_day(blind).result is Result.UNKNOWN
    assert of_the_day(mapped(few, lambda e: None if isinstance(e, Watch) else e)).result is Result.UNKNOWN


def test_a_day_of_which_nothing_is_promised_is_unknown() -> None:
    row = of_the_day(on_a_day("degraded", "volume: {healthy: 0..1/day}\n"))
    assert row.result is Result.UNKNOWN
    assert "nothing is promised of a degraded day" in row.reason


def test_a_notice_is_the_first_of_something_a_repeat_or_of_an_end_alone() -> None:
    one = next(recorded("kept").of(Notice))
    item = one.alerts[0]
    other = msgspec.structs.replace(item, labels={"alertname": "Other"})
    over = msgspec.structs.replace(item, status="resolved")

    def telling(*alerts: NoticedAlert) -> Notice:
        return msgspec.structs.replace(one, alerts=list(alerts))

    told = [(item,), (item,), (item, other), (over, other), (item, other), (other,)]
    assert by_kind(telling(*alerts) for alerts in told) == {"first": 3, "repeated": 2, "resolved": 1}
