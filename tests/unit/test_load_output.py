"""What a load prints stays within its bound, whoever prints it, and both its beginning and its end are kept."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pytest

from chaoskit.errors import EquipmentError
from chaoskit.load.engine import LoadChild
from chaoskit.load.processes import MOST_BYTES, BoundedOutput
from tests.load_examples import Heard, Target, a_spec, look_at, target

__all__ = ["target"]


def printed(path: Path, lines: int, most: int) -> bytes:
    output = BoundedOutput(path, most)
    for number in range(lines):
        os.write(output.fd, b"line %d\n" % number)
        assert path.stat().st_size <= most
    output.started()
    output.close()
    return path.read_bytes()


def test_little_is_kept_as_it_is_and_appended(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "load.log"
    assert printed(path, 3, 1000) == b"line 0\nline 1\nline 2\n"
    assert printed(path, 1, 1000) == b"line 0\nline 1\nline 2\nline 0\n"


def test_of_much_the_beginning_and_the_end_are_kept_and_the_middle_is_told(tmp_path: Path) -> None:
    most, lines = 2000, 5000
    kept = printed(tmp_path / "load.log", lines, most)
    beginning, told, end = kept.partition(b"\n[")
    left_out, _, end = end.partition(b" bytes of output are left out here]\n")
    assert kept.startswith(b"line 0\nline 1\n")
    assert kept.endswith(b"line 4999\n")
    assert len(kept) <= most
    assert kept.count(b"left out here") == 1
    assert len(beginning) >= 0.4 * most - 2
    assert len(end) >= 0.25 * most
    assert end.startswith(b"line ")
    whole = sum(len(b"line %d\n" % number) for number in range(lines))
    assert len(beginning) + len(end) + int(left_out) == whole
    assert told


def test_one_line_without_an_end_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "load.log"
    output = BoundedOutput(path, 1_000_000)
    for _ in range(100):
        os.write(output.fd, b"x" * 60_000)
    output.started()
    output.close()
    assert 600_000 < path.stat().st_size <= 1_000_000


FLOOD = """
import sys
from locust import FastHttpUser, task
print("first words")
for _ in range(220):
    print("x" * 100_000)
class U(FastHttpUser):
    @task
    def r(self):
        pass
"""


def test_a_locustfile_that_prints_without_end_costs_neither_memory_nor_disk(target: Target, tmp_path: Path) -> None:
    """Neither the check of the file nor the load; what it said last is still told where it fails."""
    own, log = tmp_path / "own.py", tmp_path / "load.log"
    own.write_text(FLOOD)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert look_at(own) == []
    own.write_text(FLOOD + "\nprint('last words', file=sys.stderr, flush=True)\nimport os; os._exit(9)\n")
    (problem,) = look_at(own)
    assert "ended the process that imported it with 9" in problem.message
    assert problem.hint.endswith("last words")
    with pytest.raises(EquipmentError, match="last words"):
        LoadChild.start(a_spec(target, users=1, locustfile=str(own)), log=log, on_event=Heard())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1024 if sys.platform == "linux" else 1) < 30_000_000
    assert log.stat().st_size <= MOST_BYTES
    text = log.read_text()
    assert text.startswith("first words")
    assert "bytes of output are left out here" in text
