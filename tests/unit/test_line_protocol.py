"""One protocol between a process and its children: whole lines, and the end of a pipe for whatever else may happen."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaoskit.errors import EquipmentError
from chaoskit.host.lines import Lines, pipes
from chaoskit.host.process import Child, spawn

ECHO = "import sys; print('up', flush=True)\nfor line in sys.stdin: print('said', line.strip(), flush=True)"
HUGE = b"x" * 300_000
"""More than a pipe holds."""
WITHIN_S = 20.0

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a small child, from its text in Python or its words; all are stopped at the end."""
    children: list[Child] = []

    def one(text: str = ECHO, *words: str) -> Child:
        argv = words or (sys.executable, "-I", "-S", "-c", text)
        children.append(spawn(argv, name="small", log=tmp_path / "log", talks=True))
        return children[-1]

    yield one
    for child in children:
        child.stop(0)


@pytest.fixture
def ends() -> Iterator[tuple[Lines, Lines]]:
    """A parent's end and a child's, in one process."""
    with pipes() as (ours, told, says):
        theirs = Lines(os.dup(says), os.dup(told))
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_child_says_hello_obeys_orders_and_answers_each(start: Start) -> None:
    child = start()
    assert child.hello(WITHIN_S, "it is up") == b"up\n"
    for order in (b"one", b"two\n", "drei für".encode()):
        assert child.lines.send(order)
        assert child.lines.hear(WITHIN_S) == b"said " + order.strip() + b"\n"


def test_answers_that_come_together_are_heard_one_by_one_and_long_ones_whole(start: Start) -> None:
    child = start("import sys; sys.stdout.write('a\\n\\nb\\n' + 'x' * 300_000 + '\\n')")
    assert list(child.lines) == [b"a\n", b"\n", b"b\n", HUGE + b"\n"]
    assert child.lines.hear() == b"", "the end stays the end"


def test_a_hello_that_does_not_come_or_a_child_that_ends_before_is_said_with_its_log(start: Start) -> None:
    silent = start("import sys; sys.stderr.write('thinking\\n'); sys.stderr.flush(); sys.stdin.read()")
    with pytest.raises(EquipmentError, match=r"small: not within 0 s: it is up"):
        silent.hello(0, "it is up")
    with pytest.raises(EquipmentError, match=r"(?s)ended with 3 before: it is up.*no port"):
        start("import sys; sys.stderr.write('no port\\n'); sys.exit(3)").hello(WITHIN_S, "it is up")


def test_no_answer_in_time_is_no_end(start: Start) -> None:
    child = start()
    child.hello(WITHIN_S, "it is up")
    with pytest.raises(TimeoutError):
        child.lines.hear(0)
    child.lines.send(b"late")
    assert child.lines.hear(WITHIN_S) == b"said late\n"


def test_a_child_that_is_let_go_finds_its_input_ended_and_its_last_words_are_heard(start: Start) -> None:
    child = start(ECHO + "\nprint('bye')")
    child.lines.send(b"x")
    child.lines.let_go()
    child.lines.let_go()
    assert not child.lines.send(b"too late")
    assert list(child.lines) == [b"up\n", b"said x\n", b"bye\n"]
    assert child.wait(WITHIN_S)
    assert child.returncode == 0


def test_a_parent_that_is_gone_is_an_end_to_its_child_too(ends: tuple[Lines, Lines]) -> None:
    ours, theirs = ends
    ours.send(b"first")
    ours.close()
    assert list(theirs) == [b"first\n"]
    assert not theirs.send(b"is there anybody?")
    assert not theirs.send(b"once more"), "and stays so"


def test_a_child_that_is_killed_leaves_at_most_half_a_line_and_hears_no_order(start: Start) -> None:
    child = start("import os; os.write(1, b'whole\\nhal'); os.kill(os.getpid(), 9)")
    assert list(child.lines) == [b"whole\n", b"hal"]
    assert child.wait(WITHIN_S)
    assert child.returncode == -signal.SIGKILL
    assert not child.lines.send(b"anything")


def test_garbage_is_handed_on_as_it_is(start: Start) -> None:
    child = start("import os; os.write(1, b'\\xff\\x00{\\n\\n{\"a\":1}\\n')")
    assert list(child.lines) == [b"\xff\x00{\n", b"\n", b'{"a":1}\n']


def test_an_order_of_more_than_a_pipe_holds_arrives_whole(start: Start) -> None:
    child = start("import sys; line = sys.stdin.readline(); print(len(line), sorted(set(line)), flush=True)")
    assert child.lines.send(HUGE)
    assert child.lines.hear(WITHIN_S) == b"300001 ['\\n', 'x']\n"


