"""Faults and actions that are programs of the user's own: what they are given, how they end, what is told of them."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

import chaoskit
from chaoskit import identity, waiting
from chaoskit.faults import processes
from chaoskit.faults import slice as burners
from chaoskit.faults.base import FaultError, Lapsed, Target
from chaoskit.faults.command import Command, CommandAction, CommandActionSettings, CommandSettings
from chaoskit.handles.address import Address
from chaoskit.host.process import spawn
from chaoskit.run.held_fault import HeldFault
from chaoskit.safety.lease import Lease
from tests.http_stub import Handler, serving

NOWHERE = Target("", ())


def settings(flag: Path, **more: Any) -> CommandSettings:
    """A fault that consists of a file being there."""
    given = {
        "start": ["touch", str(flag)],
        "stop": ["rm", "-f", str(flag)],
        "seen": ["test", "-e", str(flag)],
    }
    return CommandSettings.model_validate({**given, **more})


def test_a_program_breaks_something_and_its_undo_mends_it_elsewhere(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    token = json.loads(json.dumps(Command().prepare(NOWHERE, settings(flag))))
    assert not flag.exists(), "prepare changes nothing"
    Command().start(token)
    assert flag.exists()
    code = "import json, sys; from chaoskit.faults.command import Command; Command().stop(json.loads(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, json.dumps(token)], check=True, timeout=30, cwd="/")
    assert not flag.exists()
    Command().stop(token)  # idempotent, and without a start


def test_an_effect_that_is_gone_uninvited_is_a_lapse(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    token = Command().prepare(NOWHERE, settings(flag))
    Command().start(token)
    flag.unlink()
    with pytest.raises(Lapsed, match=r"seen \(\S*test\) says that the effect is gone"):
        Command().hold(token, threading.Event())


def test_a_start_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = settings(tmp_path / "x", start=["sh", "-c", "echo no such device >&2; exit 4"])
    with pytest.raises(FaultError, match=r"start \(\S*sh\) ended with 4: no such device"):
        Command().start(Command().prepare(NOWHERE, broken))


def test_a_start_whose_effect_is_not_seen_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code alone proves nothing."""
    monkeypatch.setattr("chaoskit.faults.command._SEEN_S", 0.3)
    with pytest.raises(FaultError, match="seen does not see an effect"):
        Command().start(Command().prepare(NOWHERE, settings(tmp_path / "x", start=["true"])))


def test_an_undo_that_does_not_undo_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.faults.command._SEEN_S", 0.3)
    token = Command().prepare(NOWHERE, settings(tmp_path / "x", stop=["true"]))
    Command().start(token)
    with pytest.raises(FaultError, match="seen still sees the effect"):
        Command().stop(token)


def test_a_program_that_is_not_there_is_named_before_anything_happens(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="there is no program 'no-such-program'"):
        Command().prepare(NOWHERE, settings(tmp_path / "x", stop=["no-such-program"]))


def act(run: list[str] | str, **more: Any) -> dict[str, Any]:
    return CommandAction().run(NOWHERE, CommandActionSettings.model_validate({"run": run, **more}))[1]


def test_arguments_are_never_a_shell_line() -> None:
    assert act(["echo", "$HOME; exit 3", "a b"]) == {"exit": 0, "output": "$HOME; exit 3 a b"}


def test_a_shell_is_used_only_when_asked_for() -> None:
    assert act("echo one && exit 3", shell=True, exit=3) == {"exit": 3, "output": "one"}
    with pytest.raises(ValueError, match="a line is only for shell: true"):
        CommandActionSettings.model_validate({"run": "echo one"})
    with pytest.raises(ValueError, match="run is one line"):
        CommandActionSettings.model_validate({"run": ["echo"], "shell": True})


def test_another_exit_code_than_expected_fails_with_its_output() -> None:
    with pytest.raises(FaultError, match="exit 7 ended with 7, expected was 0: gone wrong"):
        act("echo gone wrong; exit 7", shell=True)


def test_the_environment_is_small_and_what_is_handed_over_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_KEY", "sesame-4711")
    monkeypatch.setenv("OTHER_KEY", "not-for-you")
    said = act("echo key=$CARGO_KEY other=$OTHER_KEY", shell=True, env=["CARGO_KEY"])["output"]
    assert said == "key=<secret> other="
    with pytest.raises(FaultError) as caught:
        act("echo $CARGO_KEY; exit 1", shell=True, env=["CARGO_KEY"])
    assert "sesame" not in str(caught.value)


