"""One at a time, the stop lever, and what the next command does about runs that died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from chaoskit import waiting
from chaoskit.cli import run as chaoskit
from chaoskit.errors import BadInput, Refused
from chaoskit.faults import processes
from chaoskit.faults.hit import hit
from chaoskit.files import make_private
from chaoskit.handles.address import Address
from chaoskit.handles.role import Role
from chaoskit.run.inject import order
from chaoskit.safety.lock import TargetLock, lock_file, locks
from chaoskit.safety.run_registry import Entry, entries, me, register, state_folder
from chaoskit.safety.stop_all import block, blocked, refuse_if_blocked, sweep, unblock
from chaoskit.scenario.model import Attached, Handles
from chaoskit.stack.attached import AttachedStack
from tests.safety_examples import (
    PATTERN,
    TARGET,
    environment,
    filled,
    in_force,
    inject,
    invoke,
    journal,
    ours,
    sleeper,
    state,
    twin,
)

__all__ = ["sleeper", "state"]
pytestmark = pytest.mark.usefixtures("state")
_RACER = """
import sys, time
from pathlib import Path
from typing import Any
from chaoskit.errors import Refused
from chaoskit.safety.lock import TargetLock
time.sleep(max(0, float(sys.argv[1]) - time.time()))
try:
    lock = TargetLock.take("the target", [Path(sys.argv[2])])
except Refused as refusal:
    print("refused", refusal, flush=True)
else:
    print("taken", flush=True)
    sys.stdin.read()
    lock.release(healed=True)
