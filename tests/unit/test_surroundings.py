"""What the machine does not give ends in a documented code with a reason, and never changes what was judged."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from chaoskit import cli, waiting
from chaoskit.cli import outputs
from chaoskit.cli.all import chaoskit
from chaoskit.errors import BadInput, EquipmentError, ExitCode
from chaoskit.events import Interruption
from chaoskit.run.prepare import make_folder
from chaoskit.run.signals import signals_end
from chaoskit.safety.lease import Lease
from chaoskit.stack.monitoring import check_rules
from chaoskit.surroundings import lacking, leave
from chaoskit.verify.verify import verify
from tests.golden.doctored import recorded
from tests.safety_examples import journal, state

__all__ = ["state"]

GOLDEN = Path(__file__).parents[1] / "golden" / "suppressed.jsonl"
SAYS = """
import sys
from chaoskit.cli import outputs
from chaoskit.errors import ExitCode
outputs.outlast()
for _ in range(3):
    print("a → b" * 10_000)
sys.exit(int(outputs.settle(ExitCode.PASS, judges={judges})))
"""
UNGUARDED = "import sys\nprint('a → b' * 10_000, flush=True)"
NOTICES = (
    "from chaoskit.surroundings import lacking\ntry:\n    {deed}\nexcept Exception as error:\n    print(lacking(error))"
)


def python(code: str, *before: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a few lines in a process of their own, perhaps behind another program's words."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", **options}
    return subprocess.run([*before, sys.executable, "-c", code], timeout=60, check=False, **options)


def environment(**changes: str) -> Mapping[str, str]:
    left_out = ("PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG", "LC_CTYPE")
    return {key: value for key, value in os.environ.items() if key not in left_out} | changes


def namespaced(code: str, kind: str, prepared: str) -> str:
    """What the lines print in a namespace of their own, after a shell has prepared it; skips where that needs root."""
    words = ["unshare", kind, "sh", "-c", f'{prepared} && exec "$0" "$@"']
    if shutil.which("unshare") is None or subprocess.run(["unshare", kind, "true"], check=False).returncode:
        pytest.skip("namespaces need root and unshare")
    ended = python(code, *words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


# -- output


def test_a_reader_that_goes_away_changes_no_exit_code() -> None:
    """The pipe's reader is gone before the first word; without the guard the same words end in an error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert python(SAYS.format(judges=False), stdout=writing).returncode == 0
        assert python(UNGUARDED, stdout=writing).returncode != 0
    finally:
        os.close(writing)


@pytest.mark.parametrize(("judges", "code"), [(True, 0), (False, 3)], ids=["a verdict stays", "an answer is missing"])
def test_a_full_disk_behind_standard_output_is_said_and_changes_no_verdict(judges: bool, code: int) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = python(SAYS.format(judges=judges), stdout=full)
    assert (ended.returncode, ended.stderr) == (code, "standard output could not be written: No space left on device\n")


def test_output_that_is_closed_is_no_trouble() -> None:
    ended = python(SAYS.format(judges=True), "sh", "-c", 'exec "$0" "$@" >&- <&-')
    assert (ended.returncode, ended.stderr) == (0, "")


def test_letters_that_a_terminal_does_not_have_are_replaced() -> None:
    ascii_ = environment(PYTHONIOENCODING="ascii")
    ended = python(SAYS.format(judges=True), env=ascii_)
    assert (ended.returncode, ended.stdout[:6]) == (0, "a ? ba")
    assert python(UNGUARDED, env=ascii_).returncode == 1


