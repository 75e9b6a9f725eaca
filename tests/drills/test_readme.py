"""README's commands that play a stack or install, run as printed in a process of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.readme_commands import LONG, ROOT, STORY, TEXT, lay_out

pytestmark = [pytest.mark.stack, pytest.mark.drill, pytest.mark.long]
REHEARSE = LONG[0]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """With this environment's programs first on PATH, and notes of runs in a folder of the test's own."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "CHAOSKIT_STATE": str(folder / "state"), **more}


def shell(command: str, folder: Path, timeout_s: float = 150, **more: str) -> subprocess.CompletedProcess[str]:
    """The printed line in a shell."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def told(text: str) -> list[str]:
    """The words of a rehearsal, without what differs from one to the next: durations, and a busy machine's remarks.

    README breaks its longest lines, so line breaks do not count.
    """
    lines = [line for line in text.splitlines() if "machine is busy" not in line]
    return re.sub(r"[\d.]+ s\b|in \d+ waves? on \d+ stacks?|rehearsal-\d+", "#", "\n".join(lines)).split()


def printed_rehearsal() -> str:
    return re.findall(r"```\n(deriving series.*?)```", TEXT, re.DOTALL)[0]


def test_the_rehearsal_of_its_two_files_prints_what_it_shows(tmp_path: Path) -> None:
    lay_out(tmp_path)
    done = shell(REHEARSE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert told(done.stdout) == told(printed_rehearsal())


def test_the_route_that_was_changed_fails_the_drill_and_its_line_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path)
    write, rehearse = STORY
    assert shell(write, tmp_path).returncode == 0
    routes = tmp_path / "alertmanager.yml"
    routes.write_text(routes.read_text("utf-8").replace('severity="critical"', 'severity=~"crit"'), encoding="utf-8")
    done = shell(rehearse, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    printed = " ".join(told(re.findall(r"```\n(FAIL .*?)```", TEXT, re.DOTALL)[0]))
    assert printed in " ".join(told(done.stdout))
    assert "UNKNOWN" not in done.stdout


@pytest.mark.timeout(400)
def test_a_rendered_bundle_is_run_as_its_page_says(tmp_path: Path) -> None:
    """With its Watchdog, which fires always; without being told so the run is UNKNOWN, and says what to write."""
    page = (ROOT / "docs" / "alert-bundle.md").read_text(encoding="utf-8")
    shown = re.findall(r"^    (chaoskit (?:.|\\\n)*?[^\\])$", page, re.MULTILINE)
    render, run = shown
    assert shell(render, tmp_path).returncode == 0
    done = shell(run, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = shell(run.partition(" --set")[0], tmp_path)
    assert done.returncode == 3
    assert "--set 'standing=[Watchdog]'" in re.sub(r"\s+", " ", done.stdout)


@pytest.mark.timeout(400)
def test_a_run_is_judged_again_and_the_local_stack_stays_up_until_ctrl_c(tmp_path: Path) -> None:
    """A fault on its link is in force once a call was hit, so calls go over the link meanwhile."""
    run, verify, up = LONG[1:4]
    done = shell(run, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell(verify, tmp_path).returncode == 0
    with running(f"exec {up} --ports free --format json", tmp_path) as stack:
        assert stack.stdout is not None
        addresses = json.loads(stack.stdout.readline())["addresses"]
        assert set(addresses) >= {"Prometheus", "proxy", "queue", "token file", "database", "worker title"}
        assert Path(addresses["token file"]).is_file()
        with calls(f"{addresses['CRM']}/agent-requests"):
            asked = shell(
                "chaoskit inject tcp.reset --target link:upstream=upstream --for 1s "
                f"--at url={addresses['proxy']} --at 'token_file={addresses['token file']}'",
                tmp_path,
            )
        assert asked.returncode == 0, asked.stdout + asked.stderr
        os.killpg(stack.pid, signal.SIGINT)
        assert stack.wait(60) == 0


@contextmanager
def calls(url: str) -> Iterator[None]:
    """Requests for an agent, one after the other, until the block ends."""
    enough = threading.Event()

    def call() -> None:
        while not enough.wait(0.05):
            requests.post(url, json={"agent": "lead-scorer", "lead_id": 1}, timeout=10)

    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call)
        try:
            yield
        finally:
            enough.set()
        calling.result(20)


@contextmanager
def running(command: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own, which is ended with the block."""
    child = subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)


@pytest.mark.timeout(900)
def test_in_an_empty_environment_it_is_installed_fetches_its_programs_and_rehearses(tmp_path: Path) -> None:
    """`pip install .` builds the wheel and installs that: nothing of the clone is used from there on."""
    home = tmp_path / "home"
    home.mkdir()
    outside = dict.fromkeys(("CHAOSKIT_CACHE", "XDG_CACHE_HOME", "PYTHONPATH", "VIRTUAL_ENV"), "")
    settings = {"HOME": str(home), "PATH": os.environ["PATH"], "PIP_CONFIG_FILE": str(pip_settings(home)), **outside}
    for command in LONG[4:]:
        done = shell(command, ROOT, 600, **settings)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert (home / ".cache" / "chaoskit" / "binaries").is_dir() or "PATH" in done.stdout
    folder = tmp_path / "team"
    folder.mkdir()
    lay_out(folder)
    settings["PATH"] = f"{home}/chaoskit/bin:{os.environ['PATH']}"
    done = shell(REHEARSE, folder, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert told(done.stdout) == told(printed_rehearsal())
    listed = shell("chaoskit list && chaoskit plan worker-unhealthy", folder, **settings)
    assert listed.returncode == 0
    assert "worker-unhealthy" in listed.stdout


def pip_settings(home: Path) -> Path:
    """This user's settings of pip, which another HOME would hide."""
    own = Path.home() / ".config" / "pip" / "pip.conf"
    copied = home / "pip.conf"
    copied.write_text(own.read_text(encoding="utf-8") if own.is_file() else "", encoding="utf-8")
    return copied