def test_no_half_of_a_secret_is_left_where_the_output_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_KEY", "abcdefghij" * 20)
    for padding in (3850, 3900, 3999):
        said = act(
            f"printf '%s' \"$CARGO_KEY\"; head -c {padding} /dev/zero | tr '\\0' .", shell=True, env=["CARGO_KEY"]
        )
        assert "fghij" not in said["output"]


def test_much_output_is_cut(tmp_path: Path) -> None:
    said = act("yes | head -c 3000000; echo the end", shell=True)["output"]
    assert len(said) <= 1000
    assert said.endswith("the end")


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(FaultError, match=r"was not done within 0\.5 s"):
        act(f"sleep 60 & echo $! > {note}; wait", shell=True, timeout_s=0.5)
    pid = int(note.read_text())
    assert waiting.await_true(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 5)


def test_a_child_left_behind_does_not_keep_it_waiting(tmp_path: Path) -> None:
    """A program may leave a daemon that holds its output open."""
    note = tmp_path / "pid"
    try:
        assert act(f"sleep 60 & echo $! > {note}", shell=True, timeout_s=5)["exit"] == 0
    finally:
        os.kill(int(note.read_text()), 9)


def test_the_target_s_address_is_told() -> None:
    given = CommandActionSettings.model_validate({"run": "echo $TARGET_URL", "shell": True})
    result = CommandAction().run(Target("", (), Address(url="http://127.0.0.1:1")), given)[1]
    assert result["output"] == "http://127.0.0.1:1"


class Oracle:
    """A Prometheus of which only the query API is there; `says` is what it answers, by status and body."""

    def __init__(self) -> None:
        self.says: Callable[[], tuple[int, Any]] = lambda: (200, vector(False))
        self.asked: list[str] = []
        self.url = ""
        self.end: Callable[[], None] = lambda: None


def vector(there: bool) -> dict[str, Any]:
    result = [{"metric": {}, "value": [1.0, "1"]}] if there else []
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    one = Oracle()

    class Api(Handler):
        def do_GET(self) -> None:
            one.asked.append(parse_qs(urlsplit(self.path).query)["query"][0])
            status, body = one.says()
            self.answer(body, status)

    with ExitStack() as served:
        one.url = served.enter_context(serving(Api)).url
        one.end = served.close
        yield one


def asking(flag: Path, oracle: Oracle, scale: float = 60.0, **more: Any) -> dict[str, Any]:
    """The token of a fault that consists of a file, seen by a query; within 30 virtual seconds."""
    target = Target("", (), Address(time_scale=scale, prometheus={"url": oracle.url}))
    given = settings(flag, seen={"query": "rate(broken[5m]) > 0", "within": "30s"}, **more)
    return json.loads(json.dumps(Command().prepare(target, given)))  # type: ignore[no-any-return]


def test_an_effect_is_seen_in_the_metrics_of_the_run_in_virtual_time(tmp_path: Path, oracle: Oracle) -> None:
    """True before the step is ok, asked while in force, false after the undo."""
    flag = tmp_path / "broken"
    oracle.says = lambda: (200, vector(flag.exists()))
    token = asking(flag, oracle)
    assert token["seen"]["within_s"] == 0.5
    Command().start(token)
    assert set(oracle.asked) == {"(rate(broken[5s]) / 60) > 0"}, "60 times as fast"
    oracle.says = lambda: (200, vector(False))
    with pytest.raises(Lapsed, match="the effect is gone"):
        Command().hold(token, threading.Event())
    assert "seen confirms it" in Command().stop(token).detail
    assert not flag.exists()


@pytest.mark.parametrize(
    ("there", "said"),
    [(False, "seen does not see an effect within 0.5 s"), (None, "gives no answer|not as Prometheus does")],
)
def test_a_start_without_an_answer_in_the_metrics_is_no_effect(
    tmp_path: Path, oracle: Oracle, there: bool | None, said: str
) -> None:
    oracle.says = lambda: (503, "busy") if there is None else (200, vector(there))
    with pytest.raises(FaultError, match=said):
        Command().start(asking(tmp_path / "broken", oracle))


def test_an_undo_that_the_metrics_do_not_confirm_is_no_undo(tmp_path: Path, oracle: Oracle) -> None:
    oracle.says = lambda: (200, vector(True))
    token = asking(tmp_path / "broken", oracle)
    Command().start(token)
    with pytest.raises(FaultError, match="seen still sees the effect"):
        Command().stop(token)
    oracle.says = lambda: (200, {"status": "error", "error": "query timed out"})
    with pytest.raises(FaultError, match="query timed out"):
        Command().stop(token)


