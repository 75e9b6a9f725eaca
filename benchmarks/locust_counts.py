"""The same locustfiles under plain Locust and under chaoskit: requests, failures and exceptions, name by name.

Each file's users do so much and no more, so both must come to the same numbers: `locust --headless` in one
process, chaoskit's load in another, against a server that costs nothing. Beside that: the memory of a load whose
locustfile puts a number into each URL, with 19,000 names, its own and Locust's statistics together.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks.cheap_server import serving
from benchmarks.shared import Unusable, environment, machine, out_folder, show, verdict_on
from chaoskit import waiting
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow
from chaoskit.load.model import LoadSpec

USERS = 6
NAMES = 19_000
MOST_MIB = 100.0
_LONGEST_S = 120.0

HEAD = """\
import gevent
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, constant, events, task
from locust.exception import StopUser

class Some:
    wait_time = constant(0.01)
    left = 15
    def spend(self):
        self.left -= 1
        if self.left < 0:
            raise StopUser

"""
FILES: Mapping[str, str] = {
    "FastHttpUser": """
class Fast(Some, FastHttpUser):
    @task
    def look(self):
        self.spend()
        self.client.get("/look")
""",
    "HttpUser": """
class Slow(Some, HttpUser):
    @task
    def look(self):
        self.spend()
        self.client.post("/look", json={"a": 1})
""",
    "two classes, one of a fixed count": """
class Chief(Some, FastHttpUser):
    fixed_count = 2
    @task
    def look(self):
        self.spend()
        self.client.get("/chief")

class Clerk(Some, HttpUser):
    @task
    def look(self):
        self.spend()
        self.client.get("/clerk")
""",
    "task sets in a row and within each other": """
class Flow(SequentialTaskSet):
    def on_start(self):
        self.user.spend()
        self.client.get("/begin")
    @task
    def one(self): self.client.get("/one")
    @task
    class Inner(TaskSet):
        @task
        def deep(self):
            self.client.get("/deep")
            self.interrupt(reschedule=False)
    @task
    def two(self):
        self.client.get("/two")
        self.interrupt()

class Shop(Some, HttpUser):
    tasks = [Flow]
""",
    "on_start and on_stop": """
class Session(Some, FastHttpUser):
    def on_start(self): self.client.get("/login")
    def on_stop(self): self.client.get("/logout")
    @task
    def look(self):
        self.spend()
        self.client.get("/look")
""",
    "finally": """
class Tidy(Some, HttpUser):
    @task
    def flow(self):
        self.client.post("/made")
        try:
            self.spend()
        finally:
            self.client.delete("/made")
""",
    "failures of its own": """
class Fails(Some, FastHttpUser):
    @task
    def fail(self):
        self.spend()
        with self.client.get("/order", catch_response=True) as answer:
            answer.failure("sold out" if self.left % 2 else ValueError("no price"))
""",
    "nothing listens": """
class Lost(Some, HttpUser):
    @task
    def lose(self):
        self.spend()
        self.client.get("http://127.0.0.1:1/", name="lost")
""",
    "tasks that raise": """
class Wrong(Some, FastHttpUser):
    @task
    def look(self):
        self.spend()
        self.client.get("/look").json()["first"]
""",
    "a client of its own": """
class Publishes(Some, HttpUser):
    @task
    def publish(self):
        self.spend()
        events.request.fire(request_type="MQTT", name="sent", response_time=None, response_length=0, exception=None,
                            context={})
        events.request.fire(request_type="MQTT", name="lost", response_time=3, response_length=0,
                            exception=TimeoutError("no answer"), context={})
""",
    "answers that are never reported": """
class Forgets(Some, FastHttpUser):
    @task
    def look(self):
        self.spend()
        self.client.get("/told")
        self.client.get("/forgotten", catch_response=True)
""",
    "names given late": """
class Names(Some, FastHttpUser):
    @task
    def look(self):
        self.spend()
        with self.rest("GET", "/item/%d" % self.left, name="/item") as answer:
            pass
        with self.client.rename_request("/renamed"):
            self.client.get("/item/%d" % self.left)
""",
    "several at once": """
class Pool(Some, FastHttpUser):
    @task
    def look(self):
        self.spend()
        gevent.joinall([gevent.spawn(self.client.get, path) for path in ("/a", "/b", "/c")])
""",
    "listeners and contexts": """
heard = []

@events.request.add_listener
def hear(name, context, **_):
    heard.append((name, context["step"]))

@events.test_start.add_listener
def begin(environment, **_):
    environment.stats.reset_all()

class Told(Some, HttpUser):
    def context(self): return {"step": self.left}
    @task
    def look(self):
        self.spend()
        self.client.get("/look", context={"more": 1})
""",
}
ENDS = """
@events.spawning_complete.add_listener
def ends(user_count, **_):
    @gevent.spawn
    def look():
        while RUNNER.user_count:
            gevent.sleep(0.1)  # the last user's end is no event of Locust's
        RUNNER.quit()

