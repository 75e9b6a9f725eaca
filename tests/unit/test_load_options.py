"""What Locust's users say on its command line, a profile says; and what is wrong with a file is known before a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaoskit.load.messages import LoadWindow
from chaoskit.scenario.shape import Shape, factor
from tests.load_examples import Start, Target, start, target

__all__ = ["start", "target"]

HEAD = "from locust import FastHttpUser, LoadTestShape, TaskSet, User, constant, events, tag, task\n"
GOOD = HEAD + "class Good(FastHttpUser):\n    @task\n    @tag('read')\n    def look(self): pass\n"
ASKING = (
    GOOD
    + """
@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--room", env_var="ROOM", required=True)
    parser.add_argument("--page-size", type=int, default=5)
    parser.add_argument("--loud", action="store_true")
"""
)
STAIRS = (
    GOOD
    + """
class Stairs(LoadTestShape):
    def tick(self):
        run_time = self.get_run_time()
        if run_time < 60:
            return (10, 1)
        return (40, 40) if run_time < 90 else None
"""
)
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "good": (GOOD, {}, []),
    "no weight": (GOOD + "    weight = 0\n", {}, ["no users with weight > 0 (give one a weight above 0)"]),
    "no task": (
        HEAD + "class Idle(FastHttpUser):\n    def look(self): pass\n",
        {},
        [":2: the user class Idle has no tasks (mark a method with @task"],
    ),
    "an empty TaskSet": (
        HEAD + "class Flow(TaskSet): pass\nclass Idle(User):\n    tasks = [Flow]\n",
        {},
        ["the user class Idle has no tasks"],
    ),
    "tasks made at the start": (
        HEAD + "class Late(User):\n    def on_start(self): self.tasks = [print]\n",
        {},
        [],
    ),
    "functions for pytest": ("def test_look(fastsession):\n    fastsession.get('/look')\n", {}, []),
    "a tag": (GOOD, {"tags": ["read"]}, []),
    "no such tag": (GOOD, {"tags": ["raed"]}, ["has no tasks (none is left of what tags and exclude_tags say"]),
    "a class": (GOOD, {"classes": ["Good"]}, []),
    "no such class": (GOOD, {"classes": ["God"]}, ["has no user class 'God' (did you mean 'Good'?)"]),
    "lacking": (ASKING, {}, ["needs --room (write load: {options: {room: …}}, or set the variable ROOM)"]),
    "given": (ASKING, {"options": {"room": "a b", "page-size": 7, "loud": True}}, []),
    "unknown": (
        ASKING,
        {"options": {"rom": "x", "users": 3}},
        ["has no option 'rom' (did you mean 'room'?)", "'users' of options is one of Locust's own", "load: users: 20"],
    ),
    "no number": (ASKING, {"options": {"room": "x", "page_size": "many"}}, ["invalid int value: 'many'"]),
    "a listener": (
        GOOD + "@events.init_command_line_parser.add_listener\ndef more(parser): parser.add()\n",
        {},
        ["a listener raised TypeError", "own.py:7"],
    ),
    "a listener that exits": (
        GOOD + "@events.init_command_line_parser.add_listener\ndef more(parser): raise SystemExit('no VPN')\n",
        {},
        ["cannot be used: SystemExit: no VPN (own.py:7)"],
    ),
    "a coroutine": (
        HEAD
        + "class Asks(TaskSet):\n    @task\n    async def ask(self): pass\nclass Idle(User):\n    tasks = [Asks]\n",
        {},
        [":3: the task ask is async def, and Locust runs nothing of it (write def"],
    ),
    "fewer than asked for": (
        GOOD + "    fixed_count = 1\n",
        {},
        ["has a fixed_count, 1 together, and 4 users are asked for (write users: 1"],
    ),
    "an exit": ("raise SystemExit('no')", {}, ["own.py:1: cannot be imported: SystemExit: no"]),
    "a shape": (
        STAIRS,
        {},
        ["users: 40, shape: {stages: [{for: 1m, to: 25%, over: 10s}, {for: 30s, to: 100%}]} in the profile"],
    ),
    "Locust's variables": (HEAD + "import os\nassert 'LOCUST_USERS' in os.environ\n", {}, ["has no user class"]),
}
LOOK = """
import json, os, sys
import locust
from chaoskit.load.model import LoadSpec
from chaoskit.load.own_users import problems_of