def test_a_prometheus_that_ended_with_its_run_keeps_no_undo_from_being_done(tmp_path: Path, oracle: Oracle) -> None:
    flag = tmp_path / "broken"
    oracle.says = lambda: (200, vector(flag.exists()))
    token = asking(flag, oracle)
    token["seen"]["at"]["owner"] = {**identity.token(os.getpid()), "ticks": 1}
    Command().start(token)
    oracle.end()
    assert "has ended with its run" in Command().stop(token).detail
    assert not flag.exists()


def test_a_query_that_is_no_promql_or_has_nobody_to_ask_is_named_before_anything_happens(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seen"):
        settings(tmp_path / "x", seen={"query": "rate(broken"})
    with pytest.raises(FaultError, match="--at prometheus=URL"):
        Command().prepare(NOWHERE, settings(tmp_path / "x", seen={"query": "up"}))


STARTING = {f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output")}
REPORT = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
NONE = "SigBlk: 0000000000000000 SigIgn: 0000000000000000"
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


@pytest.fixture
def deaf() -> Iterator[None]:
    """This process ignores signals and blocks one, as under nohup or in a shell's background."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in OURS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, was in before.items():
        signal.signal(number, was)


def of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return told_of("\n".join(line for line in lines if line.startswith(("SigBlk", "SigIgn"))))


def told_of(report: str) -> str:
    """The two masks in one line, without signals 32 and 33: they are glibc's own, no program can set them, and make's
    way to start programs leaves them ignored."""
    return re.sub(r"(?<=SigIgn: )\w+", lambda mask: f"{int(mask[0], 16) & ~(3 << 31):016x}", " ".join(report.split()))


@pytest.mark.usefixtures("deaf")
def test_programs_of_faults_and_actions_and_equipment_start_with_default_signals(tmp_path: Path) -> None:
    assert of(os.getpid()) != NONE, "the control"
    assert told_of(act(REPORT, shell=True)["output"]) == NONE
    assert told_of(act(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])["output"]) == NONE
    child = spawn(["sh", "-c", REPORT], name="x", log=tmp_path / "log", talks=True)
    assert told_of(b"".join(child.lines).decode()) == NONE
    child.stop()
    undo = {"burn": "b", "mark": {"name": "M", "value": "m"}, **processes.origin()}
    ready = burners.CpuBurn().ignite(undo, "begun(); os.read(0, 1)", [], 1)
    assert of(ready.burners[0].pid).endswith("SigIgn: 0000000001001000"), "SIGPIPE and SIGXFSZ any interpreter ignores"
    burners.CpuBurn().stop(undo)


@pytest.mark.usefixtures("deaf")
def test_what_a_holder_and_a_watchdog_start_hears_signals(tmp_path: Path) -> None:
    """The user's own kill, in a stop, must reach what the start began."""
    flag, told = tmp_path / "broken", tmp_path / "told"
    start = ["sh", "-c", f"{REPORT} > {told}; touch {flag}"]
    held = HeldFault(
        Command(), Command().prepare(NOWHERE, settings(flag, start=start)), 60, tmp_path / "l", lambda _: None
    )
    held.await_armed()
    held.start()
    held.await_effect()
    assert told_of(told.read_text()) == NONE
    assert of(held._holder.pid).endswith("0000000001000000"), "itself it ignores what any interpreter does"
    os.kill(held._holder.pid, signal.SIGTERM)
    held.take_back()
    lease = Lease([tmp_path], tmp_path / "w.log", lambda _: None)
    lease.begin()
    assert of(lease._watchdog.pid).endswith("SigIgn: 0000000001000000")
    os.kill(lease._watchdog.pid, signal.SIGTERM)
    lease.end(healed=True)


def test_every_place_that_starts_a_program_does_so_with_default_signals() -> None:
    """By the two ways there are: `fresh` in the call, or words that `tied` has made."""
    for file in Path(chaoskit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in STARTING:
                assert isinstance(node.args[0], ast.Call), (file, node.lineno)
                assert ast.unparse(node.args[0].func) in ("fresh", "tied"), (file, node.lineno)


def test_effect_is_another_word_for_seen_and_not_a_second_one(tmp_path: Path) -> None:
    question = {"query": "broken > 0", "within": "30s"}
    given = {"start": ["true"], "stop": ["true"], "effect": question}
    assert CommandSettings.model_validate(given).seen == settings(tmp_path / "x", seen=question).seen
    with pytest.raises(ValueError, match="effect"):
        CommandSettings.model_validate({**given, "seen": question})