def test_an_order_for_which_there_is_no_room_is_dropped_and_holds_nothing_up(ends: tuple[Lines, Lines]) -> None:
    """A child that stands still reads nothing; beats to it must not hold its parent up."""
    ours, theirs = ends
    beats = 0
    while ours.send(b"%06d" % beats, 0) and beats < 20_000:
        beats += 1
    assert beats == 20_000, "a full pipe is not a closed one"
    ours.let_go()
    heard = [int(line) for line in theirs]
    assert heard == list(range(len(heard))), "what was taken came whole and in order"
    assert 1_000 < len(heard) < 20_000


def test_an_order_that_got_stuck_in_its_middle_ends_the_talk(ends: tuple[Lines, Lines]) -> None:
    ours, theirs = ends
    assert not ours.send(HUGE, 0)
    assert not ours.send(b"and another", 0)
    (half,) = list(theirs)
    assert half == HUGE[: len(half)], "half a line is no line: it has no newline"


def test_an_order_waits_for_room_as_long_as_it_may(ends: tuple[Lines, Lines]) -> None:
    ours, theirs = ends
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(theirs.hear()))
    reader.start()
    assert ours.send(HUGE, None)
    reader.join(WITHIN_S)
    assert heard == [HUGE + b"\n"]


def test_lines_of_several_threads_do_not_mix(ends: tuple[Lines, Lines]) -> None:
    ours, theirs = ends
    words = [bytes([letter]) * 20_000 for letter in b"abcd"]
    threads = [threading.Thread(target=ours.send, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    assert sorted(theirs.hear(WITHIN_S) for _ in words) == [word + b"\n" for word in words]
    for thread in threads:
        thread.join(WITHIN_S)


def test_closing_while_a_thread_hears_gives_its_descriptor_to_no_stranger(ends: tuple[Lines, Lines]) -> None:
    """The thread ends with the other end, and only then is the number free."""
    ours, theirs = ends
    begun, heard = threading.Event(), list[bytes]()

    def hear() -> None:
        begun.set()
        heard.extend(ours)

    thread = threading.Thread(target=hear)
    thread.start()
    begun.wait(WITHIN_S)
    ours.close()
    theirs.send(b"to nobody")
    theirs.close()
    thread.join(WITHIN_S)
    assert not thread.is_alive()
    assert heard == [] or heard == [b"to nobody\n"]


def test_a_standard_stream_that_broke_stays_open(start: Start) -> None:
    """Else the next file that the child opens would be its standard output."""
    code = f"import sys, os; sys.path[:0] = {sys.path!r}; from chaoskit.host.lines import Lines; parent = Lines(1, 0)\n"
    code += "parent.send(b'up'); parent.hear(); parent.send(b'nobody hears'); parent.send(b'nobody hears')\n"
    code += "print(os.fstat(1).st_size >= 0, os.open('/dev/null', os.O_RDONLY) > 2, file=sys.stderr)"
    child = start(code)
    child.hello(WITHIN_S, "it is up")
    child.lines.close()
    assert child.wait(WITHIN_S)
    assert "True True" in child.tail()


def test_a_child_has_default_signals_and_none_blocked(start: Start) -> None:
    """However its parent was started: under nohup, in a shell's background, from a thread that blocks signals."""
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_DFL, "
    code += "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        child = start(code)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGHUP, before)
    assert child.hello(WITHIN_S, "it tells") == b"True True set()\n"


def test_a_child_inherits_no_other_childs_pipes(start: Start) -> None:
    """Whoever held them as well would keep its input open when we are gone."""
    first = start()
    second = start("", "sh", "-c", "ls /proc/$$/fd")
    assert {int(number) for number in second.lines} <= {0, 1, 2}
    first.lines.let_go()
    assert first.wait(WITHIN_S), "nothing else holds its input open"


def test_the_same_lines_work_under_gevent_without_holding_up_other_greenlets(start: Start) -> None:
    """The load's process: while one greenlet waits for an order, the others run."""
    code = f"""
import gevent.monkey; gevent.monkey.patch_all()
import sys; sys.path[:0] = {sys.path!r}
import gevent
from chaoskit.host.lines import Lines
parent = Lines(1, 0)
def tick():
    for _ in range(5):
        gevent.sleep(0)
    parent.send(b"ticked")
parent.send(b"up")
gevent.spawn(tick)
parent.send(parent.hear(20), None)
try:
    parent.hear(0.01)
except TimeoutError:
    parent.send(b"nothing came")
"""
    child = start("", sys.executable, "-c", code)
    child.hello(WITHIN_S, "it is up")
    assert child.lines.hear(WITHIN_S) == b"ticked\n", "while the other greenlet waits for an order"
    child.lines.send(b"go on")
    assert child.lines.hear(WITHIN_S) == b"go on\n"
    assert child.lines.hear(WITHIN_S) == b"nothing came\n"
