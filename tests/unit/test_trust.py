"""Whose word is it? What another user wrote, or could have written, is shown and not obeyed."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from chaoskit.cli import run as chaoskit
from chaoskit.errors import Refused
from chaoskit.events import Header, Invoke
from chaoskit.faults.base import FaultError, Target
from chaoskit.faults.command import Command, CommandSettings
from chaoskit.faults.registry import known
from chaoskit.files import as_before, keep_private
from chaoskit.history import read_history
from chaoskit.run.prepare import make_folder
from chaoskit.safety.heal import heal, vouched
from chaoskit.safety.lock import TargetLock, lock_file
from chaoskit.safety.run_registry import FOLDER_VARIABLE, Entry, entries, me, notes, register, state_folder
from chaoskit.safety.stop_all import block, blocked, sweep, unblock
from chaoskit.trust import Distrusted, open_own, read_own, read_secret, real_folder
from tests.http_stub import Handler, serving
from tests.safety_examples import (
    header,
    in_force,
    inject,
    invoke,
    journal,
    sleeper,
    state,
)
from tests.strangers import STRANGER, as_stranger, common, needs_root, theirs

__all__ = ["common", "sleeper", "state"]
pytestmark = pytest.mark.usefixtures("state")
GOLDEN = Path(__file__).parents[1] / "golden"


def broken(folder: Path, flag: Path) -> Path:
    """A dead run with a command in force whose undo makes a file: proof that it was run."""
    settings = CommandSettings(start=["true"], stop=["touch", str(flag)])
    token = Command().prepare(Target("", ()), settings)
    event = msgspec.structs.replace(invoke("command", token), settings=settings.model_dump(mode="json"), targets=[])
    journal(folder, event).close()
    return folder


def dead_note(folder: Path, scratch: Path, name: str = "dead") -> Path:
    """A note of a run whose process has ended: its pid is ours, its start is not."""
    owner = msgspec.structs.replace(me(), ticks=1)
    file = state_folder("runs") / f"{name}.json"
    file.write_bytes(msgspec.json.encode(Entry(owner, "x", [str(folder)], [str(scratch)], time.time(), 3.0)))
    file.chmod(0o644)
    return file


@pytest.fixture
def shared(common: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder for every user of the machine."""
    folder = common / "state"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


# Files and folders


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_a_file_of_ours_that_no_other_may_write_is_believed(tmp_path: Path, mode: int) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(mode)
    assert read_own(tmp_path / "file") == b"x"


@pytest.mark.parametrize("wrong", ["link", "fifo", "folder", "writable", "two names"])
def test_what_is_no_file_of_ours_alone_is_not(tmp_path: Path, wrong: str) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    other.write_text("x")
    if wrong == "link":
        file.symlink_to(other)
    elif wrong == "fifo":
        os.mkfifo(file)
    elif wrong == "folder":
        file.mkdir()
    else:
        os.link(other, file)
    if wrong == "writable":
        file.chmod(0o602)
    with pytest.raises(OSError):  # noqa: PT011 - which one says what is wrong, not whether
        open_own(file, once=True)


@needs_root
def test_a_file_of_another_user_is_not_and_its_owner_is_named(common: Path) -> None:
    (common / "file").write_text("x")
    theirs(common / "file")
    with pytest.raises(Distrusted) as refused:
        read_own(common / "file")
    assert "belongs to user nobody" in str(refused.value)


@needs_root
@pytest.mark.parametrize("wrong", ["folder of theirs", "link of theirs", "open folder"])
def test_no_other_user_leads_the_way(common: Path, wrong: str) -> None:
    right = common / "right"
    right.mkdir(mode=0o755)
    assert real_folder(right) == right
    way = common / "way"
    if wrong == "link of theirs":
        as_stranger(lambda: way.symlink_to(right))
        inside = way
    else:
        way.mkdir()
        (way / "in").mkdir(mode=0o755)
        inside = way / "in"
        way.chmod(0o777 if wrong == "open folder" else 0o755)
        if wrong == "folder of theirs":
            os.chown(way, STRANGER, STRANGER)
    with pytest.raises(Distrusted, match=r"belongs to user nobody|other users may write"):
        real_folder(inside)