@events.init.add_listener
def knows(environment, **_):
    global RUNNER
    RUNNER = environment.runner

@events.quitting.add_listener
def tell(environment, **_):
    import json
    names = {f"{one.method} {one.name}": (one.num_requests, one.num_failures)
             for one in environment.stats.entries.values()}
    print("counted", json.dumps([names, sum(one["count"] for one in RUNNER.exceptions.values())]), flush=True)
"""
"""What ends plain Locust when the users' work is done, for it would go on without users, and tells what it counted."""
MANY_NAMES = (
    HEAD
    + """
numbers = iter(range(NAMES))

class Many(FastHttpUser):
    wait_time = constant(0)
    @task
    def look(self):
        number = next(numbers, None)
        if number is None:
            raise StopUser
        self.client.get(f"/item/{number}")
""".replace("NAMES", str(NAMES))
)


@dataclass(frozen=True)
class Counts:
    """Requests and failures of each name, and exceptions of the file's own code."""

    names: Mapping[str, tuple[int, int]]
    raised: int

    @property
    def all(self) -> str:
        """Both sums and the exceptions, for a table."""
        requests, failed = (sum(one[n] for one in self.names.values()) for n in (0, 1))
        return f"{requests} / {failed} / {self.raised}"


def under_locust(file: Path, host: str) -> Counts:
    """What Locust's own statistics say at the end; raises Unusable where they were not told."""
    file = Path(shutil.copy(file, file.with_stem(f"{file.stem}_plain")))
    with file.open("a", encoding="utf-8") as text:
        text.write(ENDS)
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--only-summary", "-H", host]
    command += ["-u", str(USERS), "-r", str(USERS), "-t", f"{_LONGEST_S:g}s"]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=2 * _LONGEST_S, env=environment(), check=False
    )
    for line in run.stdout.splitlines():
        if line.startswith("counted "):
            names, raised = json.loads(line.partition(" ")[2])
            return Counts({name: tuple(one) for name, one in names.items()}, raised)
    raise Unusable(f"plain Locust counted nothing; the end of its log:\n{run.stderr[-800:]}")


def under_chaoskit(file: Path, host: str) -> Counts:
    """What chaoskit's totals say, without answers that were never reported, which Locust does not count."""
    totals, _ = _load(file, host, USERS)
    names = {name: (one.finished - totals.unreported.get(name, 0), one.failed) for name, one in totals.by_name.items()}
    return Counts({name: one for name, one in names.items() if one[0]}, sum(totals.raised.values()))


def _load(file: Path, host: str, users: int) -> tuple[LoadTotals, float]:
    """A load to the end of its work; with the most memory of its process, MiB."""
    ended: list[LoadState] = []

    def heard(report: LoadState | LoadWindow | LoadTotals) -> None:
        if isinstance(report, LoadState) and report.state == "deserted":
            ended.append(report)

    spec = LoadSpec(host=host, users=users, locustfile=str(file))
    load = LoadChild.start(spec, log=file.with_suffix(".log"), on_event=heard)
    try:
        waiting.await_true(lambda: bool(ended) or not load.alive, _LONGEST_S, 0.1)
        most = psutil.Process(load.pids[0]).memory_info().rss / 2**20
    finally:
        totals = load.stop()
    if not totals.reconciled:
        raise Unusable(f"the load on {file.name} did not come to its end: {totals.detail}")
    return totals, most


@click.command(help=__doc__)
@click.option("--names/--no-names", default=True, show_default=True, help="Also measure 19,000 names.")
def main(names: bool) -> None:
    rows, equal = [], 0
    with out_folder(None) as folder, serving() as host:
        for number, (title, text) in enumerate(FILES.items()):
            file = folder / f"file_{number}.py"
            file.write_text(HEAD + text, encoding="utf-8")
            theirs, ours = under_locust(file, host), under_chaoskit(file, host)
            equal += theirs == ours
            rows.append((title, theirs.all, ours.all, "equal" if theirs == ours else "NOT equal"))
            if theirs != ours:
                click.echo(f"{title}: {dict(theirs.names)} under Locust, {dict(ours.names)} under chaoskit")
        show("Requests / failures / exceptions", ("", "plain Locust", "chaoskit", "name by name"), rows)
        click.echo(f"equal, name by name: {equal} of {len(FILES)} files")
        if names:
            file = folder / "names.py"
            file.write_text(MANY_NAMES, encoding="utf-8")
            totals, most = _load(file, host, 10)
            if totals.finished != NAMES:
                raise Unusable(f"{totals.finished} of {NAMES} requests were made within {_LONGEST_S:g} s")
            click.echo(f"memory of a load with {NAMES} names: {verdict_on(most, MOST_MIB, ' MiB')}")
    click.echo(machine())
    if equal != len(FILES):
        sys.exit(1)


if __name__ == "__main__":
    main()
