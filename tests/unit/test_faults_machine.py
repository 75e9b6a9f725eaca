"""Faults on a slice of the machine and on a database: real, bounded, and gone with their holder or token."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from test_niceness import session_niceness

from chaoskit import niceness, waiting
from chaoskit.errors import Place
from chaoskit.faults import processes
from chaoskit.faults import slice as burners
from chaoskit.faults.base import Fault, FaultError, Lapsed, Target, Undo
from chaoskit.faults.database import DbError, DbSlow
from chaoskit.faults.process import ProcessCrashLoop, ScrapeDrop
from chaoskit.faults.registry import read_settings
from chaoskit.faults.slice import CpuBurn, DiskFill, MemoryBurn
from chaoskit.handles.address import Address
from chaoskit.host import slices
from chaoskit.run.held_fault import HeldFault

MARK = f"machine{os.getpid()}"
MIB = 2**20
AT_ONCE = burners.PROGRAM.replace("20_000", "1")
"""As a burner's program, for a test whose clock is told: computing takes no time of ours."""
SERVING = f"""
import http.server
from setproctitle import setproctitle
setproctitle("{MARK} metrics")
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def slice_of(folder: Path, **limits: float) -> Target:
    mark = {"name": "A_SLICE", "value": MARK}
    address = Address(mark=mark, folder=str(folder), limits=limits, time_scale=60)
    return Target("slice:crm", ("crm",), address)


def token(kind: Fault[Any], target: Target, **settings: Any) -> Undo:
    found, problems = read_settings(kind, settings, Place("drill.yml", 1))
    assert found is not None, problems
    return kind.prepare(target, found)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[list[HeldFault]]:
    """Faults to be held by a child; whatever a test leaves in force is taken back."""
    found: list[HeldFault] = []
    yield found
    for one in found:
        one.take_back()


def hold(held: list[HeldFault], kind: Fault[Any], undo: Undo, folder: Path) -> HeldFault:
    one = HeldFault(kind, undo, 60.0, folder / "holder.log", lambda reason: None)
    held.append(one)
    one.await_armed()
    one.start()
    one.await_effect()
    return one


def test_a_cpu_burn_uses_about_what_was_asked_for_as_part_of_the_slice_and_never_more(
    held: list[HeldFault], tmp_path: Path
) -> None:
    undo = token(CpuBurn(), slice_of(tmp_path, cpu=1.0), cores=0.2, burners=2)
    hold(held, CpuBurn(), undo, tmp_path)
    burning = burners.find(undo)
    assert len(burning) == 2
    assert all(f"A_SLICE={MARK}".encode() in Path(f"/proc/{p.pid}/environ").read_bytes() for p in burning)
    before, begun = [p.cpu_times() for p in burning], time.monotonic()
    threading.Event().wait(2.0)
    used = sum(p.cpu_times().user - b.user for p, b in zip(burning, before, strict=True))
    # Processor time is known in steps of 10 ms a process; what a busy machine withholds is less, never more.
    assert 0.02 < used <= 0.2 * (time.monotonic() - begun) + 0.2
    assert "2 put out" in held.pop().take_back().detail
    assert burners.find(undo) == []


def test_a_cpu_burn_leaves_the_processors_to_others_unless_it_gets_too_little(
    held: list[HeldFault], tmp_path: Path
) -> None:
    """Its holder's session gives way; more than the machine has is never enough, so that one gives way no longer."""
    modest, greedy = (
        token(CpuBurn(), slice_of(tmp_path), cores=0.05, burners=2),
        token(CpuBurn(), slice_of(tmp_path), cores=float(4 * (os.cpu_count() or 1)), burners=2),
    )
    if session_niceness(os.getpid()) is None:
        pytest.skip("this kernel does not group processes by session")
    for undo, nice in ((modest, niceness.BY), (greedy, 0)):
        hold(held, CpuBurn(), undo, tmp_path)
        leader = burners.find(undo)[0].ppid()
        assert waiting.await_true(lambda leader=leader, nice=nice: session_niceness(leader) == nice, 10)  # type: ignore[misc]


def test_a_memory_burn_holds_every_page_of_it(held: list[HeldFault], tmp_path: Path) -> None:
    undo = token(MemoryBurn(), slice_of(tmp_path, memory=256 * MIB), size="64MiB")
    hold(held, MemoryBurn(), undo, tmp_path)
    assert burners.find(undo)[0].memory_info().rss >= 64 * MIB
    held.pop().take_back()
    assert burners.find(undo) == []