for path, more in json.load(sys.stdin):
    if not os.fork():
        os.dup2(2, 1)
        spec = LoadSpec(host="http://127.0.0.1", users=4, locustfile=path, **more)
        found = [str(problem) for problem in problems_of(spec)]
        with open(path + ".found", "w") as file:
            json.dump(found, file)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is found wrong with each, by one process that has imported Locust."""
    files = {name: tmp_path_factory.mktemp("own") / "own.py" for name in CASES}
    for name, file in files.items():
        file.write_text(CASES[name][0])
    asked = json.dumps([(str(files[name]), CASES[name][1]) for name in CASES])
    variables = {"LOCUST_USERS": "7", "ROOM": ""}
    environment = {**os.environ, **variables}
    del environment["ROOM"]
    done = subprocess.run(
        [sys.executable, "-c", LOOK], input=asked, capture_output=True, text=True, timeout=100, env=environment
    )
    assert done.returncode == 0, done.stderr
    return {name: json.loads(file.with_name("own.py.found").read_text()) for name, file in files.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_with_a_file_is_found_before_a_run(looked: dict[str, list[str]], name: str) -> None:
    wanted, found = CASES[name][2], looked[name]
    assert all(any(part in problem for problem in found) for part in wanted), found
    assert bool(wanted) == bool(found), found


TELLING = """
import json, os
from locust import FastHttpUser, constant, events, tag, task

def say(what, **more):
    with open(os.path.join(os.path.dirname(__file__), "said"), "a") as file:
        file.write(json.dumps([what, more]) + "\\n")

@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--room", required=True)

@events.test_start.add_listener
def begin(environment, **_):
    options = environment.parsed_options
    named = ("num_users", "spawn_rate", "run_time", "host", "room", "tags", "user_classes")
    say("test_start", locusts=[name for name in os.environ if name.startswith("LOCUST_")],
        **{name: getattr(options, name) for name in named})

@events.quitting.add_listener
def quitting(environment, **_):
    say("quitting", requests=environment.stats.total.num_requests)
    environment.process_exit_code = 4

@events.quit.add_listener
def quit(exit_code, **_):
    say("quit", exit_code=exit_code)

class Reader(FastHttpUser):
    wait_time = constant(0.05)
    @task
    @tag("read")
    def look(self):
        self.client.get("/look", name="look")
    @task
    @tag("write")
    def write(self):
        self.client.get("/write", name="write")

class Writer(Reader):
    pass
"""


def test_a_locustfile_finds_its_options_and_hears_all_events(
    start: Start, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users come as fast as spawn_rate says, and that is what is asked for: a window names the mean of its second."""
    monkeypatch.setenv("LOCUST_TAGS", "write")
    own = tmp_path / "own.py"
    own.write_text(TELLING)
    more = {"options": {"room": "blue"}, "tags": ("read",), "classes": ("Reader",), "spawn_rate": 2.0, "limit_s": 60.0}
    load, heard = start(users=4, locustfile=str(own), **more)
    heard.wait(lambda windows: windows[-1].users == 4)
    totals = load.stop()
    said = dict(json.loads(line) for line in (tmp_path / "said").read_text().splitlines())
    assert said["test_start"] == {
        "num_users": 4, "spawn_rate": 2.0, "run_time": 60, "host": target.host, "room": "blue", "tags": ["read"],
        "user_classes": ["Reader"], "locusts": [],
    }  # fmt: skip
    assert said["quitting"] == {"requests": totals.finished}
    assert said["quit"] == {"exit_code": 4}
    assert totals.exit_code == 4
    assert set(totals.by_name) == {"GET look"}
    windows = heard.of(LoadWindow)
    assert all(w.users <= (w.asked_users or 0) + 2 for w in windows)
    rising = [w for w in windows if w.asked_users and w.asked_users < 4]
    assert len(rising) >= 2


def test_stages_follow_one_another_and_the_last_one_stays() -> None:
    shape = Shape(kind="stages", stages=((10, 0.5, 4), (5, 2.0, 0), (10, 1.0, 10)))
    found = [factor(shape, t) for t in (-1, 0, 2, 4, 9.9, 10, 14.9, 15, 20, 25, 100)]
    assert found == pytest.approx([0, 0, 0.25, 0.5, 0.5, 2, 2, 2, 1.5, 1, 1])
    assert shape.highest == 2
    assert not shape.problems()


@pytest.mark.long
def test_functions_for_pytest_are_users_too(start: Start, target: Target, tmp_path: Path) -> None:
    """With Locust's fixtures `session` and `fastsession`; one that raises ends its user, and that is told."""
    own = tmp_path / "test_own.py"
    own.write_text(
        "import time\n"
        "def test_look(fastsession):\n    fastsession.get('/look', name='look')\n    time.sleep(0.1)\n"
        "def test_slow(session):\n    session.get('/slow', name='slow')\n    raise KeyError('basket')\n"
    )
    load, heard = start(users=2, locustfile=str(own))
    heard.wait(lambda windows: len(windows) >= 2)
    totals = load.stop()
    counts = target.counts()
    assert totals.reconciled, totals.detail
    assert (totals.by_name["GET look"].finished, totals.by_name["GET slow"].finished) == (counts["/look"], 1)
    assert totals.raised == {"KeyError: 'basket' (test_own.py:7)": 1}
    assert {reason for w in heard.of(LoadWindow) for reason in w.ended} == set(totals.raised)
