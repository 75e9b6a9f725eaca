"""The journal: whole lines or none, numbered without holes, and nothing written is ever lost."""

from __future__ import annotations

import errno
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import judge_scale
from chaoskit import files
from chaoskit.errors import BadInput, EquipmentError
from chaoskit.events import SCHEMA, Equipment, Event, Header, Phase, decode
from chaoskit.history import History, parse_history, read_history
from chaoskit.run.journal import Journal

KEPT_FILE = judge_scale.RECORDED


def header() -> Header:
    return Header(
        schema=SCHEMA,
        run_id="r",
        scenario="s.yml",
        profile="p.yml",
        sources={},
        settings=[],
        time_scale=60,
        seed=0,
        versions={},
        doors=[],
        targets={},
        notes=[],
    )


def written(path: Path, count: int) -> Journal:
    journal = Journal(path)
    journal.write(header(), sync=True)
    for number in range(count):
        journal.write(Equipment(name=f"e{number}", state="up"))
    return journal


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    journal = written(tmp_path / "events.jsonl", 3)
    journal.close()
    history = read_history(tmp_path)
    assert [event.n for event in history.events] == [0, 1, 2, 3]
    assert [event.name for event in history.of(Equipment)] == ["e0", "e1", "e2"]
    assert not history.torn


def kept_twice() -> tuple[bytes, History]:
    data = KEPT_FILE.read_bytes()
    return data, parse_history(data, "kept")


@pytest.mark.parametrize("size", [997, 40_000, 10**9])
def test_a_history_that_comes_in_pieces_is_the_same_as_in_one(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    data, whole = kept_twice()
    monkeypatch.setattr(files, "_CHUNK", size)
    assert read_history(KEPT_FILE) == whole
    one_by_one = tuple(decode(line) for line in data.splitlines())
    assert whole.events == one_by_one
    for kind in {type(event) for event in one_by_one}:
        assert list(whole.of(kind)) == [event for event in one_by_one if type(event) is kind]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: [*lines[:99], lines[99] + lines[100], *lines[101:]], "kept:100: not an event"),
        (lambda lines: [*lines[:99], b"", *lines[99:]], "kept:100: not an event"),
        (lambda lines: [*lines[:98], lines[98] + lines[99], b"", *lines[100:]], "kept:99: not an event"),
        (lambda lines: [*lines[:99], *lines[100:]], "kept:100: event 99 is missing"),
        (lambda lines: [*lines[:99], lines[99].replace(b"{", b"{\n", 1), *lines[100:]], "kept:100: not an event"),
    ],
    ids=["two events on a line", "an empty line", "both", "a hole", "an event over two lines"],
)
def test_damage_among_whole_lines_is_refused_at_its_line(
    damage: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    lines = damage(kept_twice()[0].splitlines())
    with pytest.raises(BadInput, match=said):
        parse_history(b"\n".join(lines) + b"\n", "kept")


def test_an_event_of_a_long_history_takes_at_most_450_bytes(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    grown = judge_scale.grow(kept_twice()[1].events, 20_000)
    judge_scale.write(grown, file)
    tracemalloc.start()
    try:
        history = read_history(file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(history.events) == grown
    assert most / len(grown) <= 450, f"{most / len(grown):.0f} bytes an event"


def test_writers_in_many_threads_leave_no_hole_and_no_broken_line(tmp_path: Path) -> None:
    journal = written(tmp_path / "events.jsonl", 0)
    threads = [
        threading.Thread(target=lambda: [journal.write(Phase(name="tail")) for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(read_history(tmp_path).events) == 1601


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path / "events.jsonl", 1).close()
    with pytest.raises(EquipmentError, match="cannot make"):
        Journal(tmp_path / "events.jsonl")


def test_a_disk_that_fills_up_in_the_middle_of_a_line_costs_only_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half line is cut off again, the journal refuses to go on, and what came before is readable."""
    journal = written(tmp_path / "events.jsonl", 2)
    real, calls = os.write, []

    def filling(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(EquipmentError, match="No space left"):
        journal.write(Phase(name="undo"))
    monkeypatch.undo()
    with pytest.raises(EquipmentError, match="No space left"):
        journal.write(Phase(name="tail"))
    assert journal.lost
    assert len(read_history(tmp_path).events) == 3


def test_a_journal_that_cannot_be_forced_out_is_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes it has locks and a lease to give back as well."""
    journal = written(tmp_path / "events.jsonl", 2)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal.close()
    journal.close()
    assert journal.lost
    with pytest.raises(EquipmentError, match="No space left"):
        journal.write(Phase(name="tail"))


def test_a_journal_cut_at_any_byte_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    """Or refused with its place when not even the header is whole; never a traceback, never a wrong event."""
    written(tmp_path / "events.jsonl", 4).close()
    data = (tmp_path / "events.jsonl").read_bytes()
    first = data.index(b"\n") + 1
    for end in range(len(data)):
        if end < first:
            with pytest.raises(BadInput, match="header"):
                parse_history(data[:end], "events.jsonl")
        else:
            history = parse_history(data[:end], "events.jsonl")
            assert len(history.events) == data[:end].count(b"\n")
            assert history.torn is (not data[:end].endswith(b"\n"))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_hole_is_refused_with_its_line(tmp_path: Path, lost: int) -> None:
    written(tmp_path / "events.jsonl", 4).close()
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    with pytest.raises(BadInput, match=rf"events.jsonl:{lost + 1}: event {lost} is missing"):
        parse_history(b"".join(lines[:lost] + lines[lost + 1 :]), "events.jsonl")


@pytest.mark.parametrize("line", [b"{}\n", b"not json\n", b'{"type":"surprise","n":5,"t":0}\n', b"\xff\xfe\n"])
def test_a_line_that_is_no_known_event_is_refused(tmp_path: Path, line: bytes) -> None:
    written(tmp_path / "events.jsonl", 4).close()
    data = (tmp_path / "events.jsonl").read_bytes() + line
    with pytest.raises(BadInput, match=r"events.jsonl:6: not an event"):
        parse_history(data, "events.jsonl")


def test_every_listener_hears_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    heard: list[Event] = []
    journal = Journal(tmp_path / "events.jsonl", heard.append)
    journal.write(header())
    journal.close()
    with pytest.raises(EquipmentError):
        journal.write(Phase(name="tail"))
    assert [event.n for event in heard] == [0]