@pytest.mark.parametrize(
    ("kind", "settings", "limits", "said"),
    [
        (CpuBurn(), {"cores": 2.0}, {"cpu": 1.0}, "limits.cpu of 1"),
        (MemoryBurn(), {"size": "2GiB"}, {"memory": 2**30}, "limits.memory of 1073741824"),
        (MemoryBurn(), {"size": "900000GiB"}, {}, "endanger this machine"),
        (DiskFill(), {"size": "900000GiB"}, {}, "endanger this machine"),
    ],
)
def test_a_burn_beyond_the_limits_is_refused_before_anything_burns(
    tmp_path: Path, kind: Fault[Any], settings: dict[str, Any], limits: dict[str, float], said: str
) -> None:
    with pytest.raises(FaultError, match=said):
        token(kind, slice_of(tmp_path, **limits), **settings)


def test_a_killed_holder_takes_its_burners_with_it(held: list[HeldFault], tmp_path: Path) -> None:
    """By the kernel, without anybody's help; the token then finds nothing left, and says so."""
    undo = token(CpuBurn(), slice_of(tmp_path), cores=0.1, burners=2)
    hold(held, CpuBurn(), undo, tmp_path)
    holder = psutil.Process(burners.find(undo)[0].ppid())
    holder.send_signal(signal.SIGKILL)
    assert waiting.await_true(lambda: not burners.find(undo), 10)
    assert "0 put out" in CpuBurn().stop(undo).detail


def test_memory_that_is_taken_slowly_has_its_effect_from_the_first_quarter_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert on a part of it is no older than its fault."""
    undo = token(MemoryBurn(), slice_of(tmp_path), size="8MiB")
    some: list[float] = []

    def resident(process: psutil.Process) -> int:
        shares = (0.0, 0.2, 0.3, 0.3, 0.6, 0.9, 1.0)
        some.append(time.time())
        return int(undo["size"] * shares[min(len(some), len(shares)) - 1])

    monkeypatch.setattr(burners, "_resident", resident)
    try:
        begun, full = MemoryBurn().start(undo).between
    finally:
        MemoryBurn().stop(undo)
    assert some[0] <= begun <= some[2]
    assert some[6] <= full


@pytest.mark.parametrize(("starved_s", "missed_s"), [(0.3, 0.0), (4.0, 4.0)])
def test_a_burner_makes_up_for_a_moment_and_not_for_a_machine_that_was_busy_for_long(
    monkeypatch: pytest.MonkeyPatch, starved_s: float, missed_s: float
) -> None:
    """Else eight of them would keep a machine busy for seconds that had no time for them for one.

    Its clocks are told here: a look at the first costs 5 ms of computing, and at 105 s it gets no processor for long.
    """
    share, now, used_s = 0.1, 100.0, 0.0

    class Enough(Exception):
        pass

    def process_time() -> float:
        nonlocal now, used_s
        now += 0.005 + (starved_s if now < 105.0 <= now + 0.005 else 0.0)
        used_s += 0.005
        if now > 120.0:
            raise Enough
        return used_s

    def sleep(span_s: float) -> None:
        nonlocal now
        now += span_s if not now < 105.0 <= now + span_s else 105.0 - now - 1e-6

    clocks = SimpleNamespace(monotonic=lambda: now, process_time=process_time, sleep=sleep)
    monkeypatch.setitem(sys.modules, "time", clocks)
    with pytest.raises(Enough):
        exec(AT_ONCE, {"sys": SimpleNamespace(argv=["", "", str(share), "0.5"]), "begun": lambda: None})
    assert share * (now - 100.0) - used_s == pytest.approx(share * missed_s, abs=share * 0.5)


@pytest.mark.parametrize("others", [0.0, 0.15, 0.6], ids=["alone", "beside others", "beside too many"])
@pytest.mark.parametrize("starved_s", [0.0, 3.0])
def test_a_topped_up_slice_uses_in_no_second_more_than_it_shall_but_for_what_others_use(
    monkeypatch: pytest.MonkeyPatch, others: float, starved_s: float
) -> None:
    """Nor after the burner had to wait for a processor; and once others rest it makes up the difference again.

    Its clocks are told: a look costs two milliseconds, and others compute steadily for 20 s, 40 ms at once at 8 s.
    """
    now, own_s = 100.0, 0.0
    marks: list[tuple[str, ...]] = []
    total: list[tuple[float, float]] = []

    class Enough(Exception):
        pass

    class Told:
        def __init__(self, *mark: str) -> None:
            marks.append(mark)

        def pids(self) -> list[int]:
            return [1, 2]

        def used_s(self, pids: list[int]) -> float:
            total.append((now, own_s + others * min(now - 100.0, 20.0) + (0.04 if now > 108.0 else 0.0)))
            return total[-1][1]

    def process_time() -> float:
        return own_s

    def monotonic() -> float:
        nonlocal now, own_s
        if now > 130.0:
            raise Enough
        now += 0.002 + (starved_s if now < 104.0 <= now + 0.002 else 0.0)
        own_s += 0.002
        return now

    def sleep(span_s: float) -> None:
        nonlocal now
        assert 0 < span_s <= 1.0
        now += span_s if not now < 104.0 <= now + span_s else 104.0 - now - 1e-6

    monkeypatch.setitem(
        sys.modules, "time", SimpleNamespace(monotonic=monotonic, process_time=process_time, sleep=sleep)
    )
    monkeypatch.setitem(slices.KINDS, "Slice", Told)  # type: ignore[arg-type]
    argv = ["", "", "0.35", str(burners._TOPPED_UP_S), str(burners._ROOT), "Slice", "A_SLICE", "crm"]
    with pytest.raises(Enough):
        exec(AT_ONCE, {"sys": SimpleNamespace(argv=argv, path=[]), "begun": lambda: None})
    assert marks == [("A_SLICE", "crm")]
    rates = {at: (used - past) / (at - then) for (then, past), (at, used) in seconds_apart(total)}
    assert len(rates) > 700
    assert all(rate <= max(0.35, others) + 0.06 for rate in rates.values()), max(rates.values())
    assert all(rate >= 0.34 for at, rate in rates.items() if at > 122.5), "others rest by then"


def seconds_apart(total: list[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Each reading with the last one that is at least a second older."""
    first = 0
    for one in total:
        while total[first + 1][0] <= one[0] - 1.0:
            first += 1
        if total[first][0] <= one[0] - 1.0:
            yield total[first], one


