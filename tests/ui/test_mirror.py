"""Locust's own web UI over a history: real, whole, without powers. A contract with the Locust that is installed."""

from __future__ import annotations

import csv
import http.client
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.console.beside import Told
from chaoskit.console.gatekeeper import new_token
from chaoskit.console.proxy import SOCKET
from chaoskit.console.server import listen
from chaoskit.events import End, FaultOk, LoadNames, LoadWindow, NameCounts, decode
from chaoskit.safety.run_registry import me
from tests.ui.replaying import Replay, Served, serving


def with_names(replay: Replay) -> None:
    """The recording is of a load of one name: as if two names had shared it, one of them with failures."""
    events, count = [], 0
    for event in replay.events:
        if isinstance(event, LoadWindow):
            event = msgspec.structs.replace(event, failed=1, raised={"own.py:3 KeyError: 'a'": 2})
        events.append(event)
        if isinstance(event, LoadWindow):
            names = {
                "GET leads": NameCounts(event.finished - 10, 0, 0, ((80, event.finished - 10),)),
                "POST <b>leads</b>": NameCounts(10, 1, 0, ((120, 9), (200, 1)), {"HTTP 503": 1}),
            }
            events.append(LoadNames(t=event.t, phase="steps", span=event.second, names=names))
            count += 1
    replay.events = [msgspec.structs.replace(event, n=number) for number, event in enumerate(events)]
    replay.lines = [msgspec.json.encode(event) + b"\n" for event in replay.events]
    assert count
    assert decode(replay.lines[-1]).n == len(events) - 1


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Replay]]:
    folder = tmp_path_factory.mktemp("mirror")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAOSKIT_STATE", str(folder / "state"))
        replay = Replay("held-too-long", folder / "out" / "20260101-000000-recorded")
        with_names(replay)
        replay.until(lambda event: isinstance(event, FaultOk))
        with serving(folder / "scratch", replay) as served:
            yield served, replay


def told(served: Served, path: str) -> bytes:
    status, _, body = served.ask("GET", f"/locust/{path}")
    assert status == 200, body
    return body


def statistics(served: Served, finished: int | None = None) -> dict[str, object]:
    """What the page asks for; awaited until it has so many requests. Locust keeps an answer for two seconds."""
    end = time.monotonic() + 30
    while True:
        found: dict[str, object] = json.loads(told(served, "stats/requests"))
        rows = found["stats"]
        assert isinstance(rows, list)
        if finished is None or rows[-1]["num_requests"] == finished or time.monotonic() > end:
            return found
        time.sleep(0.1)  # the page answers when it is asked, and announces nothing


def windows(replay: Replay) -> list[LoadWindow]:
    return [event for event in replay.events[: replay.written] if isinstance(event, LoadWindow)]


def test_the_tables_are_those_of_the_load_by_name_and_in_all(shown: tuple[Served, Replay]) -> None:
    served, replay = shown
    replay.until(lambda event: isinstance(event, LoadNames))
    finished = sum(one.finished for one in windows(replay))
    found = statistics(served, finished)
    rows = {row["name"]: row for row in found["stats"]}  # type: ignore[attr-defined]
    assert set(rows) == {"leads", "<b>leads</b>", "Aggregated"}
    assert rows["Aggregated"]["num_requests"] == finished
    assert rows["leads"]["num_requests"] + rows["<b>leads</b>"]["num_requests"] == finished
    assert rows["<b>leads</b>"]["num_failures"] == len(windows(replay))
    assert rows["<b>leads</b>"]["method"] == "POST"
    assert rows["Aggregated"]["current_rps"] == pytest.approx(windows(replay)[-1].finished, rel=0.1)
    assert found["state"] == "running"
    assert [(error["name"], error["occurrences"]) for error in found["errors"]] == [  # type: ignore[attr-defined]
        ("<b>leads</b>", len(windows(replay)))
    ]
    exceptions = json.loads(told(served, "exceptions"))["exceptions"]
    assert exceptions[0]["count"] == 2 * len(windows(replay))


def test_the_chaos_tab_tells_what_is_in_force_and_its_table_can_be_downloaded(shown: tuple[Served, Replay]) -> None:
    served, _ = shown
    (tab,) = statistics(served)["extended_stats"]  # type: ignore[misc]
    assert tab["key"] == "chaos"
    assert ("fault", "in force") in [(row["kind"], row["state"]) for row in tab["data"]]
    rows = list(csv.DictReader(io.StringIO(told(served, "chaos/csv").decode())))
    assert [row["kind"] for row in rows] == [row["kind"] for row in tab["data"]]
    bands = json.loads(served.ask("GET", "/bands.json")[2])["bands"]
    assert [(one["kind"], one["name"]) for one in bands] == [("fault", "process.kill on worker-1")]


