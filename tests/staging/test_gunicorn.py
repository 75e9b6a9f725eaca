"""Two workers of gunicorn have one name: a drill on them is refused with their pids until the profile says which."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.host.ports import reserve
from chaoskit.waiting import await_true
from tests.attached_system import SCENARIO, write_bundle
from tests.staging_servers import serving

pytestmark = [pytest.mark.staging, pytest.mark.timeout(120)]
APP = "def app(_environ, start):\n    start('200 OK', [])\n    return [b'an order']\n"


@dataclass(frozen=True)
class Api:
    """A gunicorn with two workers, and the folder of a profile for it."""

    folder: Path
    name: str
    url: str
    master: psutil.Process

    def workers(self) -> list[psutil.Process]:
        return sorted(self.master.children(), key=lambda one: one.pid)

    def command(self, what: str, *more: str, pick: str = "") -> int:
        """A command of chaoskit on one worker of role api, with this `pick`."""
        match = {"match": rf"gunicorn: worker \[(?P<name>{self.name})\]", "label": "worker_name"}
        attached = {"prometheus": "http://127.0.0.1:9", "alertmanager": "http://127.0.0.1:9", "metrics": self.url}
        profile = {
            "chaoskit": 1,
            "target": {"attached": {**attached, "environment": "staging"}},
            "handles": {"role": {"worker": {**match, **({"pick": pick} if pick else {})}}},
            "limits": {"fault": "3m", "run": "10m", "workers": "100%"},
        }
        (self.folder / "profile.yml").write_text(yaml.safe_dump(profile))
        (self.folder / "drill.yml").write_text(SCENARIO)
        words = [what, str(self.folder / "drill.yml"), "--profile", str(self.folder / "profile.yml")]
        return run([*words, "--bundle", str(self.folder / "bundle"), *more])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    (folder / "shop.py").write_text(APP)
    write_bundle(folder / "bundle")
    [port] = reserve(1)
    url, name = f"http://127.0.0.1:{port}/", f"shop-{port}"
    words = ["-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}", "--name", name]
    words += ["--no-control-socket", "shop:app"]

    def up() -> bool:
        try:
            return requests.get(url, timeout=2).ok
        except requests.RequestException:
            return False

    with serving([sys.executable, *words], folder, up) as process:
        found = Api(folder, name, url, psutil.Process(process.pid))
        titled = f"gunicorn: worker [{name}]"
        assert await_true(lambda: [" ".join(one.cmdline()).strip() for one in found.workers()] == [titled] * 2, 20, 0.1)
        yield found


def test_two_workers_under_one_name_are_refused_with_their_pids_and_none_is_touched(
    api: Api, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = api.workers()
    assert api.command("run", "--confirm", "staging", "--out", str(tmp_path / "out")) == ExitCode.USAGE
    said = " ".join(capsys.readouterr().err.split())
    pids = ", ".join(str(one.pid) for one in before)
    assert f"several processes have one name: {api.name} (pids {pids})" in said
    assert "write pick: oldest or pick: each beside match:" in said
    assert api.workers() == before
    assert {one.status() for one in before} <= {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
    assert requests.get(api.url, timeout=5).text == "an order"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pick", ["oldest", "each"])
def test_with_pick_the_same_drill_can_be_planned(api: Api, capsys: pytest.CaptureFixture[str], pick: str) -> None:
    assert api.command("plan", pick=pick) == ExitCode.PASS, capsys.readouterr().err
    assert api.name in capsys.readouterr().out


@pytest.mark.parametrize(("pick", "hit"), [("oldest", 1), ("each", 2)])
def test_by_hand_as_many_stand_still_as_pick_says(api: Api, tmp_path: Path, pick: str, hit: int) -> None:
    at = f"pattern=gunicorn: worker \\[(?P<name>{api.name})\\]"
    words = ["inject", "process.pause", "--target", f"role:worker={api.name}", "--at", at, "--at", f"pick={pick}"]
    command = [sys.executable, "-m", "chaoskit", *words, "--for", "3s", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def still() -> int:
        return sum(one.status() == psutil.STATUS_STOPPED for one in api.workers())

    seen: set[int] = set()

    def ended() -> bool:
        seen.add(still())
        return process.poll() is not None

    assert await_true(ended, 60, 0.05)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 0, said
    assert max(seen) == hit, said
    assert still() == 0