def test_a_burner_counts_the_slice_s_other_processes_in(held: list[HeldFault], tmp_path: Path) -> None:
    """One that computes without pause leaves nothing to be topped up."""
    code = "print(flush=True)\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "A_SLICE": MARK}, stdout=subprocess.PIPE)
    try:
        assert busy.stdout
        assert busy.stdout.readline()
        undo = token(CpuBurn(), slice_of(tmp_path, cpu=1.0), cores=0.5, burners=1, top_up=True)
        hold(held, CpuBurn(), undo, tmp_path)
        (burner,) = burners.find(undo)
        assert set(slices.Slice("A_SLICE", MARK).pids()) == {busy.pid, burner.pid}
        begun_s, *before_s = (time.monotonic(), slices.processor_s(busy.pid), slices.processor_s(burner.pid))
        assert waiting.await_true(lambda: slices.processor_s(busy.pid) >= before_s[0] + 0.5, 20)
        asked_s = 0.5 * (time.monotonic() - begun_s)
        left_s = max(0.0, asked_s - (slices.processor_s(busy.pid) - before_s[0]))
        assert slices.processor_s(burner.pid) - before_s[1] < left_s + 0.1, "a blind one uses a quarter of a second"
    finally:
        busy.kill()
        busy.communicate()


def test_topping_up_is_told_with_what_the_slice_used_before(tmp_path: Path) -> None:
    """And refused where no process of it is found: that would be a plain burn."""
    settings = {"cores": 0.05, "burners": 1, "top_up": True}
    with pytest.raises(FaultError, match=rf"no process of this user has A_SLICE={MARK} .*: start .*, or leave out"):
        token(CpuBurn(), slice_of(tmp_path), **settings)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], env={**os.environ, "A_SLICE": MARK})
    try:
        assert waiting.await_true(lambda: slices.Slice("A_SLICE", MARK).pids() == [busy.pid], 10)
        undo = token(CpuBurn(), slice_of(tmp_path), **settings)
        assert undo["whole"] == ["Slice", "A_SLICE", MARK]
        said = CpuBurn().start(undo).detail
        CpuBurn().stop(undo)
    finally:
        busy.kill()
        busy.wait()
    found = re.fullmatch(r"1 process tops up to 0\.05 cores; the slice used (\d\.\d\d) before", said)
    assert found, said
    assert float(found[1]) > 0
    for kind, more in ((CpuBurn(), {"cores": 0.1}), (MemoryBurn(), {"size": "8MiB"})):
        assert "whole" not in token(kind, slice_of(tmp_path), **more), "what is not topped up is not counted"