def test_links_of_ours_are_followed_and_a_sticky_folder_is_no_trouble(
    tmp_path: Path, common: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (common / "mine").mkdir(mode=0o700)
    (tmp_path / "home").symlink_to(common)
    assert real_folder(tmp_path / "home" / "mine" / ".." / "mine") == common / "mine"
    monkeypatch.chdir(common)
    assert real_folder(Path("mine")) == common / "mine"
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        real_folder(tmp_path / "round" / "x")


@needs_root
def test_a_secret_may_be_a_link_of_ours_and_none_of_theirs(common: Path) -> None:
    (common / "..data").mkdir(mode=0o755)
    (common / "..data" / "token").write_text("s3cret")
    (common / "token").symlink_to("..data/token")
    assert read_secret(common / "token") == b"s3cret"
    as_stranger(lambda: (common / "planted").symlink_to("..data/token"))
    with pytest.raises(Distrusted, match="the link belongs to user nobody"):
        read_secret(common / "planted")
    (common / "..data" / "token").chmod(0o666)
    with pytest.raises(Distrusted, match="other users may write to it"):
        read_secret(common / "token")


# Notes


@needs_root
@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_a_note_of_another_user_removes_and_runs_nothing(
    shared: Path, tmp_path: Path, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: the same note of ours is obeyed, or this would prove nothing."""
    run, scratch, flag = broken(tmp_path / "run", tmp_path / "flag"), tmp_path / "scratch", tmp_path / "flag"
    scratch.mkdir()
    note = dead_note(run, scratch)
    if whose == "theirs":
        theirs(note)
    code = chaoskit(["heal", "--all", "--out", str(tmp_path / "none")])
    assert code == 0
    obeyed = whose == "ours"
    assert (flag.exists(), not scratch.exists(), not note.exists()) == (obeyed, obeyed, obeyed)
    capsys.readouterr()
    chaoskit(["status", "--out", str(tmp_path / "none")])
    assert ("of user nobody" in capsys.readouterr().out) is not obeyed
    assert [one.ok for one in sweep("another command")] == []
    chaoskit(["stop", "--out", str(tmp_path / "none")])
    assert scratch.exists() is not obeyed


@needs_root
def test_a_process_that_a_stranger_notes_is_not_stopped(shared: Path, tmp_path: Path, sleeper: psutil.Process) -> None:
    from chaoskit import identity
    from chaoskit.safety.run_registry import Owner

    entry = Entry(Owner(**identity.token(sleeper.pid)), "x", [], [], time.time(), 3.0)
    file = state_folder("runs") / "planted.json"
    file.write_bytes(msgspec.json.encode(entry))
    theirs(file)
    assert chaoskit(["stop", "--grace", "0", "--out", str(tmp_path)]) == 0
    assert sleeper.is_running()
    unblock()
    os.chown(file, 0, 0)
    file.chmod(0o644)
    chaoskit(["stop", "--grace", "0", "--out", str(tmp_path)])
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("hidden", ["folder", "mount"])
def test_a_run_whose_folder_is_not_seen_from_here_keeps_its_note(
    tmp_path: Path, hidden: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, flag = broken(tmp_path / "run", tmp_path / "flag"), tmp_path / "flag"
    note = dead_note(run, tmp_path / "scratch")
    run.rename(tmp_path / "elsewhere")
    if hidden == "mount":
        run.mkdir()
    for words in (["heal", "--all"], ["stop"], ["status"]):
        assert chaoskit([*words, "--out", str(tmp_path / "none")]) == 5, words
    assert "cannot be read" in capsys.readouterr().out
    assert note.exists()
    if hidden == "mount":
        run.rmdir()
    (tmp_path / "elsewhere").rename(run)
    assert chaoskit(["heal", "--all", "--out", str(tmp_path / "none")]) == 0
    assert (flag.exists(), note.exists()) == (True, False)


# Journals


@needs_root
def test_a_run_of_another_user_is_refused_and_left_alone(
    common: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, flag = theirs(broken(common / "20200101-000000-run", tmp_path / "flag")), tmp_path / "flag"
    for words in (["--trust"], []):
        assert chaoskit(["heal", str(run), *words]) == 2
        assert "belongs to user nobody" in capsys.readouterr().err
    assert chaoskit(["heal", "--all", "--trust", "--out", str(common)]) == 0
    assert chaoskit(["status", "--out", str(common)]) == 0
    assert capsys.readouterr().out.count("belongs to user nobody") == 2
    assert chaoskit(["runs", "prune", "--keep", "0", "--out", str(common)]) == 0
    assert chaoskit(["stop", "--out", str(common)]) == 0
    assert run.exists()
    assert not flag.exists()
    for words in (["heal", "--all"], ["stop"], ["runs", "prune", "--keep", "0"]):
        assert chaoskit([*words, "--out", str(run)]) == 2


def test_a_run_that_no_note_names_is_shown_and_healed_only_when_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, flag = broken(tmp_path / "runs" / "run", tmp_path / "flag"), tmp_path / "flag"
    assert chaoskit(["heal", str(run)]) == 2
    said = capsys.readouterr().err
    assert f"touch', '{flag}'] in " in said
    assert "--trust" in said
    assert chaoskit(["heal", "--all", "--out", str(run.parent)]) == 5
    assert "--trust" in capsys.readouterr().out
    assert not flag.exists()
    assert chaoskit(["heal", str(run), "--trust"]) == 0
    assert flag.exists()


def test_a_run_that_a_lock_of_ours_names_is_healed_without_being_told(tmp_path: Path) -> None:
    run, flag = broken(tmp_path / "run", tmp_path / "flag"), tmp_path / "flag"
    TargetLock.take("staging", [run]).release(healed=False)
    assert chaoskit(["heal", str(run)]) == 0
    assert flag.exists()


def test_a_heal_book_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    run, victim = broken(tmp_path / "run", tmp_path / "flag"), tmp_path / "victim"
    victim.write_text("one line\nhalf a li")
    (run / "heal.jsonl").symlink_to(victim)
    found = heal(run, "test", "")
    assert victim.read_text() == "one line\nhalf a li"
    assert found.ok
    assert "cannot write" in found.trouble[0]


# Tokens


@pytest.mark.parametrize("honest", [True, False], ids=["honest", "planted"])
@pytest.mark.parametrize("told", [True, False], ids=["address told", "older journal"])
def test_no_file_but_the_targets_token_is_sent_to_the_target_alone(tmp_path: Path, honest: bool, told: bool) -> None:
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    secret = run / "token" if honest else tmp_path / "id_rsa"
    secret.write_text("s3cret\n" if honest else "-----BEGIN\nkey\n")
    secret.chmod(0o600)
    heard: list[str] = []

    class Listener(Handler):
        """Takes everything."""

        def do_DELETE(self) -> None:
            heard.append(f"{self.path} {self.headers.get('Authorization', '')}")
            self.answer({"removed": True})

        def do_GET(self) -> None:
            self.answer({}, 404)

    with serving(Listener) as listener:
        at = {"url": listener.url, "token_file": str(secret), "owner": None}
        token = {"at": at, "link": "up", "id": "tcp.reset-0123456789ab", "toxic": {}, "most": None, "until": None}
        address = {"url": listener.url, "token_file": str(secret)} if told else {}
        journal(run, msgspec.structs.replace(invoke("tcp.reset", token), address=address)).close()
        found = heal(run, "test", "")
    assert found.ok is honest
    assert heard == (["/toxics/tcp.reset-0123456789ab Bearer s3cret"] if honest else [])


def vouch(kind: str, undo: dict[str, Any], folder: Path, **more: Any) -> str:
    event: Invoke = msgspec.structs.replace(invoke(kind, undo), **more)
    return vouched(event, folder, header())


AT = {"url": "http://127.0.0.1:1", "token_file": "", "owner": None}
VICTIM = {"name": "w1", "pid": 1, "ticks": 1}
GOOD: dict[str, dict[str, Any]] = {
    "cache.thrash": {"at": AT, "prefix": "thrash-01234567-"},
    "cpu.burn": {"burn": "0123456789abcdef"},
    "memory.burn": {"burn": "0123456789abcdef"},
    "db.error": {"file": "/runs/run/crm.db", "trigger": "chaoskit_00ff", "table": "t", "operation": "insert"},
    "db.slow": {"file": "/runs/run/crm.db"},
    "disk.fill": {"file": "/runs/run/chaoskit-fill-0123456789ab"},
    "monitoring.kill": {"control": "/runs/run/control", "victims": [VICTIM]},
    "process.crash-loop": {"pattern": "(?P<name>.+)", "victims": [VICTIM]},
    "process.kill": {"pattern": "(?P<name>.+)", "victims": [VICTIM]},
    "process.pause": {"pattern": "(?P<name>.+)", "victims": [VICTIM]},
    "scrape.drop": {"pattern": "(?P<name>.+)", "victims": [VICTIM]},
    "queue.flood": {"at": AT, "batch": "queue.flood-0123456789ab"},
    "queue.dead-letters": {"at": AT, "batch": "queue.dead-letters-0123456789ab"},
    "receiver.answer": {"files": ["/runs/run/control/w1.manners"]},
    **{
        kind: {"at": AT, "id": f"{kind}-0123456789ab"}
        for kind in ("http.error", "http.slow", "tcp.blackhole", "tcp.flaky", "tcp.reset")
    },
}
"""By kind, a token that it can have made. A kind may have its own in its own test file."""
ELSEWHERE = {"url": "http://203.0.113.9", "token_file": "", "owner": None}
BAD = [
    *((kind, {**undo, "at": ELSEWHERE}) for kind, undo in GOOD.items() if "at" in undo),
    *((kind, {**undo, "at": {**AT, "token_file": "/etc/shadow"}}) for kind, undo in GOOD.items() if "at" in undo),
    *((kind, {**undo, "victims": [{**VICTIM, "name": "../x"}]}) for kind, undo in GOOD.items() if "victims" in undo),
    *((kind, {**undo, "id": "../../-/quit"}) for kind, undo in GOOD.items() if "id" in undo),
    *((kind, {**undo, "batch": "all"}) for kind, undo in GOOD.items() if "batch" in undo),
    *((kind, {**undo, "burn": ""}) for kind, undo in GOOD.items() if "burn" in undo),
    *((kind, {**undo, "file": "/etc/passwd"}) for kind, undo in GOOD.items() if "file" in undo),
    *((kind, {}) for kind in known() if kind != "series"),
    ("cache.thrash", {**GOOD["cache.thrash"], "prefix": ""}),
    ("db.error", {**GOOD["db.error"], "trigger": "theirs"}),
    ("disk.fill", {"file": "/runs/run/../../etc/chaoskit-fill-0123456789ab"}),
    ("disk.fill", {"file": "/runs/run/data"}),
    ("monitoring.kill", {**GOOD["monitoring.kill"], "control": "/etc"}),
    ("receiver.answer", {"files": ["/etc/w1.manners"]}),
    ("receiver.answer", {"files": ["/runs/run/control/other.manners"]}),
]


def test_a_kind_says_what_it_would_do_with_a_token_of_its_own() -> None:
    for kind, undo in GOOD.items():
        assert vouch(kind, undo, Path("/runs/run")), kind


@pytest.mark.parametrize(("kind", "undo"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_no_kind_obeys_a_token_that_it_cannot_have_made(kind: str, undo: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        vouch(kind, undo, Path("/runs/run"))


def test_a_token_of_another_place_than_the_targets_is_not_obeyed() -> None:
    """Where the journal tells the place, that alone is it, be it below the run or not."""
    undo = {"file": "/srv/chaoskit-fill-0123456789ab"}
    assert vouch("disk.fill", undo, Path("/runs/run"), address={"folder": "/srv"}) == f"removes {undo['file']}"
    with pytest.raises(FaultError, match="knows of no target whose folder is '/srv'"):
        vouch("disk.fill", undo, Path("/runs/run"), address={"folder": "/var"})


def test_a_command_runs_what_its_settings_and_its_plan_say(tmp_path: Path) -> None:
    settings = CommandSettings(start=["true"], stop=["touch", "x"])
    token = Command().prepare(Target("", ()), settings)
    as_set = settings.model_dump(mode="json")
    assert "touch" in vouch("command", token, tmp_path, settings=as_set)
    for wrong in (
        {**token, "stop": ["/bin/sh", "-c", "id"]},
        {**token, "stop": ["touch", "x"]},
        {**token, "env": ["HOME"]},
    ):
        with pytest.raises(FaultError):
            vouch("command", wrong, tmp_path, settings=as_set)
    planned = msgspec.structs.replace(header(), scenario="s.yml", profile="local.yml", sources={})
    fault = msgspec.structs.replace(invoke("command", token), settings=as_set)
    with pytest.raises(FaultError, match="the plan in its journal"):
        vouched(fault, tmp_path, planned)


@pytest.mark.parametrize("ran", ["touch", "sh"])
def test_a_command_that_the_journals_own_scenario_has_not_is_not_run(ran: str, tmp_path: Path) -> None:
    """The history is one of a real drill, but for its scenario."""
    kept = next(read_history(GOLDEN / "kept.jsonl").of(Header))
    text = """chaoskit: 1
title: A program breaks something
steps:
  - inject: command
    as: one
    with: {start: ["true"], stop: [touch, x], timeout_s: 3.0}
  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: one
    notifies: [critical-alerts]
"""
    sources = {**kept.sources, f"scenario:{kept.scenario}": text}
    settings = CommandSettings(start=["true"], stop=[ran, "x"], timeout_s=3)
    token = Command().prepare(Target("", ()), settings)
    event = msgspec.structs.replace(invoke("command", token), settings=settings.model_dump(mode="json"))
    planned = msgspec.structs.replace(kept, sources=sources)
    with pytest.raises(FaultError, match="the journal has lost its beginning, so no program of"):
        vouched(event, tmp_path, None)
    if ran == "touch":
        assert "touch" in vouched(event, tmp_path, planned)
    else:
        with pytest.raises(FaultError, match="runs no such programs"):
            vouched(event, tmp_path, planned)


# One state folder for several users


@needs_root
def test_whoever_comes_first_a_shared_state_is_everybodys(shared: Path, common: Path) -> None:
    """Its notes can be read by all, and nothing of them is secret."""
    as_stranger(lambda: register("x", [common / "a"], [], 3.0))
    mine = register("x", [common / "b"], [], 3.0)
    as_stranger(lambda: TargetLock.take("x", []).release(healed=True))
    TargetLock.take("x", []).release(healed=True)
    for folder in (shared / "runs", shared / "locks"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
        assert folder.stat().st_uid == STRANGER, "the control: another user came first"
    assert {stat.S_IMODE(file.stat().st_mode) for file in shared.glob("*/*.*")} == {0o644}
    assert [file for file, _ in entries()] == [mine]
    assert sorted(one.owner for one in notes()) == ["", "user nobody"]


@needs_root
def test_a_state_folder_of_another_user_or_open_to_all_is_refused(
    common: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, mode, said in ((STRANGER, 0o1777, "belongs to user nobody"), (0, 0o777, "chmod go-w")):
        folder = common / f"state-{owner}"
        folder.mkdir()
        folder.chmod(mode)
        os.chown(folder, owner, owner)
        monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
        with pytest.raises(Refused, match=said):
            register("x", [], [], 3.0)


@needs_root
def test_a_lock_that_another_user_holds_blocks_and_one_that_is_let_go_does_not(shared: Path) -> None:
    as_stranger(lambda: TargetLock.take("x", []).release(healed=False))
    (file,) = (shared / "locks").iterdir()
    fd = os.open(file, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(Refused, match="x is locked by user nobody"):
        TargetLock.take("x", [])
    TargetLock.take("y", []).release(healed=True)
    os.close(fd)
    lock = TargetLock.take("x", [])
    assert "locked by user root" in as_stranger(lambda: _refused("x"))
    lock.release(healed=True)
    assert as_stranger(lambda: _refused("x")) == ""


def _refused(target: str) -> str:
    try:
        TargetLock.take(target, []).release(healed=True)
    except Refused as refused:
        return str(refused)
    return ""


@needs_root
def test_a_lock_that_a_stranger_put_in_our_place_is_not_read_and_is_said(shared: Path) -> None:
    file = lock_file("x")
    file.write_bytes(b"{}")
    theirs(file)
    with pytest.raises(Refused, match=r"no lock of yours: it belongs to user nobody"):
        TargetLock.take("x", [])


@needs_root
def test_every_user_may_stop_all_runs_and_only_they_or_root_let_them_begin_again(shared: Path) -> None:
    block("ours")
    assert "(by user root)" in as_stranger(blocked)
    as_stranger(lambda: block("theirs"))
    with pytest.raises(AssertionError, match="cannot be removed"):
        as_stranger(unblock)
    assert unblock()
    assert as_stranger(blocked) == ""


@needs_root
def test_a_word_that_is_a_link_stops_runs_and_tells_nothing_of_where_it_leads(shared: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("CANARY")
    as_stranger(lambda: (shared / "stopped").symlink_to(secret))
    assert re.search(r"stopped cannot be read: .* \(by user nobody\)", blocked())
    assert "CANARY" not in blocked()
    assert unblock()
    assert secret.read_text() == "CANARY"


# For this user alone


def test_a_run_and_a_private_state_are_for_their_user_alone_whatever_the_umask(
    state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    run = inject(state, tmp_path / "runs", for_="1s", umask=0)
    folder = in_force(run)
    register("x", [], [], 3.0)
    run.communicate(timeout=60)
    assert run.returncode == 0
    found = [folder, *folder.rglob("*"), state, *state.rglob("*")]
    wrong = [str(one) for one in found if stat.S_IMODE(one.lstat().st_mode) & 0o077 and not one.is_symlink()]
    assert wrong == []
    assert len(found) > 6


def test_what_a_person_names_and_what_a_program_of_theirs_writes_follow_their_umask(tmp_path: Path) -> None:
    from chaoskit.faults import command
    from chaoskit.files import write_named

    before = os.umask(0o022)
    try:
        make_folder(tmp_path, "x")
        write_named(tmp_path / "junit.xml", b"")
        given = command.orders(Target("", ()), CommandSettings(start=["true"], stop=["true"]))
        command.run_program(["/bin/sh", "-c", f"> {tmp_path}/made"], given)
        (tmp_path / "ours").touch()
        modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("junit.xml", "made", "ours")}
        assert modes == {"junit.xml": 0o644, "made": 0o644, "ours": 0o600}
    finally:
        as_before()
        os.umask(before)
    keep_private()
    as_before()