def test_a_whole_command_in_the_plain_c_locale_prints_its_verdict_in_ascii() -> None:
    """Where Python would take ASCII for files, names and programs too. Its reader hears a PASS, exit 0."""
    ended = subprocess.run(
        [sys.executable, "-m", "chaoskit", "verify", str(GOLDEN)],
        capture_output=True,
        env=environment(LC_ALL="C", PYTHONUTF8="0"),
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"PASS  worker-unhealthy" in ended.stdout
    assert ended.stdout.isascii()


def test_a_result_that_cannot_be_written_is_said_and_no_half_of_it_stays(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    leave(Path("/dev/full"), b"result")
    leave(tmp_path / "none" / "result", b"result")
    leave(tmp_path / "result", b"result")
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [
        "No space left on device",
        "No such file or directory",
    ]
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert (tmp_path / "result").read_bytes() == b"result"


def test_a_disk_that_is_full_when_the_verdict_is_written_changes_no_verdict(tmp_path: Path) -> None:
    """In a file system of half a megabyte that the history nearly fills."""
    code = f"""
from pathlib import Path
from chaoskit.report.judge_run import judge_folder
folder = Path({str(tmp_path)!r})
(folder / "events.jsonl").write_bytes(Path({str(GOLDEN)!r}).read_bytes())
verdict, _ = judge_folder(folder)
print(verdict.exit_code, sorted(path.name for path in folder.iterdir()))
"""
    size = (GOLDEN.stat().st_size // 4096 + 2) * 4096
    said = namespaced(code, "-m", f"mount -t tmpfs -o size={size} none {tmp_path}")
    assert said.startswith("0 ")
    assert "report.html" not in said
    assert "report.html" in namespaced(code, "-m", f"mount -t tmpfs none {tmp_path}")


@pytest.mark.parametrize("name", ["none/x.xml", ""])
def test_a_file_for_results_that_cannot_be_made_is_refused_before_anything_begins(tmp_path: Path, name: str) -> None:
    options = ["run", "worker-unhealthy", "--dry-run", "--junitxml"]
    assert cli.run([*options, str(tmp_path / name)]) is ExitCode.USAGE
    assert cli.run([*options, str(tmp_path / "x.xml")]) is ExitCode.PASS


# -- the machine


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), EquipmentError, "free some disk space"),
        (OSError(errno.EMFILE, "Too many open files", "/x"), EquipmentError, r"Too many open files: /x .*ulimit -n"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), EquipmentError, "ulimit -u"),
        (RuntimeError("can't start new thread"), EquipmentError, "ulimit -u"),
        (MemoryError(), EquipmentError, "memory"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), EquipmentError, "ip link set lo up"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), BadInput, r"/x: cannot be used: Permission denied"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), BadInput, "File name too long"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"), BadInput, "not UTF-8"),
        (BadInput("as it is"), BadInput, "as it is"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_the_machine_does_not_give_has_a_code_and_a_reason(
    error: Exception,
    kind: type[Exception],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    with pytest.raises(kind, match=said):
        raise cast(Exception, lacking(error))
    monkeypatch.setattr(chaoskit, "main", fails)
    assert cli.run([]) in (ExitCode.USAGE, ExitCode.UNKNOWN)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["list"], ["check"], ["plan", "healthy"], ["new", "--alert", "A"], ["gate"]])