def test_a_group_that_goes_while_it_is_topped_up_is_named_and_no_burner_is_said_to_be_killed(tmp_path: Path) -> None:
    counter = tmp_path / "cpu.stat"
    counter.write_text("usage_usec 1000\n")
    undo = {**token(CpuBurn(), slice_of(tmp_path), cores=0.01, burners=1), "whole": ["Group", str(counter), "1e6"]}
    CpuBurn().start(undo)
    try:
        threading.Timer(0.3, counter.unlink).start()
        with pytest.raises(FaultError, match=r"removed the control group: .*cpu.stat cannot be read .*No such file"):
            CpuBurn().hold(undo, threading.Event())
    finally:
        CpuBurn().stop(undo)


def test_a_token_names_a_way_of_counting_and_nothing_else_of_a_module(tmp_path: Path) -> None:
    undo = {**token(CpuBurn(), slice_of(tmp_path), cores=0.05), "whole": ["__setattr__", "SPOILT", True]}
    with pytest.raises(KeyError):
        CpuBurn().start(undo)
    assert not hasattr(slices, "SPOILT")


def test_a_burner_that_dies_is_a_lapse(tmp_path: Path) -> None:
    undo = token(MemoryBurn(), slice_of(tmp_path), size="8MiB")
    MemoryBurn().start(undo)
    try:
        threading.Timer(0.3, lambda: burners.find(undo)[0].kill()).start()
        with pytest.raises(Lapsed):
            MemoryBurn().hold(undo, threading.Event())
    finally:
        MemoryBurn().stop(undo)


def test_burners_that_get_far_less_than_was_asked_for_are_a_lapse(tmp_path: Path) -> None:
    """They stand still here, as on a machine that gives them nothing: what follows says nothing of the alert."""
    undo = token(CpuBurn(), slice_of(tmp_path), cores=0.2, burners=2)
    CpuBurn().start(undo)
    try:
        for process in burners.find(undo):
            process.suspend()
        with pytest.raises(Lapsed, match=r"the burners got 0\.0\d of 0\.2 cores"):
            CpuBurn().hold(undo, threading.Event())
    finally:
        CpuBurn().stop(undo)


def test_a_filled_disk_is_really_filled_and_freed_by_the_token_alone(tmp_path: Path) -> None:
    undo = token(DiskFill(), slice_of(tmp_path), size="8MiB")
    DiskFill().stop(undo)  # before it began: nothing to do
    DiskFill().start(undo)
    assert Path(undo["file"]).stat().st_blocks * 512 >= 8 * MIB
    threading.Timer(0.3, Path(undo["file"]).unlink).start()
    with pytest.raises(
        Lapsed, match=r"another program made .* smaller, or removed it; the effect is weaker .* 0 of 8 MiB"
    ):
        DiskFill().hold(undo, threading.Event())
    for _ in range(2):
        DiskFill().stop(undo)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def database(tmp_path: Path) -> Target:
    file = tmp_path / "crm.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE audit (id INTEGER PRIMARY KEY, action TEXT)")
        connection.execute("CREATE TABLE leads (id INTEGER PRIMARY KEY)")
    return Target("database:crm", ("crm",), Address(file=str(file), time_scale=60))


def write(target: Target, table: str, timeout_s: float = 0.0) -> None:
    connection = sqlite3.connect(target.address.file, timeout=timeout_s)
    try:
        with connection:
            connection.execute(f"INSERT INTO {table} DEFAULT VALUES")
    finally:
        connection.close()


def test_refused_statements_fail_on_their_table_only_and_until_the_undo(database: Target) -> None:
    undo = token(DbError(), database, table="audit")
    DbError().start(undo)
    with pytest.raises(sqlite3.IntegrityError, match="refused for a drill"):
        write(database, "audit")
    write(database, "leads")
    for _ in range(2):
        DbError().stop(undo)
    write(database, "audit")


