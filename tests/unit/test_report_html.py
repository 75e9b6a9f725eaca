"""The page of a run: every history renders, the same one to the same bytes; nothing in it runs, loads or breaks out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from html_page import Page, read_page

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.events import AlertState, AnyEvent, Header, Invoke, LoadWindow, Notice, Suppression
from chaoskit.history import History, parse_history
from chaoskit.hop import Hop
from chaoskit.report import html
from chaoskit.report.html import NOT_DRAWN, page
from chaoskit.report.html_load import load_group
from chaoskit.report.text import clean, telling
from chaoskit.report.written import PAGE, VERDICT, judge_folder
from chaoskit.verify.verdict import Result, Row, to_json
from chaoskit.verify.verify import judge_all, verify
from tests.golden.doctored import FOLDER, NAMES, mapped, recorded, with_events

EVIL = "<script>alert(1)</script>\"'&amp;\x00\x1b[31m\u202e\u2066\u0085</title></svg></iframe><img src=//x onerror=a()>"
MOST_BYTES = 2_000_000
every_recording = pytest.mark.parametrize("name", NAMES)


def rendered(history: History) -> Page:
    return read_page(page(history, verify(history)))


def bars(found: Page, kind: str) -> list[float]:
    """Where the bars of a kind stand, in percent."""
    return [float(given["x"].rstrip("%")) for given in found.shown("bar") if kind in given["class"].split()]


@every_recording
def test_every_recorded_run_renders_well_formed_and_twice_the_same(name: str) -> None:
    history = recorded(name)
    verdict = verify(history)
    data = page(history, verdict)
    assert data == page(parse_history((FOLDER / f"{name}.jsonl").read_bytes(), "again"), verdict)
    found = read_page(data)
    assert NOT_DRAWN not in found.text
    assert len(data) < MOST_BYTES


@every_recording
def test_the_page_says_the_verdict_why_and_every_row(name: str) -> None:
    verdict = verify(recorded(name))
    found = rendered(recorded(name))
    said = " ".join(found.text.split())
    assert said.startswith(f"{verdict.result} {verdict.scenario} {verdict.result} ")  # the title, then the banner
    assert f"exit code {verdict.exit_code} (" in said
    for reason in telling(verdict.rows)[:3]:
        assert " ".join(clean(reason.partition("; governed by ")[0].splitlines()[0]).split()) in said
    for row in verdict.rows:
        assert row.about in said
        assert row.margin_vs is None or f"{row.margin_vs:+.1f} s" in said
    assert len(found.shown("picture")) == sum(row.allowed is not None for row in verdict.rows)
    assert said.count("fault → notice") == bool(verdict.figures)


@pytest.mark.parametrize("name", ["kept", "notified-late", "mailbox-died"])
def test_the_page_answers_the_documented_questions_for_each_expected_alert(name: str) -> None:
    verdict, checklists = judge_all(recorded(name))
    found = read_page(page(recorded(name), verdict, checklists=checklists))
    said = " ".join(found.text.split()).partition("Checklist ")[2].partition(" Timeline ")[0]
    for one in checklists:
        assert f"{one.about} {' '.join(answer or '–' for answer in one.answers.values())}" in said
    assert "Checklist" not in rendered(recorded(name)).text


def test_each_promise_is_drawn_over_its_window_and_a_late_notice_is_red() -> None:
    kept, late = rendered(recorded("kept")), rendered(recorded("notified-late"))
    # detect, hold, clear; and per door a notice and an all-clear
    assert len(bars(kept, "window")) == len(bars(late, "window")) == 3 + 2 * 3
    assert [len(bars(kept, kind)) for kind in ("fault", "pending", "firing", "seen")] == [1, 1, 1, 6]
    assert not kept.shown("bad")
    assert [given["class"] for given in late.shown("bad")] == ["mark told bad"] * 2
    doubted = rendered(recorded("mailbox-died"))
    assert [given["class"] for given in doubted.shown("doubt")] == ["mark cleared doubt"]
    assert not doubted.shown("bad")


def test_what_may_still_be_broken_is_said_first() -> None:
    said = " ".join(rendered(recorded("run-killed")).text.split())
    assert said.index("chaoskit heal") < said.index("the load generator never gave its totals")
    assert "chaoskit heal" not in rendered(recorded("interrupted")).text


def test_the_axis_counts_virtual_seconds_from_the_first_step() -> None:
    found = rendered(recorded("kept"))
    kept = next(row for row in verify(recorded("kept")).rows if row.hop == "hold")
    assert kept.observed is not None
    assert "0 s 120 s 240 s" in " ".join(found.text.split("virtual seconds")[1].split())
    pending, firing = bars(found, "pending")[0], bars(found, "firing")[0]
    long_vs = 1.02 * _steps_vs(recorded("kept"))
    assert (firing - pending) / 100 * long_vs == pytest.approx(60, abs=1)


def _steps_vs(history: History) -> float:
    phases = {e.name: e.t for e in history.events if e.__class__.__name__ == "Phase"}  # type: ignore[union-attr]
    return (phases["stopping"] - phases["steps"]) * history.header.time_scale


def test_an_alert_that_nobody_expects_is_red_and_so_is_its_notice() -> None:
    found = rendered(recorded("stray-alert"))
    assert [given["class"] for given in found.shown("lane") if "bad" in given["class"]] == ["lane bad"]
    assert len([given for given in found.shown("mark") if "stray" in given["class"]]) >= 2
    assert "Stray unexpected" in " ".join(found.text.split())


def test_an_alert_that_only_was_pending_is_no_reproach() -> None:
    """It is no finding either."""
    kept = recorded("kept")
    event = next(kept.of(AlertState))
    pending = msgspec.structs.replace(event, labels={"alertname": "Passing"})
    found = rendered(with_events(kept, [*kept.events[: event.n], pending, *kept.events[event.n :]]))
    assert "Passing never fired" in " ".join(found.text.split())
    assert not [given for given in found.shown("lane") if "bad" in given["class"]]


def test_what_held_an_alert_back_is_drawn_with_its_name() -> None:
    assert "held back by MultipleWorkersDown" in rendered(recorded("suppressed")).text
    assert len(bars(rendered(recorded("suppressed")), "held")) >= 1
    assert not bars(rendered(recorded("kept")), "held")


@pytest.mark.parametrize(
    ("name", "what"), [("prometheus-died", "prometheus was not there"), ("load-died", "load was not there")]
)
def test_equipment_that_was_not_there_has_a_lane(name: str, what: str) -> None:
    assert what in rendered(recorded(name)).text
    assert "was not there" not in rendered(recorded("kept")).text


def test_a_run_without_a_step_and_one_that_may_raise_nothing_have_pages_too() -> None:
    assert "nobody heard of anything" in rendered(recorded("quiet")).text
    assert "Stray is firing" in rendered(recorded("already-firing")).text


def test_mails_are_shown_in_frames_in_which_nothing_runs_or_loads() -> None:
    found = rendered(recorded("kept"))
    mails = [event for event in recorded("kept").of(Notice) if event.html]
    assert len(found.frames) == len(mails) > 0
    assert "WorkerUnhealthy" in found.frames[0]


def planted(event: AnyEvent) -> AnyEvent:
    """The event with something vile wherever others write text."""
    replaced: Any = msgspec.structs.replace
    match event:
        case Header():
            scenario, profile = f"{EVIL}.yml", f"{EVIL}-p.yml"
            sources = {**event.sources}
            text = sources.pop(f"scenario:{event.scenario}")
            title = json.dumps(f"title {EVIL}").replace("\\u0000", "").replace("\x85", "")
            sources[f"scenario:{scenario}"] = text.replace("title: ", f"title: {title} # ").replace(
                "\n", f"\n# {title}\n", 1
            )
            sources[f"profile:{profile}"] = sources.pop(f"profile:{event.profile}")
            return replaced(
                event, scenario=scenario, profile=profile, sources=sources, notes=[EVIL], settings=[], run_id=EVIL,
                versions={**event.versions, EVIL: EVIL}, targets={**event.targets, EVIL: [EVIL]},
            )  # fmt: skip
        case Invoke():
            return replaced(event, settings={EVIL: EVIL}, kind=EVIL)
        case AlertState() | Suppression():
            return replaced(event, labels={**event.labels, "instance": EVIL, EVIL: EVIL})
        case Notice():
            alerts = [
                msgspec.structs.replace(
                    one, labels={**one.labels, "instance": EVIL, EVIL: EVIL}, annotations={"a": EVIL}
                )
                for one in event.alerts
            ]
            return replaced(
                event, alerts=alerts, subject=EVIL, text=f"{EVIL}\n{EVIL}", html=f"<p>{EVIL}</p>", sender=EVIL,
                recipients=[EVIL], problems=[EVIL], group_key=EVIL,
            )  # fmt: skip
        case _:
            fields = {name: EVIL for name in ("detail", "reason") if hasattr(event, name)}
            return replaced(event, **fields)


@pytest.mark.parametrize("name", ["kept", "stray-alert", "fault-lapsed", "interrupted", "prometheus-died"])
def test_nothing_that_others_write_breaks_out(name: str) -> None:
    """Tags, quotes, control characters and turned text in labels, annotations, mails, titles, names and reasons."""
    history = mapped(recorded(name), planted)
    history = History(next(e for e in history.events if isinstance(e, Header)), history.events, torn=False)
    found = rendered(history)
    assert NOT_DRAWN not in found.text
    assert clean(EVIL) in found.text
    assert f"title {clean(EVIL)}".replace("\\x00", "").replace("\\x85", "")[:30] in found.text
    assert all("\\x1b[31m" in frame for frame in found.frames)


def test_the_reader_of_these_tests_sees_what_it_is_to_see() -> None:
    good = page(recorded("quiet"), verify(recorded("quiet")))
    read_page(good)
    wrongs = [
        "<script>",
        "<div>",
        "</p>",
        "<img src=x>",
        "<p onclick=a()>",
        "\u202e",
        "\x1b",
        "<style>@import 'x'</style>",
    ]
    wrongs += ["<a href='https://x'>y</a>", "<iframe srcdoc='x'></iframe>", "<p id=a id=b></p>"]
    for wrong in wrongs:
        with pytest.raises(AssertionError):
            read_page(good.replace(b"<main>", b"<main>" + wrong.encode()))
    with pytest.raises(AssertionError):
        read_page(good.replace(b"default-src 'none'", b"default-src *"))


def test_a_part_that_cannot_be_drawn_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("by accident")

    monkeypatch.setattr(html, "expected_groups", broken)
    found = rendered(recorded("kept"))
    assert NOT_DRAWN in found.text
    assert "What receivers heard" in found.text


def test_a_long_history_stays_a_page_that_can_be_opened() -> None:
    """A hundred thousand events; what is left out is counted, what failed is not what is left out."""
    kept = recorded("kept")
    notice = next(event for event in kept.of(Notice) if event.html)
    state = next(kept.of(AlertState))
    window = next(kept.of(LoadWindow))
    since = state.at
    more: list[AnyEvent] = []
    for number in range(34_000):
        at = since + number * 1e-4
        labels = {"alertname": "Many", "instance": f"host-{number % 2000}"}
        more.append(msgspec.structs.replace(notice, sent=(at, at), html=notice.html if number % 100 == 0 else ""))
        more.append(
            msgspec.structs.replace(state, labels=labels, at=at, state="firing" if number % 4000 < 2000 else "inactive")
        )
        more.append(msgspec.structs.replace(window, second=(at, at + 1e-4)))
    stopping = next(e.n for e in kept.events if getattr(e, "name", "") == "stopping")
    history = with_events(kept, [*kept.events[:stopping], *more, *kept.events[stopping:]])
    assert len(history.events) > 100_000
    verdict = verify(kept)
    rows = [Row(about=f"Many {n}", hop=Hop.FINDING, result=Result.PASS, reason="") for n in range(20_000)]
    rows.append(Row(about="Last", hop=Hop.FINDING, result=Result.FAIL, reason="this one matters"))
    data = page(history, msgspec.structs.replace(verdict, rows=[*verdict.rows, *rows]))
    assert len(data) < MOST_BYTES
    found = read_page(data)
    assert "this one matters" in found.text
    assert " more rows, in verdict.json" in found.text
    assert " more notices, in events.jsonl" in found.text
    assert " more alerts" in found.text


def test_a_peak_of_the_load_is_never_averaged_away() -> None:
    kept = recorded("kept")
    windows = list(kept.of(LoadWindow))
    begin, end = windows[0].second[0], windows[-1].second[1]
    step = (end - begin) / 5000
    many = [
        msgspec.structs.replace(
            windows[0], second=(begin + n * step, begin + (n + 1) * step), in_flight=77 if n == 4321 else 0
        )
        for n in range(5000)
    ]
    history = with_events(kept, [*kept.events[:-1], *many, kept.events[-1]])
    group = load_group(history, html._read(history, None).axis)
    assert group is not None
    flight = next(lane for lane in group.lanes if lane.label == "in flight")
    assert flight.note == "up to 77"
    assert ",4.0" in flight.curves[0].points
    assert len(flight.curves[0].points.split()) <= 300


# From a folder, and from the command line


def stored(folder: Path, data: bytes) -> Path:
    folder.mkdir()
    (folder / "events.jsonl").write_bytes(data)
    return folder


def test_a_run_has_its_page_beside_its_history_and_verify_renders_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("kept", 0), ("notified-late", 1), ("interrupted", 4)):
        folder = stored(tmp_path / name, (FOLDER / f"{name}.jsonl").read_bytes())
        verdict, _ = judge_folder(folder)
        assert (folder / VERDICT).read_bytes() == to_json(verdict) == (FOLDER / f"{name}.verdict.json").read_bytes()
        again = tmp_path / f"{name}.html"
        assert run(["verify", str(folder), "--html", str(again)]) == code
        assert (
            again.read_bytes()
            == (folder / PAGE).read_bytes()
            == page(recorded(name), verdict, checklists=judge_all(recorded(name))[1])
        )
    capsys.readouterr()


def test_verify_prints_the_verdict_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(FOLDER / "notified-late.jsonl"), "--format", "json"]) is ExitCode.FAIL
    assert capsys.readouterr().out.encode() == (FOLDER / "notified-late.verdict.json").read_bytes()


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda lines: [*lines[:70], *lines[75:]], "event 70 is missing"),
        (lambda lines: [*lines[:60], b"{nonsense\n", *lines[61:]], "not an event"),
        (lambda lines: lines[1:], "event 0 is missing"),
        (lambda lines: [b"\x00\xff\n"], "not an event"),
        (lambda lines: [], "does not begin with a header"),
    ],
    ids=["a hole", "a broken line", "no header", "noise", "nothing"],
)
def test_a_damaged_history_is_not_judged_but_shown_as_far_as_it_can_be_read(
    damage: Any, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (FOLDER / "kept.jsonl").read_bytes().splitlines(keepends=True)
    folder = stored(tmp_path / "run", b"".join(damage(lines)))
    out = tmp_path / "page.html"
    assert run(["verify", str(folder), "--html", str(out)]) is ExitCode.USAGE
    assert what in capsys.readouterr().err
    found = read_page(out.read_bytes())
    assert "NOT JUDGED" in found.text
    assert what in found.text
    assert ("Timeline" in found.text) == (len(damage(lines)) > 100 and damage(lines)[0] == lines[0])


def test_a_history_whose_scenario_cannot_be_read_any_more_is_shown_without_windows(tmp_path: Path) -> None:
    def unreadable(event: AnyEvent) -> AnyEvent:
        if not isinstance(event, Header):
            return event
        return msgspec.structs.replace(event, sources={**event.sources, f"scenario:{event.scenario}": "chaoskit: 9\n"})

    history = mapped(recorded("kept"), unreadable)
    history = History(next(e for e in history.events if isinstance(e, Header)), history.events, torn=False)
    found = read_page(page(history, None, ["it cannot be read"]))
    assert bars(found, "firing")
    assert not bars(found, "window")


def test_a_history_that_breaks_off_in_a_line_is_unknown_and_renders() -> None:
    history = parse_history((FOLDER / "kept.jsonl").read_bytes()[:-20], "kept")
    assert "in the middle of a line" in rendered(history).text
