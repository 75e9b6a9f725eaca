"""Recorded histories of real runs, judged again: the same bytes, for every kind of verdict, in sentences that tell."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from msgspec import structs

from chaoskit.errors import BadInput
from chaoskit.events import AlertState, Invoke, Notice, Phase, Poll, Watch, decode, encode
from chaoskit.history import parse_history
from chaoskit.verify.check import Strict
from chaoskit.verify.checks import CHECKS
from chaoskit.verify.findings import FINDINGS
from chaoskit.verify.verdict import Result, Row, to_json
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import FOLDER, NAMES, failed, mapped, recorded, results, with_events
from tests.golden.recipes import RECIPES
from tests.golden.renew import missing, scrubbed

KEPT = recorded("kept")
HOPS = ("detect", "hold", "notify", "clear", "all-clear")
FIGURE = re.compile(r"\d+\.\d s\b")
every_recording = pytest.mark.parametrize("name", NAMES)


@every_recording
def test_a_recorded_run_gives_its_recorded_verdict_byte_for_byte(name: str) -> None:
    assert to_json(verify(recorded(name))) == (FOLDER / f"{name}.verdict.json").read_bytes()


def test_each_recipe_has_its_recording_and_each_recording_its_recipe() -> None:
    assert set(NAMES) == set(RECIPES)


@every_recording
def test_a_recording_says_what_its_recipe_demands(name: str) -> None:
    assert not missing(RECIPES[name], verify(recorded(name)))


def test_a_recipe_that_demands_something_else_is_not_satisfied() -> None:
    assert missing(RECIPES["held-too-long"], verify(KEPT))
    assert missing(RECIPES["kept"], verify(recorded("held-too-long")))


def test_there_is_a_recording_for_each_kind_of_verdict() -> None:
    """Each hop kept, broken and unknown; each way to be at the wrong time; each condition that may be missing."""
    rows = [row for name in NAMES for row in verify(recorded(name)).rows]
    said = {(row.hop, row.result) for row in rows}
    assert said >= {(hop, result) for hop in (*HOPS, "suppressed", "finding") for result in (Result.PASS, Result.FAIL)}
    assert said >= {(hop, Result.UNKNOWN) for hop in (*HOPS, "finding", "steady", "effect", "load", "end")}
    assert ("content", Result.FAIL) in said
    how = {
        (row.hop, word)
        for row in rows
        for word in ("too early", "too late", "never")
        if row.result is Result.FAIL
        and word in row.reason
        and row.observed is (None if word == "never" else row.observed)
    }
    # Nothing can come before a fault, and no end before a beginning: detect and all-clear are never early.
    impossible = {("detect", "too early"), ("all-clear", "too early")}
    assert how == {(hop, word) for hop in HOPS for word in ("too early", "too late", "never")} - impossible


def test_the_observers_own_trouble_fails_nothing() -> None:
    """The run, a sink, Prometheus or Alertmanager stopped for seconds, died, or were told to stop."""
    troubled = [name for name in NAMES if name.endswith(("-frozen", "-died", "-killed")) or name == "interrupted"]
    assert len(troubled) >= 10
    for name in troubled:
        assert not failed(verify(recorded(name))), name


@every_recording
def test_whatever_is_not_pass_says_who_which_hop_how_much_and_which_setting(name: str) -> None:
    for row in verify(recorded(name)).rows:
        if row.result is Result.PASS:
            assert row.reason == ""
            assert row.rests_on or row.observed
            continue
        assert row.reason
        assert not re.search(r"\b(None|nan|inf)\b|\{|\}", row.reason.split("locust")[0]), row.reason
        if row.hop in HOPS and not row.reason.endswith("no fault was injected"):
            _tells(row)
        elif row.hop in ("finding", "content", "suppressed"):
            assert row.about.split(" ")[0] in row.reason or row.about.startswith(("notices", "nothing")), row.reason


def _tells(row: Row) -> None:
    assert row.about in row.reason
    assert row.to in row.reason
    assert f"{row.hop}:" in row.reason
    assert FIGURE.search(row.reason.partition(f"{row.hop}:")[2]), row.reason
    _, governed, setting = row.reason.partition("governed by ")
    assert governed
    assert re.search(r"\d+[smh]\b|send_resolved|never \(", setting), row.reason


def test_one_broken_promise_is_one_sentence_per_receiver() -> None:
    """What was merely not reached because of it says so in one and the same beginning, so that it can be folded."""
    rows = [row for row in verify(recorded("never-notified")).rows if row.result is not Result.PASS]
    assert [(row.hop, row.to) for row in rows if row.result is Result.FAIL] == [("notify", "worker-alerts (email)")]
    assert all(row.reason.startswith("not judged: ") for row in rows if row.result is Result.UNKNOWN)


@pytest.mark.parametrize("receiver", ["critical-alerts", "worker-alerts"])
def test_without_its_notices_a_receiver_fails_as_never_notified(receiver: str) -> None:
    verdict = verify(mapped(KEPT, lambda e: None if isinstance(e, Notice) and e.receiver == receiver else e))
    assert results(verdict, "notify", receiver) == {Result.FAIL}
    assert verdict.exit_code == 1


def test_without_the_sinks_looks_a_missing_notice_is_unknown() -> None:
    """Nobody was looking, so nobody knows."""
    verdict = verify(mapped(KEPT, lambda e: None if isinstance(e, Notice | Watch) else e))
    assert results(verdict, "notify") == {Result.UNKNOWN}
    assert verdict.exit_code == 3


def test_without_polls_nothing_else_is_unknown() -> None:
    assert results(verify(mapped(KEPT, lambda e: None if isinstance(e, Poll) else e)), "finding") == {Result.UNKNOWN}


@pytest.mark.parametrize("state", ["pending", "firing", "inactive"])
def test_a_change_told_again_after_its_alert_s_end_is_no_second_alert(state: str) -> None:
    """A second one's group would have notified before, and a notice that came too early would be in time."""
    early = recorded("notified-early")
    [again] = [event for event in early.of(AlertState) if event.state == state]
    twice = with_events(early, [*early.events[:-1], again, early.events[-1]])
    before, after = ([row for row in verify(each).rows if row.hop in HOPS] for each in (early, twice))
    assert before == after


