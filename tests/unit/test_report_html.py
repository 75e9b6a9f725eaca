"""The page of a run: every history renders, the same one to the same bytes; nothing in it runs, loads or breaks out."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from html_page import Page, read_page

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.events import AlertState, AnyEvent, Header, Invoke, LoadWindow, Notice, Origin, Suppression
from chaoskit.history import History, parse_history
from chaoskit.hop import Hop
from chaoskit.report import html
from chaoskit.report.changes import changes, compared
from chaoskit.report.html import NOT_DRAWN, page
from chaoskit.report.html_load import load_group
from chaoskit.report.html_why import why
from chaoskit.report.judge_run import PAGE, VERDICT, judge_folder
from chaoskit.report.notes import NOTES, read_notes
from chaoskit.report.text import clean, fault_name, in_words, settings_words, telling
from chaoskit.verify.verdict import Result, Row, Verdict, to_json
from chaoskit.verify.verify import judge_all, verify
from tests.golden.doctored import FOLDER, NAMES, mapped, recorded, with_events

EVIL = "<script>alert(1)</script>\"'&amp;\x00\x1b[31m\u202e\u2066\u0085</title></svg></iframe><img src=//x onerror=a()>"
MOST_BYTES = 1_000_000
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
    unhealed = "NOT HEALED " if verdict.exit_code == ExitCode.NOT_HEALED else ""
    assert said.startswith(f"{unhealed}{verdict.result} {verdict.scenario} {unhealed}")  # the title, then the banner
    assert f"exit code {verdict.exit_code} (" in said
    for reason in telling(verdict.rows)[:3]:
        assert " ".join(clean(in_words(reason).partition("; governed by ")[0].splitlines()[0]).split()) in said
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
        answers = ("yes" if answer is Result.PASS else answer or "–" for answer in one.answers.values())
        assert f"{one.about} {' '.join(answers)}" in said
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


def test_what_may_still_be_broken_is_said_first_and_in_red_with_the_whole_command() -> None:
    found = rendered(recorded("run-killed"))
    said = " ".join(found.text.split())
    assert [given["class"] for given in found.shown("banner")] == ["banner unhealed", "banner UNKNOWN"]
    assert said.index("process.kill on worker-1, in force since") < said.index("chaoskit heal --all")
    assert f"chaoskit heal {recorded('run-killed').header.run_id}" in said
    assert said.index("chaoskit heal --all") < said.index("the load generator sent no totals at its end")
    for name in ("interrupted", "notified-late", "kept"):
        assert "chaoskit heal" not in rendered(recorded(name)).text


@every_recording
def test_every_link_of_a_page_leads_somewhere_in_it(name: str) -> None:
    found = rendered(recorded(name))
    ids = [given["id"] for _, given in found.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {given["href"] for tag, given in found.tags if tag == "a"} <= {f"#{one}" for one in ids}


@pytest.mark.parametrize(
    ("name", "boxes", "said"),
    [
        ("notified-late", [("FAIL", 2)], "promised group_wait 10s; the configuration says group_wait 1m30s"),
        ("alertmanager-died", [("UNKNOWN", 3)], "alertmanager was down"),
        ("alertmanager-frozen", [("UNKNOWN", 6)], "alertmanager did not answer"),
        ("mailbox-died", [("UNKNOWN", 4)], "mail-sink was down"),
        ("prometheus-frozen", [("UNKNOWN", 4)], "known too inexactly"),
        ("run-killed", [("UNKNOWN", 4)], "did not come to its end"),
        ("not-suppressed", [("FAIL", 1), ("UNKNOWN", 1)], "although MultipleWorkersDown should mute it"),
        ("kept", [], ""),
    ],
)
def test_there_is_one_box_for_each_cause(name: str, boxes: list[tuple[str, int]], said: str) -> None:
    """It names a setting only where that is the same for all of its rows."""
    verdict = verify(recorded(name))
    found = html.causes(verdict.rows, html._read(recorded(name), verdict).case, {}, "")
    assert not any(one.governed for one in found if len({row.what for row in one.rows}) > 1 and one.result == "UNKNOWN")
    assert [(one.result, len(one.rows)) for one in found] == boxes
    assert len(rendered(recorded(name)).shown("cause")) == len(boxes)
    assert not boxes or said in found[0].head


def test_a_cause_leads_to_its_rows_mail_timeline_route_and_to_explain() -> None:
    (late,) = html.causes(*_about_late())
    mail, webhook = ([word for word, _ in row.links] for row in late.rows)
    assert (mail, webhook) == (["row", "timeline", "route", "mail"], ["row", "timeline", "route", "notice"])
    assert late.explain == ["chaoskit explain WorkerUnhealthy worker_name=worker-1 --bundle 'my bundle'"]
    assert late.rows[0].what.startswith("was notified at least 89.4 s after firing, 74.4 s too late (at most 15.0 s")


def _about_late() -> tuple[Any, ...]:
    verdict = verify(recorded("notified-late"))
    read = html._read(recorded("notified-late"), verdict)
    return verdict.rows, read.case, {id(one): "#notice" for one in read.evidence.notices}, "my bundle"


def test_a_stray_alert_leads_to_the_mail_that_told_of_it() -> None:
    verdict = verify(recorded("stray-alert"))
    read = html._read(recorded("stray-alert"), verdict)
    links = {id(one): f"#notice-{n}" for n, one in enumerate(read.evidence.notices)}
    (stray,) = html.causes(verdict.rows, read.case, links, "")
    (href,) = [href for word, href in stray.rows[0].links if word in ("mail", "notice")]
    told = read.evidence.notices[int(href.rpartition("-")[2])]
    assert [item.labels["alertname"] for item in told.alerts] == ["Stray"]


def test_each_hop_says_why_its_window_is_as_it_is() -> None:
    verdict = verify(recorded("kept"))
    read = html._read(recorded("kept"), verdict)
    assert read.case is not None
    known = {(row.hop, row.to): dict(why(row, read.case, "")) for row in verdict.rows}
    rule = known[Hop.DETECT, ""]
    assert "scrape_interval 15s" in rule["window"]
    assert (rule["for"], "== 0" in rule["expression"]) == ("1m", True)
    assert "prometheus_alerts.yml:23" in rule["rule"]
    mail = known[Hop.NOTIFY, "worker-alerts (email)"]
    assert mail["window"].startswith("30–35 s after firing: promised group_wait 30s (notification_windows.yml:")
    assert "alertmanager.yml:35" in mail["route"] + mail.get("", "")
    assert "group_wait 30s, group_interval 5m" in mail["timings"]
    assert "chaoskit explain WorkerUnhealthy" in mail["more"]
    assert known[Hop.LOAD, ""] == {}
    found = rendered(recorded("kept"))
    assert len(found.shown("because")) == sum(bool(one) for one in known.values()) == 12


@pytest.mark.parametrize("name", ["kept", "run-killed", "suppressed"])
def test_every_picture_frame_link_and_section_has_a_name(name: str) -> None:
    found = rendered(recorded(name))
    assert all(given.get("aria-label") for _, given in found.tags if given.get("role") == "img")
    assert all(given.get("title") for tag, given in found.tags if tag == "iframe")
    assert all(given.get("aria-label") for tag, given in found.tags if tag == "nav")
    tags = [tag for tag, _ in found.tags]
    assert [tags[at + 1] for at, tag in enumerate(tags) if tag == "section"] == ["h2"] * tags.count("section")
    assert tags.count("h1") == 1


def test_nothing_is_said_on_hover_alone_and_no_chip_says_pass() -> None:
    for name in ("kept", "notified-late", "suppressed"):
        found = rendered(recorded(name))
        assert all("chip" not in given["class"] for given in found.shown("PASS"))
        assert [tag for tag, given in found.tags if tag == "title" or "title" in given] == ["title"] + ["iframe"] * len(
            found.frames
        )
        shown = html.timeline(html._read(recorded(name), verify(recorded(name))))
        said = " ".join(found.text.split())
        for lane in (lane for group in shown["groups"] for lane in group.lanes):
            for text in (*lane.figures[:12], *lane.promised):
                assert " ".join(text.split()) in said


def test_the_internals_have_plain_words() -> None:
    said = rendered(recorded("kept")).text
    assert "kill: process.kill on worker-1 (hold)" in said
    assert "kill: inject process.kill (hold) at 0.0 s" in said
    for internal in ("kill#0", "wait-2", "hold: True"):
        assert internal not in said.partition("The run")[0], internal
    assert [fault_name(name) for name in ("kill#0", "kill#1", "kill#11", "plain")] == [
        "kill", "kill (2nd fault)", "kill (12th fault)", "plain",
    ]  # fmt: skip
    assert in_words("kill#0 lapsed, and a#b") == "kill lapsed, and a#b"
    assert settings_words({"hold": True, "soft": False, "share": 0.1, "of": [1, 2]}) == (
        "hold, no soft, share 0.1, of 1, 2"
    )


def test_the_axis_ends_soon_after_all_is_over_and_says_how_long_was_looked_on() -> None:
    kept = recorded("kept")
    read = html._read(kept, verify(kept))
    assert read.axis.end < read.evidence.phases["stopping"]
    last = max(notice.sent[1] for notice in read.evidence.notices)
    assert last < read.axis.end
    assert re.search(r"looking on, so that late differs from never, at \d+\.\d s for 3\d\d\.\d s", rendered(kept).text)


def test_the_load_has_scales_a_legend_and_the_faults_behind_it() -> None:
    kept = recorded("kept")
    read = html._read(kept, None)
    group = load_group(kept, read.axis, read.evidence)
    assert group is not None
    requests, flight, latency = group.lanes
    assert [curve.name for curve in requests.curves + latency.curves] == ["started", "failed", "P50", "P95"]
    assert requests.top.endswith("/s")
    assert latency.top.endswith(" ms")
    assert requests.words[0].startswith("started up to ")
    (band,) = flight.bands
    effect, gone = read.evidence.faults.effects["kill#0"], read.evidence.faults.gone["kill#0"]
    assert band.x == read.axis.x(effect[0])
    assert band.x + band.width == pytest.approx(read.axis.x(gone[1]), abs=0.01)
    found = rendered(kept)
    assert {given["class"] for given in found.shown("curve")} == {
        f"curve {k}" for k in ("started", "failed", "unanswered", "p50", "p95")
    }


def test_the_page_says_who_began_it_where_from_what_and_how_to_do_it_again() -> None:
    def told(event: AnyEvent) -> AnyEvent:
        if not isinstance(event, Header):
            return event
        origin = Origin(
            by="anna", host="box", commit="abc123-dirty", utc_offset_s=3600, command="chaoskit run x --bundle 'a b'"
        )
        return msgspec.structs.replace(event, origin=origin)

    history = mapped(recorded("run-killed"), told)
    history = History(next(e for e in history.events if isinstance(e, Header)), history.events, torn=False)
    said = " ".join(rendered(history).text.split())
    assert "by anna on box commit abc123-dirty" in said
    assert "UTC+01:00" in said
    assert "again chaoskit run x --bundle 'a b'" in said
    assert "Something may still be broken on box." in said
    assert "chaoskit explain WorkerUnhealthy worker_name=worker-1 --bundle 'a b'" in said
    assert to_json(verify(history)) == to_json(verify(recorded("run-killed"))), "nothing is judged by it"


def test_peoples_notes_are_merged_by_time_and_nothing_in_them_breaks_out(tmp_path: Path) -> None:
    kept = recorded("kept")
    at = next(kept.of(Notice)).sent[1]
    lines = [{"t": at + 1, "text": EVIL, "by": EVIL}, {"t": at, "text": "the pager rang", "by": "anna"}]
    (tmp_path / NOTES).write_text("\n".join([*map(json.dumps, lines), "no note", '{"t": "late"}', ""]))
    notes = read_notes(tmp_path)
    assert [note.text for note in notes] == ["the pager rang", EVIL]
    assert read_notes(tmp_path / "nowhere") == []
    found = read_page(page(kept, verify(kept), written=notes))
    said = " ".join(found.text.split())
    assert said.index("the pager rang at ") < said.index("Steps and faults")
    assert clean(EVIL) in found.text


def _with_hop(verdict: Verdict, hop: Hop, **more: Any) -> Verdict:
    """The verdict with another row of this hop at worker-alerts."""
    rows = [
        msgspec.structs.replace(row, **more) if (row.hop, row.to) == (hop, "worker-alerts (email)") else row
        for row in verdict.rows
    ]
    return msgspec.structs.replace(verdict, rows=rows)


def test_two_runs_are_compared_by_results_and_by_times_that_certainly_moved() -> None:
    kept, late = verify(recorded("kept")), verify(recorded("notified-late"))
    found = changes(kept, late)
    assert [(one.what, one.old, one.new, one.worse) for one in found[:3]] == [
        ("verdict", "PASS", "FAIL", True),
        ("WorkerUnhealthy worker-1, notify at critical-alerts (email)", "PASS", "FAIL", True),
        ("WorkerUnhealthy worker-1, notify at critical-alerts (webhook)", "PASS", "FAIL", True),
    ]
    figure = compared(kept, late)[len(found)]
    assert (figure.what, figure.worse) == ("WorkerUnhealthy worker-1 at critical-alerts (email), fault to notice", None)
    assert figure.new == "157.1–158.1 s"
    assert [one.worse for one in changes(late, kept)[:3]] == [False] * 3
    assert changes(kept, kept) == []
    (wider,) = changes(kept, _with_hop(kept, Hop.NOTIFY, allowed=(30.0, 95.0)))
    assert (wider.old, wider.new, wider.worse) == ("30–35 s", "30–95 s", None)
    (thin,) = changes(kept, _with_hop(kept, Hop.NOTIFY, observed=(34.9, 36.0), margin_vs=0.1))
    assert (thin.what, thin.new, thin.worse) == (
        "WorkerUnhealthy worker-1, notify at worker-alerts (email): margin", "+0.1 s", True
    )  # fmt: skip
    assert changes(kept, _with_hop(kept, Hop.NOTIFY, observed=(32.0, 33.0), margin_vs=2.0)) == []
    gone = msgspec.structs.replace(kept, rows=kept.rows[1:])
    assert [(one.new, one.worse) for one in changes(kept, gone)] == [("not promised", None)]
    found_ = read_page(page(recorded("notified-late"), late, before=kept))
    assert "Changes since" in " ".join(found_.text.split())
    assert "Nothing: every result is the same" in read_page(page(recorded("kept"), kept, before=kept)).text


def test_the_axis_counts_virtual_seconds_from_the_first_step() -> None:
    found = rendered(recorded("kept"))
    kept = next(row for row in verify(recorded("kept")).rows if row.hop == "hold")
    assert kept.observed is not None
    assert "0 s 120 s 240 s" in " ".join(found.text.split("virtual seconds")[1].split())
    pending, firing = bars(found, "pending")[0], bars(found, "firing")[0]
    axis = html._read(recorded("kept"), None).axis
    long_vs = axis.vs(axis.end) - axis.vs(axis.begin)
    assert (firing - pending) / 100 * long_vs == pytest.approx(60, abs=1)


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
    ("name", "what"), [("prometheus-died", "prometheus unavailable"), ("load-died", "load unavailable")]
)
def test_equipment_that_was_not_there_has_a_lane(name: str, what: str) -> None:
    assert what in rendered(recorded(name)).text
    assert "unavailable" not in rendered(recorded("kept")).text


def test_a_run_without_a_step_and_one_that_may_raise_nothing_have_pages_too() -> None:
    assert "no receiver got a notice" in rendered(recorded("quiet")).text
    assert "Stray is firing" in rendered(recorded("already-firing")).text


def test_mails_are_shown_in_frames_in_which_nothing_runs_or_loads() -> None:
    found = rendered(recorded("kept"))
    mails = [event for event in recorded("kept").of(Notice) if event.html]
    assert len(found.frames) == len(mails) > 0
    assert "WorkerUnhealthy" in found.frames[0]
    tags = [tag for tag, given in found.tags if tag == "iframe" or given.get("dir") == "auto"]
    assert tags[:2] == ["iframe", "pre"], "the mail as people see it first"


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
    assert "Steps and faults" in found.text


@pytest.mark.long
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
            windows[0], second=(begin + n * step, begin + (n + 1) * step), in_flight=77 if n == 2500 else 0
        )
        for n in range(5000)
    ]
    history = with_events(kept, [*kept.events[:-1], *many, kept.events[-1]])
    read = html._read(history, None)
    group = load_group(history, read.axis, read.evidence)
    assert group is not None
    flight = next(lane for lane in group.lanes if lane.label == "in flight")
    assert flight.top == "77"
    assert ",4.0" in flight.curves[0].points
    assert len(flight.curves[0].points.split()) <= 300
    assert any("the highest is drawn" in word for word in flight.words), flight.words


def test_a_page_of_many_large_mails_and_a_large_scenario_is_at_most_a_megabyte() -> None:
    kept = recorded("kept")
    mail = next(event for event in kept.of(Notice) if event.html)
    large = [msgspec.structs.replace(mail, html='<b title="&">' * 800, text="<&>" * 1000) for _ in range(300)]
    texts = {name: f"{text}# {'<' * 300_000}\n" for name, text in kept.header.sources.items()}
    header = msgspec.structs.replace(kept.header, sources=texts)
    history = with_events(kept, [header, *kept.events[1:-1], *large, kept.events[-1]])
    data = page(dataclasses.replace(history, header=header), verify(kept))
    assert len(data) < MOST_BYTES
    assert data.count(b"&lt;b title=") > 1000
    assert b"the rest is in the history" in data


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


def test_verify_compares_with_another_run_on_the_terminal_the_page_and_as_markdown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = str(FOLDER / "kept.jsonl"), str(FOLDER / "notified-late.jsonl")
    out = tmp_path / "page.html"
    assert run(["verify", new, "--compare", old, "--html", str(out)]) is ExitCode.FAIL
    said = capsys.readouterr().out
    assert f"Changes since {recorded('kept').header.run_id}" in said
    assert re.search(r"worse +verdict +PASS +FAIL", said)
    assert "Changes since" in " ".join(read_page(out.read_bytes()).text.split())
    assert run(["verify", new, "--compare", old, "--format", "markdown"]) is ExitCode.FAIL
    assert "| worse | verdict | PASS | FAIL |" in capsys.readouterr().out
    assert run(["verify", new, "--compare", str(tmp_path / "nowhere")]) is ExitCode.USAGE


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
        (lambda lines: [], "line 1 is no header"),
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
