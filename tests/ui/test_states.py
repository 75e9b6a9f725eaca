"""Every state of a drill's page, each from a recording, and that what is told beside the history is shown with it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import msgspec
import pytest

from chaoskit.console import pages
from chaoskit.console.stream import Pictures, Tail
from chaoskit.events import AlertState, End, Equipment, Event, FaultOk, Interruption, Notice, Phase, UndoBegin
from chaoskit.report.notes import NOTES, Note, read_notes
from chaoskit.safety.stop_all import block, unblock
from tests.ui.replaying import GOLDEN, Replay, Served, serving


def shown(served: Served, path: str = "/") -> str:
    status, _, body = served.ask("GET", path)
    assert status == 200, body
    return body.decode()


def firing(event: Event) -> bool:
    return isinstance(event, AlertState) and event.state == "firing"


def state(text: str) -> str:
    return text.partition('class="phase ')[2].partition('"')[0]


def test_a_drill_from_its_first_event_to_its_verdict(tmp_path: Path) -> None:
    replay = Replay("held-too-long", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay) as served:
        assert state(shown(served)) == "starting"
        replay.until(lambda event: isinstance(event, Phase) and event.name == "steady")
        text = shown(served)
        assert (state(text), "waiting for the steady state" in text) == ("running", True)
        assert "no fault in force" in text
        replay.until(lambda event: isinstance(event, FaultOk))
        text = shown(served)
        assert "process.kill on worker-1" in text
        assert "undone at the latest in" in text
        assert "to be noticed within" in text
        replay.until(firing)
        text = shown(served)
        assert "critical-alerts (email) hears within" in text
        assert 'class="state firing"' in text
        notice = replay.until(lambda event: isinstance(event, Notice) and bool(event.html))
        assert isinstance(notice, Notice)
        text = shown(served)
        assert "critical-alerts (email): told" in text
        assert f'data-keep="n{notice.n}"' in text
        assert 'sandbox=""' in text
        replay.until(lambda event: isinstance(event, Phase) and event.name == "tail")
        assert "looking on: late is not never" in shown(served)
        replay.until(lambda event: isinstance(event, End))
        assert state(shown(served)) == "judging"
        replay.all()
        text = shown(served)
        assert (state(text), 'class="banner FAIL' in text) == ("over", True)
        assert "/runs/20260101-000000-recorded/report.html" in text
        assert "every promise" in shown(served, "/runs/20260101-000000-recorded/report.html").lower()


def test_a_run_that_is_told_to_end_is_healing(tmp_path: Path) -> None:
    replay = Replay("interrupted", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay) as served:
        replay.until(lambda event: isinstance(event, Interruption))
        assert state(shown(served)) == "healing"
        replay.until(lambda event: isinstance(event, UndoBegin))
        assert "being undone" in shown(served)


def test_who_cannot_see_is_said(tmp_path: Path) -> None:
    replay = Replay("prometheus-died", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay) as served:
        replay.until(lambda event: isinstance(event, FaultOk))
        assert "NOBODY SEES" not in shown(served)
        replay.until(lambda event: isinstance(event, Equipment) and event.state == "down")
        text = shown(served)
        assert "NOBODY SEES" in text
        assert "prometheus" in text


def test_a_run_that_writes_nothing_is_said_to_be_silent(tmp_path: Path) -> None:
    replay = Replay("quiet", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay) as served:
        replay.until(lambda event: isinstance(event, Phase) and event.name == "steps")
        assert "has written nothing" not in shown(served)
        replay.now += pages.QUIET_S + 2
        assert "the run has written nothing for 7 s" in shown(served)


def test_a_run_that_is_not_healed_is_red_and_gives_the_command(tmp_path: Path) -> None:
    replay = Replay("held-too-long", tmp_path / "out" / "20260101-000000-recorded")
    end = next(event for event in replay.events if isinstance(event, End))
    replay.lines[end.n] = (
        msgspec.json.encode(msgspec.structs.replace(end, healed=False, left=["a fault that could not be undone"]))
        + b"\n"
    )
    with serving(tmp_path / "scratch", replay, alive=False) as served:
        replay.all()
        text = shown(served)
        assert state(text) == "not-healed"
        assert f"chaoskit heal {replay.folder}" in text
        assert "a fault that could not be undone" in text
        assert text.index("NOT HEALED") < text.index('<div class="banner')


def test_a_run_that_died_is_told_from_one_that_is_over(tmp_path: Path) -> None:
    replay = Replay("run-killed", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay, alive=False) as served:
        replay.all(judged=False)
        text = shown(served)
        assert (state(text), f"chaoskit heal {replay.folder}" in text) == ("died", True)


def test_a_drill_that_may_not_begin_says_why(tmp_path: Path) -> None:
    """The lever is down: the real command refuses, and its words are on the page. A second page's start is refused.

    Nothing but files leads from it to the page: it has no descriptor of the console, and a session of its own.
    """
    block("a release is under way")
    with serving(tmp_path / "scratch", begins=True) as served:
        assert served.do("start", scenario="healthy", profile="local") == (200, {"go": "/"})
        status, told = served.do("start", scenario="worker-unhealthy", profile="local")
        assert (status, "healthy is at work" in told["text"]) == (409, True)
        drill = served.console.desk.drill
        assert drill is not None
        assert drill.process is not None
        leads = [str(one.readlink()) for one in Path(f"/proc/{drill.pid}/fd").iterdir() if int(one.name) < 3]
        assert sorted(leads) == sorted(["/dev/null", str(drill.log), str(drill.log)])
        assert os.getsid(drill.pid) == drill.pid
        assert os.getpriority(os.PRIO_PROCESS, drill.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        assert drill.process.wait(60) == 2
        text = shown(served)
        assert state(text) == "refused"
        assert "a release is under way" in text
        assert "a release is under way" in shown(served, "/new")
        unblock()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"scenario": "--help"}, "no scenario is called"),
        ({"scenario": "../healthy.yml"}, "no scenario is called"),
        ({"scenario": "healthy", "profile": "/etc/passwd"}, "no profile is called"),
        ({"scenario": "healthy", "scale": "1e9"}, "is not a number"),
        ({"scenario": "healthy", "rate": "25/s --keep"}, "the rate"),
        ({"scenario": "healthy", "confirm": "a b"}, "name"),
        ({}, "no scenario is called"),
    ],
)
def test_what_cannot_be_asked_for_begins_nothing(asked: dict[str, str], said: str, tmp_path: Path) -> None:
    with serving(tmp_path / "scratch", begins=True) as served:
        status, told = served.do("start", **asked)
        assert (status, said in told["text"]) == (422, True)
        assert served.console.desk.drill is None


def test_beside_a_run_of_a_terminal_none_is_begun(tmp_path: Path) -> None:
    replay = Replay("quiet", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay, alive=False) as served:
        served.console.desk.begins = False
        assert served.do("start", scenario="healthy")[0] == 409


def test_a_plan_is_shown_before_anything_is_touched(tmp_path: Path) -> None:
    with serving(tmp_path / "scratch", begins=True) as served:
        text = shown(served, "/plan?scenario=worker-unhealthy&profile=local")
        for word in ("process.kill", "role:worker: worker-1", "critical-alerts (webhook)", "group_wait", ">Start<"):
            assert word in text
        status, _, body = served.ask("GET", "/plan?scenario=nothing")
        assert (status, b"no scenario is called" in body) == (422, True)
        assert list((tmp_path / "scratch").glob("run-*")) == []


def test_notes_are_kept_beside_the_history_and_shown_by_time(tmp_path: Path) -> None:
    replay = Replay("held-too-long", tmp_path / "out" / "20260101-000000-recorded")
    with serving(tmp_path / "scratch", replay) as served:
        replay.until(firing)
        assert served.do("note", text="<b>who</b> is\x1b on call?")[0] == 200
        assert served.do("note", text="x" * 2001)[0] == 422
        assert served.do("note", text="  ")[0] == 422
        (note,) = read_notes(replay.folder)
        assert note.text == "<b>who</b> is\x1b on call?"
        text = shown(served)
        assert "&lt;b&gt;who&lt;/b&gt; is" in text
        assert "\x1b" not in text
        with (replay.folder / NOTES).open("ab") as file:
            file.write(b"no note\n" + msgspec.json.encode(Note(note.t - 5, "somebody", "before")) + b"\n")
        assert [one.text for one in read_notes(replay.folder)] == ["before", note.text]
        replay.all()
        before = (replay.folder / "verdict.json").read_bytes()
        assert served.do("note", text="afterwards")[0] == 200
        assert (replay.folder / "verdict.json").read_bytes() == before


def test_earlier_runs_are_listed_filtered_and_compared(tmp_path: Path) -> None:
    for name in ("kept", "held-too-long"):
        Replay(name, tmp_path / "out" / f"20260101-00000{len(name)}-{name}").all()
    last = Replay("quiet", tmp_path / "out" / "20260102-000000-quiet")
    last.all(judged=False)
    with serving(tmp_path / "scratch", last, alive=False) as served:
        text = shown(served, "/runs")
        assert text.count('name="run"') == 3
        assert "no verdict" in text
        assert shown(served, "/runs?filter=fail").count('name="run"') == 1
        names = [f"20260101-00000{len(name)}-{name}" for name in ("kept", "held-too-long")]
        text = shown(served, f"/compare?run={names[0]}&run={names[1]}")
        changed = text.partition("<tbody>")[2].partition("</tr>")[0]
        assert "FAIL" in changed
        assert "PASS" in changed
        assert served.ask("GET", f"/compare?run={names[0]}")[0] == 422
        assert served.ask("GET", f"/runs/{names[0]}/verdict.json")[0] == 200
        outside = ("../../../etc/passwd", "stack/token", "..%2f..%2f..%2fetc/events.jsonl")
        for path in (*(f"{names[0]}/{one}" for one in outside), "x/report.html"):
            assert served.ask("GET", f"/runs/{path}")[0] in (404, 422)


def test_a_history_is_read_on_from_where_it_was_and_no_further_than_it_is_whole(tmp_path: Path) -> None:
    lines = (GOLDEN / "quiet.jsonl").read_bytes().splitlines(keepends=True)
    file = tmp_path / "events.jsonl"
    tail = Tail(file)
    assert tail.news() == []
    file.write_bytes(lines[0] + lines[1][:10])
    assert [event.n for event in tail.news()] == [0]
    with file.open("ab") as more:
        more.write(lines[1][10:] + lines[2] + lines[4])
    assert [event.n for event in tail.news()] == [1, 2]
    assert "4 stands where 3 belongs" in tail.trouble
    assert tail.news() == []
    tail.close()


def test_a_picture_comes_at_most_four_times_a_second_and_costs_a_twentieth_of_a_core() -> None:
    """The pause after a picture is twenty times what it cost, and never shorter than a quarter of a second."""
    costs = iter([0.0, 0.001, 0.4])
    clock = [0.0]
    pauses: list[float] = []

    def draw() -> dict[str, str]:
        clock[0] += next(costs)
        return {}

    pictures = Pictures(draw, lambda: False, thread_time=lambda: clock[0])

    async def play() -> None:
        async def pause(length: float) -> None:
            pauses.append(length)
            if len(pauses) == 2:
                raise asyncio.CancelledError

        listener = pictures.listen()
        await anext(listener)
        try:
            await pictures.run(pause)
        except asyncio.CancelledError:
            await listener.aclose()

    asyncio.run(play())
    assert pauses == [0.25, pytest.approx(8.0)]


def test_a_command_is_a_json_object_of_texts(tmp_path: Path) -> None:
    with serving(tmp_path / "scratch", begins=True) as served:
        for body in (b"[]", b'{"scenario": 1}', b"{", b"\xff"):
            assert served.ask("POST", "/start", served.command, body)[0] == 400
        assert served.ask("POST", "/stop", served.command, b"")[0] == 200
        assert json.loads(served.ask("POST", "/stop", served.command, b"{}")[2]) == {"text": "no drill is at work"}


STAGING = """
chaoskit: 1
target: {attached: {prometheus: "http://127.0.0.1:9", alertmanager: "http://127.0.0.1:9",
  metrics: "http://127.0.0.1:9/metrics", environment: staging}}
time_scale: 1
limits: {run: 2h, fault: 1h}
"""


def test_a_system_that_others_use_is_broken_only_where_its_name_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks for it and looks another way; the real command refuses a name that is missing or wrong."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "staging.yml").write_text(STAGING)
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "scratch", begins=True) as served:
        text = shown(served, "/plan?scenario=healthy&profile=staging")
        assert '<body class="attached">' in text
        assert "This breaks <b><bdi>staging</bdi></b>" in text
        assert 'name="confirm" required' in text
        assert served.do("start", scenario="healthy", profile="staging", confirm="production")[0] == 200
        drill = served.console.desk.drill
        assert drill is not None
        assert drill.process is not None
        assert drill.process.wait(60) == 2
        text = shown(served)
        assert (state(text), "staging" in text) == ("refused", True)
