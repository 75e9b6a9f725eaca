"""Which notices are counted: those of a scenario's own alerts, and none that tells of other scenarios' on its stack."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest

from chaoskit.events import Notice, Watch
from chaoskit.history import History
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import verify
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
