"""A locustfile in several processes is one load under Locust's own master: users are shared out once, over no port."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import psutil

from chaoskit.load.messages import LoadWindow
from tests.load_examples import Start, Target, adds_up, start, target

__all__ = ["start", "target"]

OWN = """
from pathlib import Path
from locust import FastHttpUser, constant, events, task

def note(text):
    with Path({side!r}).open("a") as file:
        file.write(text + "\\n")

SEATS = [f"seat-{{n}}" for n in range(40)]
free = []
note("loaded")

@events.test_start.add_listener
def deal(environment, **_):
    note("starts in a " + type(environment.runner).__name__)
    if hasattr(environment.runner, "worker_index"):
        free.extend(SEATS[environment.runner.worker_index :: 2])

@events.test_stop.add_listener
def stops(environment, **_):
    note("stops in a " + type(environment.runner).__name__)

class Chief(FastHttpUser):
    fixed_count = 1
    wait_time = constant(0.05)

    def on_start(self):
        note("chief")

    @task
    def look(self):
        self.client.get("/chief")

class Clerk(FastHttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        note(free.pop(0))

    @task
    def look(self):
        self.client.get("/clerk")
"""


def test_users_are_shared_out_once_and_every_request_is_in_both_books(
    start: Start, target: Target, tmp_path: Path
) -> None:
    own, side = tmp_path / "own.py", tmp_path / "side.txt"
    own.write_text(OWN.format(side=str(side)))
    load, heard = start(users=7, processes=2, locustfile=str(own))
    heard.wait(lambda windows: windows[-1].users == windows[-1].asked_users == 7 and windows[-1].finished > 50)
    ports = [one for pid in load.pids for one in psutil.Process(pid).net_connections("inet") if one.status == "LISTEN"]
    assert ports == []
    assert len(load.pids) == 3
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.locust_requests == totals.finished == sum(target.counts().values())
    noted = Counter(side.read_text().split("\n"))
    assert noted["loaded"] == 3
    assert noted["chief"] == 1
    assert sorted(count for word, count in noted.items() if word.startswith("seat-")) == [1] * 6
    for what in ("starts", "stops"):
        assert (noted[f"{what} in a WorkerRunner"], noted[f"{what} in a MasterRunner"]) == (2, 1)
    assert all(window.users in (0, 7) for window in heard.of(LoadWindow)[1:-1])
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
