"""Recorded histories of real runs, judged again: the same bytes; and no doctored history turns a verdict to PASS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.events import AnyEvent, Notice, Poll, Watch, encode
from chaoskit.history import History, parse_history
from chaoskit.verify.verdict import Result, Row, Verdict, to_json
from chaoskit.verify.verify import verify

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = sorted(GOLDEN.glob("*.jsonl"))


def recorded(name: str) -> History:
    return parse_history((GOLDEN / f"{name}.jsonl").read_bytes(), f"{name}.jsonl")


KEPT = recorded("kept")


def with_events(history: History, events: list[AnyEvent]) -> History:
    """The history with other events, numbered anew."""
    numbered = tuple(msgspec.structs.replace(event, n=number) for number, event in enumerate(events))
    return replace(history, events=numbered)


def result_of(verdict: Verdict, hop: str, to: str = "") -> set[Result]:
    return {row.result for row in verdict.rows if row.hop == hop and to in row.to}


def rows_of(history: History) -> dict[tuple[str, str, str], Row]:
    return {(row.about, row.hop, row.to): row for row in verify(history).rows}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_run_gives_its_recorded_verdict_byte_for_byte(path: Path) -> None:
    history = parse_history(path.read_bytes(), path.name)
    assert to_json(verify(history)) == path.with_suffix(".verdict.json").read_bytes()


def test_there_is_a_recording_for_each_result() -> None:
    assert {verify(recorded(path.stem)).result for path in RECORDED} == set(Result)


@pytest.mark.parametrize("receiver", ["critical-alerts", "worker-alerts"])
def test_without_its_notices_a_receiver_fails_as_never_notified(receiver: str) -> None:
    events = [e for e in KEPT.events if not (isinstance(e, Notice) and e.receiver == receiver)]
    verdict = verify(with_events(KEPT, events))
    assert result_of(verdict, "notify", receiver) == {Result.FAIL}
    assert verdict.exit_code == 1


def test_without_the_sinks_looks_a_missing_notice_is_unknown() -> None:
    """Nobody was looking, so nobody knows."""
    events = [e for e in KEPT.events if not isinstance(e, Notice | Watch)]
    verdict = verify(with_events(KEPT, events))
    assert result_of(verdict, "notify") == {Result.UNKNOWN}
    assert verdict.exit_code == 3


def test_without_polls_nothing_else_is_unknown() -> None:
    events = [e for e in KEPT.events if not isinstance(e, Poll)]
    assert result_of(verify(with_events(KEPT, events)), "finding") == {Result.UNKNOWN}


@pytest.mark.parametrize("by_s", [-1.0, 1.0])
def test_a_notice_shifted_beyond_its_resolution_is_never_pass(by_s: float) -> None:
    """A real second is a virtual minute here."""
    for number, event in enumerate(KEPT.events):
        if isinstance(event, Notice) and event.status == "firing":
            moved = msgspec.structs.replace(event, sent=(event.sent[0] + by_s, event.sent[1] + by_s))
            events = [*KEPT.events[:number], moved, *KEPT.events[number + 1 :]]
            verdict = verify(with_events(KEPT, list(events)))
            assert Result.PASS not in result_of(verdict, "notify", f"{event.receiver} ({event.integration})")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RECORDED), st.data())
def test_dropping_events_turns_no_fail_into_pass(path: Path, data: st.DataObject) -> None:
    """Less evidence may make a verdict unknown; it never makes it better than that."""
    history = parse_history(path.read_bytes(), path.name)
    before = rows_of(history)
    keep = data.draw(st.lists(st.booleans(), min_size=len(history.events) - 1, max_size=len(history.events) - 1))
    kept = [
        e
        for e, stays in zip(history.events[1:], keep, strict=True)
        if stays or not isinstance(e, Notice | Poll | Watch)
    ]
    after = rows_of(with_events(history, [history.events[0], *kept]))
    for key, row in before.items():
        if row.result is Result.FAIL and key in after and row.hop != "finding":
            assert after[key].result is not Result.PASS


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RECORDED), st.data())
def test_a_truncated_history_is_never_pass(path: Path, data: st.DataObject) -> None:
    history = parse_history(path.read_bytes(), path.name)
    end = data.draw(st.integers(1, len(history.events) - 1))
    assert verify(with_events(history, list(history.events[:end]))).result is not Result.PASS


def test_duplicates_change_no_hop() -> None:
    """A poll or a look that is reported twice says nothing new."""
    events = [copy for e in KEPT.events for copy in ([e, e] if isinstance(e, Poll | Watch) else [e])]
    assert [row.result for row in verify(with_events(KEPT, events)).rows] == [row.result for row in verify(KEPT).rows]


def test_a_check_that_throws_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[Row]:
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr("chaoskit.verify.verify.find", broken)
    verdict = verify(KEPT)
    assert verdict.result is Result.UNKNOWN
    assert any("by accident" in row.reason for row in verdict.rows)


def test_a_recording_names_no_place_of_the_machine_it_was_made_on() -> None:
    for path in RECORDED:
        text = path.read_text()
        assert "/home/" not in text
        assert "/root/" not in text
        assert "/tmp/" not in text


def test_events_are_written_the_same_way_every_time() -> None:
    data = b"".join(encode(event) + b"\n" for event in KEPT.events)
    assert data == (GOLDEN / "kept.jsonl").read_bytes()