def test_every_page_and_download_of_locust_is_there_and_bears_our_leave_alone(shown: tuple[Served, Replay]) -> None:
    """Also its report; no answer allows other pages anything."""
    served, _ = shown
    for path in ("", "stats/report", "stats/requests/csv", "stats/failures/csv", "exceptions/csv", "tasks", "logs"):
        status, headers, body = served.ask("GET", f"/locust/{path}")
        assert (status, bool(body)) == (200, True), path
        assert not [name for name in headers if name.startswith("access-control")]
        if headers["content-type"].startswith("text/html"):
            nonce = headers["content-security-policy"].partition("'nonce-")[2].partition("'")[0]
            assert f'<script nonce="{nonce}"'.encode() in body
    page = told(served, "").decode()
    arguments = json.loads(page.partition("window.templateArgs = ")[2].partition("\n")[0])
    assert arguments["extended_tabs"] == [{"title": "Chaos", "key": "chaos"}]
    assert {"scenario", "rate", "scale"} <= set(arguments["extra_options"])
    assert "worker-unhealthy" in arguments["extra_options"]["scenario"]["choices"]
    assert arguments["hide_common_options"] is True
    assert len(arguments["history"]) == len(windows(shown[1]))
    asset = page.partition('src="./')[2].partition('"')[0]
    status, headers, _ = served.ask("GET", f"/locust/{asset}")
    assert (status, "javascript" in headers["content-type"]) == (200, True)


def test_its_buttons_change_no_load_and_no_books(shown: tuple[Served, Replay]) -> None:
    """EDIT while a drill is at work, RESET, a change of users: the history does not grow by a byte, and RESET empties
    this page alone."""
    served, replay = shown
    browser = {**served.cookie, "Origin": served.url, "Content-Type": "application/x-www-form-urlencoded"}
    before = (replay.folder / "events.jsonl").read_bytes()
    drill = served.console.desk.drill
    edit = json.loads(served.ask("POST", "/locust/swarm", browser, b"user_count=5&spawn_rate=1&host=http://x")[2])
    assert (edit["success"], "nothing was changed" in edit["message"]) == (False, True)
    assert json.loads(served.ask("POST", "/locust/user", browser, b"{}")[2])["success"] is False
    assert served.ask("POST", "/locust/stats/reset", browser, b"")[2] == b"ok"
    assert statistics(served, 0)["stats"][-1]["num_requests"] == 0  # type: ignore[index]
    replay.until(lambda event: isinstance(event, LoadNames))
    assert statistics(served, windows(replay)[-1].finished)["state"] == "running"
    assert (replay.folder / "events.jsonl").read_bytes().startswith(before)
    assert served.console.desk.drill is drill


def test_it_listens_for_us_alone_and_does_not_outlive_us(shown: tuple[Served, Replay]) -> None:
    served, _ = shown
    statistics(served)
    socket = served.console.settings.scratch / SOCKET
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    child = served.console.mirror.child
    assert child is not None
    process = psutil.Process(child.pid)
    assert process.net_connections("inet") == []
    child.lines.let_go()  # as when we are gone, where the kernel sends no signal
    assert child.wait(10)
    assert child.returncode == 0
    assert statistics(served)["state"] == "running"  # asked again, it is there again


def test_after_the_end_it_says_stopped_and_the_next_run_begins_with_empty_books(
    shown: tuple[Served, Replay], tmp_path: Path
) -> None:
    served, replay = shown
    replay.until(lambda event: isinstance(event, End))
    found = statistics(served, sum(one.finished for one in windows(replay)))
    assert found["state"] == "stopped"
    second = Replay("quiet", replay.folder.parent / "20260101-000001-second")
    second.until(lambda event: isinstance(event, LoadWindow))
    drill = served.console.desk.drill
    assert drill is not None
    before = json.loads(served.ask("GET", "/bands.json")[2])
    drill.folder = second.folder
    found = statistics(served, sum(one.finished for one in windows(second)))
    assert found["errors"] == []
    after = json.loads(served.ask("GET", "/bands.json")[2])
    assert after["bands"] == []
    assert after["run"] != before["run"]


def test_a_page_beside_a_run_reads_the_orders_that_the_run_left(tmp_path: Path) -> None:
    """With the process of the run, whose end it sees, and the files of its configuration."""
    files = ConfigFiles(tmp_path, ("one.yml",), templates=("*.tmpl",))
    orders = Told(new_token(), 8089, str(tmp_path), files, me(), "recorded")
    orders.write(tmp_path)
    assert Told.read(tmp_path) == orders


@pytest.mark.long
@pytest.mark.parametrize("stopped", [False, True])
def test_a_console_that_is_killed_leaves_nothing(stopped: bool, tmp_path: Path) -> None:
    """Neither where it and its mirror stood still before: the kernel ends the mirror within a second."""
    sockets, port = listen(0)
    told_ = Told(new_token(), port, str(tmp_path), ConfigFiles(bundle.folder()), me(), "recorded")
    told_.write(tmp_path)
    fds = [one.fileno() for one in sockets]
    words = [sys.executable, "-m", "chaoskit.console", str(tmp_path), *map(str, fds)]
    with subprocess.Popen(words, pass_fds=fds, start_new_session=True) as console:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        asked.request("GET", "/locust/stats/requests", headers={"Cookie": f"chaoskit-{port}={told_.token}"})
        assert asked.getresponse().status == 200
        asked.close()
        (mirror,) = psutil.Process(console.pid).children(recursive=True)
        for one in (mirror.pid, console.pid) if stopped else ():
            os.kill(one, signal.SIGSTOP)
        console.kill()
    end = time.monotonic() + 1
    while mirror.is_running() and mirror.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)  # no child of this process, whose end would be told
    for each in sockets:
        each.close()