def test_a_check_that_throws_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> list[Strict]:
        raise ZeroDivisionError("by accident")

    replaced = [replace(check, judge=broken) if check is FINDINGS else check for check in CHECKS]
    monkeypatch.setattr("chaoskit.verify.verify.CHECKS", replaced)
    verdict = verify(KEPT)
    assert verdict.result is Result.UNKNOWN
    assert any("by accident" in row.reason for row in verdict.rows)


@every_recording
def test_a_recording_with_any_event_missing_is_refused(name: str) -> None:
    """Events are numbered: what an editor or a bad disk takes away leaves a hole."""
    lines = (FOLDER / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines) - 1, 7):
        with pytest.raises(BadInput, match="hole"):
            parse_history(b"".join(lines[:number] + lines[number + 1 :]), name)


def test_a_recording_broken_off_in_a_line_is_read_up_to_it_and_is_no_pass() -> None:
    data = (FOLDER / "kept.jsonl").read_bytes()
    verdict = verify(parse_history(data[:-20], "kept"))
    assert verdict.result is Result.UNKNOWN
    assert any("in the middle of a line" in row.reason for row in verdict.rows)


def test_a_kept_run_before_it_stops_lacks_only_its_totals_and_its_end() -> None:
    """So whoever leaves the stack up for anything but a PASS can tell one already then."""
    stopping = next(e.n for e in KEPT.of(Phase) if e.name == "stopping")
    verdict = verify(with_events(KEPT, KEPT.events[:stopping]))
    assert {row.hop for row in verdict.rows if row.result is not Result.PASS} == {"load", "end"}
    earlier = verify(with_events(KEPT, KEPT.events[: stopping // 2]))
    assert results(earlier, "finding") == {Result.UNKNOWN}


@every_recording
def test_a_recording_tells_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    data = (FOLDER / f"{name}.jsonl").read_bytes()
    for word in (b"/home/", b"/root/", b"/tmp/", b"/var/", b"/work/", b"-x86_64", b"glibc"):
        assert word not in data
    assert [decode(line) for line in scrubbed(data, FOLDER).splitlines()] == list(recorded(name).events)
    assert all(set(e.undo.get("boot", "0")) <= {"0", "-"} for e in recorded(name).of(Invoke))


def test_events_are_written_the_same_way_every_time() -> None:
    for event in KEPT.events:
        line = encode(event)
        assert decode(line) == event
        assert encode(decode(line)) == line


def test_numbering_anew_changes_nothing() -> None:
    assert with_events(KEPT, KEPT.events) == KEPT


def test_what_could_not_be_settled_is_a_row_and_never_a_pass() -> None:
    """A refusal by an older program, and an expected alert whose rule no promtool took; the control is PASS."""
    assert verify(KEPT).result is Result.PASS
    doubt = "alertmanager.yml: refused by amtool 0.25.0; your 0.33 was not asked: field later not found"
    verdict = verify(replace(KEPT, header=structs.replace(KEPT.header, doubts=[doubt])))
    assert (verdict.result, verdict.exit_code) == (Result.UNKNOWN, 3)
    assert [(row.hop, row.reason) for row in verdict.rows if row.result is not Result.PASS] == [
        ("configuration", doubt)
    ]
    expected = plan_of(KEPT.header).alerts[0].rule
    aside = {expected.expr: "promtool 3.5 refuses it: unexpected identifier"}
    verdict = verify(replace(KEPT, header=structs.replace(KEPT.header, set_aside=aside)))
    row = next(row for row in verdict.rows if row.hop == "configuration")
    assert (verdict.result, row.about, row.result) == (Result.UNKNOWN, expected.alert, Result.UNKNOWN)
    assert "not understood: " in row.reason
    assert "promtool 3.5 refuses it" in row.reason