def test_a_folder_that_is_gone_is_said(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli.run(arguments) is ExitCode.USAGE
    assert "the folder in which chaoskit was started is gone" in capsys.readouterr().err


def test_an_error_of_another_kind_is_a_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(chaoskit, "main", lambda *_, **__: {}["x"])
    assert cli.run([]) is ExitCode.BUG
    assert "KeyError" in capsys.readouterr().err


LOOPBACK = (
    "from chaoskit.host.ports import reserve\nimport resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
)


@pytest.mark.parametrize(
    ("prepared", "said"),
    [
        ("true", "loopback: 127.0.0.1 cannot be used: "),
        ("ip link set lo up && ip addr del 127.0.0.1/8 dev lo", "loopback: 127.0.0.1 cannot be used: "),
        ("ip link set lo up", "["),
    ],
    ids=["down", "without an address", "up"],
)
def test_a_loopback_that_carries_nothing_is_named(prepared: str, said: str) -> None:
    """With 64 descriptors: ports that cannot be taken hold none."""
    code = LOOPBACK + NOTICES.format(deed="print(reserve(4))")
    assert namespaced(code, "-n", prepared).startswith(said)


def test_without_proc_that_is_what_is_said() -> None:
    code = NOTICES.format(deed="import psutil; psutil.Process(); print('known')")
    assert namespaced(code, "-m", "mount -t tmpfs none /proc").startswith("this machine: /proc is not mounted")
    assert namespaced(code, "-m", "true") == "known\n"


def test_nothing_of_ours_needs_shared_memory() -> None:
    """A machine may have none, or one that cannot be written: what would need it is used nowhere."""
    users = [path for path in Path(cli.__file__).parents[1].rglob("*.py") if "multiprocessing" in path.read_text()]
    assert users == []
    code = NOTICES.format(deed="import multiprocessing; multiprocessing.Lock(); print('taken')")
    assert "taken" not in namespaced(code, "-m", "mount -t tmpfs -o ro none /dev/shm")


def test_a_user_who_may_have_no_more_threads_is_told_so() -> None:
    """As another user than root, for whom the limit does not hold; skipped where that user cannot run our Python."""
    code = NOTICES.format(deed="import threading; threading.Thread(target=print, args=('begun',)).start()")
    words = ["setpriv", "--reuid=65111", "--regid=65111", "--clear-groups"]
    if os.geteuid() or shutil.which("setpriv") is None or python("pass", *words).returncode:
        pytest.skip("needs root, setpriv, and a Python that every user may run")
    assert "no thread can be started" in python(code, "prlimit", "--nproc=1", *words).stdout
    assert "begun" in python(code, *words).stdout


def test_a_run_that_its_own_machine_ended_is_unknown_and_one_that_was_told_to_end_is_interrupted() -> None:
    history = recorded("interrupted")
    assert verify(history).exit_code == ExitCode.ABORTED
    events = [
        msgspec.structs.replace(event, trouble=True) if isinstance(event, Interruption) else event
        for event in history.events
    ]
    assert verify(replace(history, events=events)).exit_code == ExitCode.UNKNOWN


# -- signals


EARLY = """
import importlib, os, signal, sys
from chaoskit import cli
signal.signal(signal.SIGHUP, signal.SIG_IGN)
class Commands:
    fetch = staticmethod(lambda *names: os.kill(os.getpid(), {number}))
importlib.import_module = lambda name: Commands
cli.run = lambda arguments: sys.exit(77)
cli.main()
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 4, "interrupted\n"), (signal.SIGTERM, 4, "interrupted\n"), (signal.SIGHUP, 77, "")],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP under nohup"],
)
def test_a_signal_while_commands_are_still_imported_ends_with_a_word(number: int, code: int, said: str) -> None:
    ended = python(EARLY.format(number=int(number)))
    assert (ended.returncode, ended.stderr) == (code, said)


def test_nothing_is_imported_before_signals_are_heeded() -> None:
    """Until then Ctrl-C is Python's, with a traceback: the entry point takes no longer than it must. After that a
    command's own module is imported, and no other's."""
    ended = python(
        "import sys; before = set(sys.modules); import chaoskit.cli; print(*set(sys.modules) - before)\n"
        "import chaoskit.cli.all as a; a.fetch('status'); print(*sorted(m for m in sys.modules if '.cli.' in m))"
    )
    first, commands = (line.split() for line in ended.stdout.splitlines())
    assert set(first) <= {"__future__", "chaoskit", "chaoskit.cli"}, ended.stdout
    assert commands == [f"chaoskit.cli.{name}" for name in ("all", "console", "numbers", "outputs", "safety")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_a_run_begins_ends_the_command_with_four(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chaoskit, "main", lambda *_, **__: os.kill(os.getpid(), number))
    before = signal.signal(number, cli._interrupt)
    try:
        assert cli.run([]) is ExitCode.ABORTED
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == "interrupted\n"


def test_a_hang_up_that_was_ignored_at_the_start_stays_ignored() -> None:
    """`nohup` means it; SIGTERM, sent after it, is heard all the same."""
    heard: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_end(heard.append):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            assert waiting.await_true(lambda: bool(heard), 10)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == ["SIGTERM was received"]


def test_a_program_that_is_asked_does_not_hear_the_terminals_ctrl_c(tmp_path: Path) -> None:
    """It is in a session of its own, so none fails `with -2` for a signal that was meant for us."""
    promtool = tmp_path / "promtool"
    promtool.write_text('#!/bin/sh\nread -r _ _ _ _ _ session _ < /proc/$$/stat\necho "session $session"\nexit 1\n')
    promtool.chmod(0o755)
    (problem,) = check_rules(promtool, [tmp_path / "rules.yml"])
    assert problem.message.startswith("session ")
    assert problem.message != f"session {os.getsid(0)}"


def test_a_second_signal_before_the_watchdogs_first_word_is_answered_as_healed(tmp_path: Path, state: Path) -> None:
    """Its `ready`, which nobody had read yet, is not the answer."""
    folder = tmp_path / "run"
    journal(folder).close()
    lease = Lease([folder], tmp_path / "log", lambda why: None)
    try:
        assert lease.hand_over(20)
    finally:
        lease.end(healed=True)


# -- paths


def _path(tmp_path: Path, name: str) -> Path:
    (tmp_path / "folder" / "latest").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("/nowhere")
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/".join(["x" * 90] * 5), "characters long"),
        ("a[b", r"take \[ in a path for a pattern"),
        ("a*b", r"take \* in a path for a pattern"),
        ("dangling", "is a link to /nowhere"),
        ("folder", "latest in it is no symbolic link"),
        ("file", "File exists"),
        ("file/below", "Not a directory"),
        ("y" * 300, "File name too long|cannot be used|characters long"),
    ],
    ids=["long", "bracket", "star", "dangling", "latest", "file", "below a file", "long name"],
)
def test_a_folder_that_cannot_hold_runs_is_refused_and_nothing_is_left_in_it(
    tmp_path: Path, name: str, said: str
) -> None:
    out = _path(tmp_path, name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=said):
        make_folder(out, "x")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["plain", "with space", "ünïcode", "a/b/c", "comma,colon:"])
def test_a_folder_of_any_other_name_holds_runs(tmp_path: Path, name: str) -> None:
    made = make_folder(tmp_path / name, "x")
    assert (tmp_path / name / "latest").resolve() == made
    assert make_folder(tmp_path / name, "x") != made


def test_outputs_are_guarded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that judges nothing and whose output is whole keeps its code."""
    monkeypatch.setattr(outputs, "_outputs", [outputs.Outlasting(os.open(os.devnull, os.O_WRONLY))])
    assert outputs.settle(ExitCode.PASS, judges=False) is ExitCode.PASS