"""


def racers(state: Path, count: int) -> list[subprocess.Popen[str]]:
    """Processes that try to take the lock at the same instant."""
    at = time.time() + 1.5
    return [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(at), str(state / f"run-{number}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(state),
        )
        for number in range(count)
    ]


def finish(runs: list[subprocess.Popen[str]]) -> list[str]:
    said = []
    for one in runs:
        assert one.stdout is not None
        said.append(one.stdout.readline())
    for one in runs:
        one.communicate(timeout=30)
    return said


def test_of_several_that_begin_at_the_same_moment_exactly_one_runs(state: Path) -> None:
    race(state, 2)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_of_several_that_begin_at_the_same_moment_exactly_one_runs_a_hundred_times(state: Path) -> None:
    race(state, 100)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.long
def test_of_two_commands_started_at_the_same_moment_exactly_one_breaks_anything_a_hundred_times(
    state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    race_of_commands(state, tmp_path, sleeper, 100)


def test_of_two_commands_started_at_the_same_moment_exactly_one_breaks_anything(
    state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    race_of_commands(state, tmp_path, sleeper, 1)


def ended(runs: list[subprocess.Popen[str]]) -> bool:
    return any(one.poll() is not None for one in runs)


def race_of_commands(state: Path, tmp_path: Path, sleeper: psutil.Process, times: int) -> None:
    """The one that gets the target holds it until the other has ended, however far apart the machine lets them come."""
    for number in range(times):
        out = tmp_path / f"round-{number}"
        both = [inject(state, out, for_="120s") for _ in range(2)]
        assert waiting.await_true(partial(ended, both), 60)
        (loser,) = [one for one in both if one.poll() is not None]
        (winner,) = [one for one in both if one is not loser]
        said, _ = loser.communicate(timeout=30)
        assert loser.returncode == 2, said
        assert f"is locked by process {winner.pid}, for " in said
        in_force(winner)
        assert processes.stopped(sleeper)
        winner.send_signal(signal.SIGTERM)
        said, _ = winner.communicate(timeout=60)
        assert winner.returncode == 4, said
        begun = [b'"invoke"' in file.read_bytes() for file in out.glob("*/events.jsonl")]
        assert begun.count(True) == 1
        assert waiting.await_true(lambda: not ours(state), 15), ours(state)
        assert not processes.stopped(sleeper)
        assert list(entries()) == []


def race(state: Path, times: int) -> None:
    for _ in range(times):
        said = finish(racers(state, 4))
        assert sum(line == "taken\n" for line in said) == 1, said
        assert all("the target is locked by process" in line for line in said if line != "taken\n"), said


def test_who_has_the_lock_and_since_when_is_told(tmp_path: Path) -> None:
    lock = TargetLock.take("staging", [tmp_path])
    with pytest.raises(Refused, match=rf"staging is locked by process {me().pid}, for 0 s"):
        TargetLock.take("staging", [])
    TargetLock.take("another", []).release(healed=True)
    ((note, held),) = locks()
    assert (note.target, note.owner, held) == ("staging", me(), True)
    lock.release(healed=True)
    assert locks() == []
    TargetLock.take("staging", []).release(healed=True)


def test_a_dead_owner_keeps_no_lock_and_what_it_left_is_undone_first(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    undo = filled(tmp_path / "room")
    journal(tmp_path / "run", invoke("disk.fill", undo)).close()
    os.close(TargetLock.take("staging", [tmp_path / "run"])._fd)  # as after a crash
    assert [held for _, held in locks()] == [False]
    TargetLock.take("staging", []).release(healed=True)
    assert not Path(undo["file"]).exists()


def test_a_target_that_may_still_be_broken_is_not_broken_further(tmp_path: Path) -> None:
    journal(tmp_path / "run", invoke("their.own", {})).close()
    os.close(TargetLock.take("staging", [tmp_path / "run"])._fd)
    for _ in range(2):
        with pytest.raises(Refused, match=r"may still be broken by an earlier run: one#0: .*chaoskit heal"):
            TargetLock.take("staging", [])


def test_a_lock_file_full_of_rubbish_locks_nobody_out(tmp_path: Path) -> None:
    lock_file("staging").write_bytes(b"\xff\x00{")
    TargetLock.take("staging", [tmp_path]).release(healed=True)


def test_while_the_lever_is_down_nothing_begins_and_unlock_lifts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert blocked() == ""
    refuse_if_blocked()
    assert chaoskit(["stop", "--reason", "a real incident", "--out", str(tmp_path)]) == 0
    assert chaoskit(["inject", "process.pause", "--for", "1s", "--out", str(tmp_path), *TARGET]) == 2
    said = capsys.readouterr()
    assert "a real incident" in said.err
    assert "chaoskit unlock" in said.err
    assert list(tmp_path.glob("*by-hand*")) == []
    assert chaoskit(["unlock"]) == 0
    assert not unblock()


def test_stop_ends_a_run_that_is_at_work_and_leaves_nothing(
    state: Path, tmp_path: Path, sleeper: psutil.Process, capsys: pytest.CaptureFixture[str]
) -> None:
    run = inject(state, tmp_path)
    in_force(run)
    assert processes.stopped(sleeper)
    assert chaoskit(["stop", "--out", str(tmp_path)]) == 0
    assert not processes.stopped(sleeper)
    said, _ = run.communicate(timeout=30)
    assert run.returncode == 4
    assert "SIGTERM was received" in said
    assert f"process {run.pid} ended" in capsys.readouterr().out
    assert list(entries()) == []


def test_a_run_notes_itself_before_it_looks_for_the_block(tmp_path: Path) -> None:
    """Whichever comes first, no run slips through: here the block comes between."""
    from chaoskit.safety.guard import Guard

    block("now")
    with pytest.raises(Refused, match="stopped on this machine"):
        Guard(["somewhere"], [tmp_path], [], lambda reason: None)
    assert list(entries()) == []


def noted(folder: Path, pid: int, ticks: int, scratch: Path) -> Path:
    owner = msgspec.structs.replace(me(), pid=pid, ticks=ticks)
    file = state_folder("runs") / "dead.json"
    file.write_bytes(msgspec.json.encode(Entry(owner, "x", [str(folder)], [str(scratch)], time.time(), 3.0)))
    return file


def test_the_next_command_undoes_what_a_dead_run_left_and_tidies_up(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "scratch").mkdir()
    undo = filled(tmp_path / "room")
    journal(tmp_path / "run", invoke("disk.fill", undo)).close()
    file = noted(tmp_path / "run", me().pid, 1, tmp_path / "scratch")  # our pid, but not our birth
    assert [one.ok for one in sweep("test")] == [True]
    assert not Path(undo["file"]).exists()
    assert not file.exists()
    assert not (tmp_path / "scratch").exists()


def test_a_run_that_lives_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    one = journal(tmp_path / "run", invoke("disk.fill", filled(tmp_path / "room")))
    file = register("x", [tmp_path / "run"], [], 3.0)
    assert sweep("test") == []
    assert file.exists()
    assert list((tmp_path / "room").iterdir())
    one.close()


def test_a_state_folder_that_another_process_makes_at_the_same_moment_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def made_before(self: Path, *args: Any, **more: Any) -> None:
        make(self, *args, **more)
        make(self, *args, **more)

    monkeypatch.setattr(Path, "mkdir", made_before)
    make_private(tmp_path / "deep" / "state")
    assert (tmp_path / "deep" / "state").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        make_private(tmp_path / "file")


def test_a_state_folder_that_cannot_be_made_is_said_with_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="let CHAOSKIT_STATE name a folder that can be written"):
        state_folder("runs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing", "--for", "1s"], "fault kind 'nothing' is defined nowhere"),
        (["process.pause", "--for", "1s", "--target", "link:x=y"], "process.pause cannot act on 'link:x'"),
        (["process.pause", "--for", "soon", *TARGET], "--for"),
        (["process.pause", "--for", "2h", *TARGET], "out of bounds"),
        (["process.pause", "--for", "1s", *TARGET, "--with", "x"], "'x' is no KEY=VALUE"),
        (["process.pause", "--for", "1s", *TARGET, "--with", "x=1"], "Extra inputs are not permitted"),
        (["process.pause", "--for", "1s", *TARGET, "--at", "mark={"], "looks like JSON and is none"),
        (["process.pause", "--for", "1s", *TARGET], "no such process: w1"),
    ],
)
def test_an_order_by_hand_that_makes_no_sense_is_refused_and_touches_nothing(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaoskit(["inject", *words, "--out", str(tmp_path / "runs")]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    for file in tmp_path.glob("runs/*/events.jsonl"):
        assert all(json.loads(line)["type"] != "invoke" for line in file.read_text().splitlines())


def test_what_a_dead_owner_said_goes_once_nothing_is_left_of_its_runs_and_stays_as_long_as_that_is_not_known(
    tmp_path: Path,
) -> None:
    """The lock of a process that is no more is taken by no next run."""
    (tmp_path / "room").mkdir()
    undo = filled(tmp_path / "room")
    journal(tmp_path / "healed").close()
    journal(tmp_path / "standing", invoke("disk.fill", undo)).close()
    for name in ("healed", "standing", "unseen"):
        TargetLock.take(name, [tmp_path / name]).release(healed=False)
    held = TargetLock.take("held", [tmp_path / "healed"])
    sweep("test")
    assert {note.target for note, _ in locks()} == {"standing", "unseen", "held"}
    held.release(healed=True)
    Path(undo["file"]).unlink()


OTHERWISE = ("--target", "role:other=w1", "--at", f"pattern={PATTERN.replace('S+', 'S{1,9}')}")


def test_two_by_hand_on_one_process_exclude_each_other_however_it_is_spelt(
    state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    """Else the second's undo would let the first's victim go."""
    first = inject(state, tmp_path / "one")
    try:
        in_force(first)
        second = inject(state, tmp_path / "two", target=OTHERWISE)
        said, _ = second.communicate(timeout=60)
        assert second.returncode == 2, said
        assert f"process {sleeper.pid} (since tick" in said
        assert "is locked by process" in said
        assert processes.stopped(sleeper)
    finally:
        first.terminate()
        first.communicate(timeout=30)
    assert not processes.stopped(sleeper)
    assert list((state / "locks").iterdir()) == [], "no lock of a process outlives it"


def test_an_attached_run_and_a_fault_by_hand_have_the_locks_of_what_both_can_hit_in_common(
    tmp_path: Path, sleeper: psutil.Process
) -> None:
    target = Attached("http://p:9090", "http://a:9093", "http://localhost:9091/metrics", "staging")
    role = Role("worker", "", PATTERN.replace(r"\S+", ".+"))
    attached = set(AttachedStack(tmp_path, target, Handles({"role": {"w": role}}), []).hit())
    by_hand = order("process.pause", "role:any", ("w1",), {"pattern": PATTERN}, {}, 5).locks()
    assert attached.issuperset(by_hand)
    assert len(by_hand) == 2
    spelt = order("http.error", "link:l", (), {"url": "http://127.0.0.1:9091/x/"}, {"status": 500}, 5)
    assert attached.issuperset(spelt.locks())
    assert hit(Address(folder=str(tmp_path))) == hit(Address(folder=str(tmp_path / ".." / tmp_path.name)))
    assert not attached & set(hit(Address(pattern=PATTERN), ["another"]))


def test_what_replaces_a_process_has_a_lock_in_common_with_it(sleeper: psutil.Process) -> None:
    before = hit(Address(pattern=PATTERN), ["w1"])
    with twin(sleeper) as pid:
        sleeper.kill()
        sleeper.wait(10)
        assert processes.find(PATTERN)["w1"].pid == pid
        assert len(set(before) & set(hit(Address(pattern=PATTERN), ["w1"]))) == 1


@pytest.mark.parametrize(
    ("names", "address", "said"),
    [
        (("w1",), {}, "nothing says how the processes"),
        (("w1",), {"pattern": "worker ("}, "no regular expression"),
        (("w1",), {"pattern": "worker"}, "no group called name"),
        ((), {"pattern": PATTERN}, "no process of role:worker is named"),
    ],
)
def test_how_a_role_s_processes_are_found_is_checked_first(
    names: tuple[str, ...], address: dict[str, str], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        order("process.pause", "role:worker", names, address, {}, 5)
