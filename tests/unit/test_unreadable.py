"""Whatever lies where a file should be: read with a bound, or refused with a reason; nothing hangs, no other suffers.

Each reader gets a FIFO, a link to an endless device, and a file of twenty sparse gigabytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaoskit.access import read_token, session_for
from chaoskit.cli import run as chaoskit
from chaoskit.crm.config import load as crm_config
from chaoskit.errors import BadInput, EquipmentError
from chaoskit.files import open_regular, read_regular
from chaoskit.history import read_history, readable_part
from chaoskit.observe.sink_process import GOOD, sink_response
from chaoskit.run.journal import Journal
from chaoskit.safety.healbook import BOOK, read_book
from chaoskit.safety.run_registry import Entry, me, state_folder
from chaoskit.safety.stop_all import blocked
from chaoskit.safety.unhealed import in_use
from chaoskit.scenario.model import Access, Attached, Secret
from chaoskit.yaml_source import read_text
from tests.safety_examples import filled, header, invoke, journal, state

__all__ = ["state"]
pytestmark = [pytest.mark.usefixtures("state"), pytest.mark.timeout(30)]
_GIGABYTES = 20 * 2**30


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(_GIGABYTES)


KINDS = pytest.mark.parametrize("make", [fifo, endless, sparse], ids=lambda make: make.__name__)


def refused(work: Callable[[], object]) -> None:
    with pytest.raises((BadInput, OSError)) as error:
        work()
    assert any(word in str(error.value) for word in ("FIFO", "device", "MiB", "bytes")), error.value


@KINDS
@pytest.mark.parametrize(
    "read",
    [read_regular, read_history, read_text, read_token, crm_config],
    ids=lambda read: f"{read.__module__.rpartition('.')[2]}.{read.__name__}",
)
def test_a_reader_refuses_it_at_once_and_says_what_it_is(
    make: Callable[[Path], None], read: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "file")
    refused(lambda: read(tmp_path / "file"))


@KINDS
def test_secrets_of_a_profile_and_of_the_crm_are_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "file")
    name = str(tmp_path / "file")
    for access in (Access(bearer=Secret(file=name)), Access(ca_file=name)):
        target = Attached("http://127.0.0.1:1", "", "", "x", access={"prometheus": access})
        refused(lambda target=target: session_for(target, "prometheus"))


@KINDS
def test_what_may_be_missing_counts_as_missing(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / BOOK)
    assert sink_response(str(tmp_path / BOOK)) == GOOD
    assert read_book(tmp_path / BOOK).events == ()
    assert readable_part(tmp_path / BOOK) is None
    assert not in_use(tmp_path)


@KINDS
def test_commands_say_it_and_end(
    make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A history: verify refuses it (2); status and heal do not know what it would have said (5)."""
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    make(run / "events.jsonl")
    assert chaoskit(["verify", str(run)]) == 2
    assert chaoskit(["plan", str(run / "events.jsonl")]) == 2
    out = ["--out", str(run.parent)]
    codes = {
        word: chaoskit([*words, *out])
        for word, words in {"status": ["status"], "heal": ["heal", "--all"], "stop": ["stop"]}.items()
    }
    assert set(codes.values()) == ({0} if make is endless else {5}), codes
    assert chaoskit(["runs", "prune", "--keep", "0", *out]) == 0
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert ("link" if make is endless else "cannot be read") in said.out
    assert run.exists()


@KINDS
def test_one_bad_run_or_note_keeps_no_command_from_the_others(make: Callable[[Path], None], tmp_path: Path) -> None:
    room, runs = tmp_path / "runs" / "room", tmp_path / "runs"
    room.mkdir(parents=True)
    token = filled(room)
    (runs / "bad").mkdir(parents=True)
    make(runs / "bad" / "events.jsonl")
    (runs / "circle").symlink_to("circle")
    (runs / "file").write_text("")
    make(state_folder("runs") / "000.json")
    make(state_folder("locks") / "000.lock")
    (state_folder("runs") / "001.json").write_bytes(b"\xff{" * 9)
    journal(runs / "good", invoke("disk.fill", token)).close()
    entry = Entry(msgspec.structs.replace(me(), ticks=1), "x", [str(runs / "good")], [], time.time(), 3.0)
    (state_folder("runs") / "002.json").write_bytes(msgspec.json.encode(entry))
    assert chaoskit(["status", "--out", str(runs)]) == 5
    assert chaoskit(["heal", "--all", "--out", str(runs)]) == 5, "what the bad ones said is not known"
    assert not Path(token["file"]).exists()
    assert not (state_folder("runs") / "002.json").exists()


@KINDS
def test_a_stop_lever_that_cannot_be_read_is_down(make: Callable[[Path], None]) -> None:
    make(state_folder() / "stopped")
    assert "stopped cannot be read" in blocked()
    assert chaoskit(["unlock"]) == 0
    assert blocked() == ""


def test_a_damaged_journal_of_a_dead_run_is_5_for_status_as_for_heal(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "run"
    journal(run).close()
    out = ["--out", str(run.parent)]
    assert (chaoskit(["status", *out]), chaoskit(["heal", "--all", *out])) == (0, 0), "the control"
    with (run / "events.jsonl").open("ab") as file:
        file.write(b"{broken\n")
    assert (chaoskit(["status", *out]), chaoskit(["heal", "--all", *out])) == (5, 5)


def test_a_value_of_megabytes_is_refused_with_its_line(tmp_path: Path) -> None:
    from chaoskit.events import AlertState

    state = AlertState(state="firing", labels={"big": "x" * 3_000_000}, at=1, previous=None)
    book = Journal(tmp_path / "events.jsonl")
    book.write(header())
    book.write(state)
    book.close()
    with pytest.raises(BadInput, match=r"events.jsonl:2: not an event: Expected `str` of length <= 1048576"):
        read_history(tmp_path)


def test_a_journal_grows_no_longer_than_what_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.run.journal.HISTORY", 2000)
    book = Journal(tmp_path / "events.jsonl")
    while book.path.stat().st_size < 1500:
        book.write(header())
    big = msgspec.structs.replace(header(), notes=["x" * 600])
    with pytest.raises(EquipmentError, match="is not read again"):
        book.write(big)
    book.close()
    assert (tmp_path / "events.jsonl").stat().st_size <= 2000
    assert (tmp_path / "events.jsonl").read_bytes().endswith(b"\n")


def test_an_ordinary_file_is_read_whole_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_regular(tmp_path / "file", 100) == b"x" * 100
    with pytest.raises(OSError, match="holds more than"):
        read_regular(tmp_path / "file", 99)
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link") == b"x" * 100
    with pytest.raises(OSError, match="null"):
        open_regular(Path("a\0b"))
    assert read_regular(Path("/proc/self/stat")), "its size is said to be 0"