def test_a_table_that_is_not_there_is_named_with_those_that_are(database: Target) -> None:
    with pytest.raises(FaultError, match="there is no table orders; name one of audit, leads"):
        token(DbError(), database, table="orders")


def test_a_fault_that_begins_with_a_pulse_may_take_as_long_to_begin(database: Target) -> None:
    assert DbSlow().longest_s(token(DbSlow(), database, locked="12s", every="18s")) == 12 / 60


@pytest.mark.long
def test_a_lock_by_hand_ends_after_its_time_and_not_at_its_maximum_duration(
    database: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first pulse comes before the time that is asked for."""
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    words = f"inject db.slow --for 1s --target database:crm=crm --at file={database.address.file}".split()
    words += ["--with", "locked=7s", "--with", "every=8s", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "chaoskit", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_writers_wait_while_the_lock_is_held_and_get_through_in_between(
    database: Target, held: list[HeldFault], tmp_path: Path
) -> None:
    undo = token(DbSlow(), database, locked="12s", every="18s")
    hold(held, DbSlow(), undo, tmp_path)

    def refused() -> bool:
        try:
            write(database, "leads")
        except sqlite3.OperationalError:
            return True
        return False

    assert waiting.await_true(refused, 30, 0.005), "no writer ever met the lock"
    write(database, "leads", timeout_s=20)
    held.pop().take_back()
    for _ in range(20):
        write(database, "leads", timeout_s=20)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (DbSlow(), {"locked": "10s", "every": "10s"}, "leaves writers no gap"),
        (DbSlow(), {"locked": 10}, "has no unit"),
        (DbError(), {"table": "audit; DROP TABLE leads"}, "pattern"),
        (DbError(), {"table": "audit", "ratio": "10%"}, "leave one of them out"),
        (CpuBurn(), {"core": 1}, "Extra inputs are not permitted"),
        (MemoryBurn(), {}, "Field required"),
    ],
)
def test_bad_settings_are_named(kind: Fault[Any], settings: dict[str, Any], said: str) -> None:
    found, problems = read_settings(kind, settings, Place("drill.yml", 7))
    assert found is None
    assert said in str(problems[0])
    assert "drill.yml:7" in str(problems[0])


def test_a_silenced_page_times_out_and_answers_after_the_undo() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        target = Target(
            "scrape:crm", ("metrics",), Address(pattern=rf"{MARK} (?P<name>metrics)", url=f"http://127.0.0.1:{port}/")
        )
        undo = token(ScrapeDrop(), target)
        assert "is silent" in ScrapeDrop().start(undo).detail
        ScrapeDrop().stop(undo)
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert answer.status == 200
    finally:
        server.kill()
        server.wait(10)
        if server.stdout is not None:
            server.stdout.close()


SUPERVISOR = f"""
import os, time
from setproctitle import setproctitle
def birth():
    pid = os.fork()
    if pid == 0:
        setproctitle("{MARK} worker w1")
        while True:
            time.sleep(0.05)
    return pid
births = 0
while births < 9:
    pid = birth()
    births += 1
    print(births, flush=True)
    os.waitpid(pid, 0)
"""


def test_a_crash_loop_kills_exactly_so_often_and_then_leaves_it_alone(held: list[HeldFault], tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True)
    try:
        pattern = rf"{MARK} worker (?P<name>\S+)"
        assert waiting.await_true(lambda: "w1" in processes.find(pattern), 10)
        target = Target("role:worker", ("w1",), Address(pattern=pattern, time_scale=60))
        hold(held, ProcessCrashLoop(), token(ProcessCrashLoop(), target, times=3, every="12s"), tmp_path)
        assert parent.stdout is not None
        assert [parent.stdout.readline().strip() for _ in range(4)] == ["1", "2", "3", "4"]
        assert waiting.await_true(lambda: "w1" in processes.find(pattern), 10)
        last = processes.find(pattern)["w1"]
        threading.Event().wait(0.6)  # three further periods
        assert last.is_running()
        assert held.pop().take_back().detail == "all back"
    finally:
        children = psutil.Process(parent.pid).children()
        parent.kill()
        for child in children:
            child.kill()
        parent.wait(10)
        if parent.stdout is not None:
            parent.stdout.close()
