"""A small part of the fuzzing runs with the suite; and what it once found stays mended."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from benchmarks import fuzz, fuzz_readers
from benchmarks.mutations import OF_HISTORIES, OF_YAML, mutated
from chaoskit.alerting.config import load_texts
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.events import encode
from chaoskit.history import parse_history
from chaoskit.safety.healbook import BOOK, read_book
from chaoskit.safety.unhealed import JOURNAL, read_standing
from chaoskit.verify.verify import verify
from tests.golden.doctored import FOLDER, recorded
from tests.safety_examples import invoke, journal

FILES = 30
ENDLESS = b'{"type":"invoke","undo":{"x":' + b"[" * 100_000 + b"\n"


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_spoilt_files_are_read_or_refused_with_place_and_reason(kind: str) -> None:
    tally = fuzz.batch(kind, 2024, 0, FILES)
    assert [finding.what for finding in tally.findings] == []
    assert tally.accepted + tally.rejected == tally.files == FILES
    assert tally.accepted
    assert tally.rejected or kind == "rules"  # a rule that cannot be read is left out, and its file is accepted


def test_the_same_seed_makes_the_same_files_and_another_seed_others() -> None:
    assert [fuzz.case("rules", 1, n) for n in range(5)] == [fuzz.case("rules", 1, n) for n in range(5)]
    assert fuzz.case("rules", 1, 0) != fuzz.case("rules", 2, 0)


@pytest.mark.parametrize("ways", [OF_YAML, OF_HISTORIES])
def test_every_mutation_takes_every_file(ways: tuple[object, ...]) -> None:
    """Also one that was spoilt before, is empty, or is no text."""
    for data in (
        b"",
        b"\n",
        b'{"t": "odd"}\n[1]\n5',
        b"\xff",
        b"[" * 5000,
        b"a: 1\n",
        (FOLDER / "quiet.jsonl").read_bytes()[:3000],
    ):
        for number in range(60):
            assert isinstance(mutated(random.Random(number), data, ways), bytes)  # type: ignore[arg-type]


def spoil(monkeypatch: pytest.MonkeyPatch, reader: fuzz_readers.Reader) -> None:
    monkeypatch.setitem(fuzz.KINDS, "profile", (reader, "odd.yml", lambda: (b"a: 1\n",), OF_YAML))


def hangs(file: Path) -> None:
    while True:
        pass


def crashes(file: Path) -> None:
    raise KeyError("x")


def refuses_without_place(file: Path) -> None:
    raise BadInput("something is wrong somewhere")


def refuses_without_reason(file: Path) -> None:
    raise BadInput(Problem(Place(str(file), 1), " "))


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (hangs, "hangs"),
        (crashes, "KeyError at test_fuzz.py"),
        (refuses_without_place, "refused without a place"),
        (refuses_without_reason, "refused without a reason"),
    ],
)
def test_whatever_is_no_answer_is_found(
    reader: fuzz_readers.Reader, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spoil(monkeypatch, reader)
    assert fuzz.judged("profile", b"a: 1\n", tmp_path, limit_s=0.2).startswith(said)


def test_a_finding_is_made_smaller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def reader(file: Path) -> None:
        if b"bad" in file.read_bytes():
            raise KeyError("x")

    spoil(monkeypatch, reader)
    data = b"\n".join([b"a: 1"] * 20 + [b"bad: 1"] + [b"b: 2"] * 20)
    assert fuzz.smaller("profile", data, fuzz.judged("profile", data, tmp_path), tmp_path) == b"bad: 1"


def test_an_event_nested_without_end_is_refused_with_its_line() -> None:
    data = (FOLDER / "quiet.jsonl").read_bytes() + ENDLESS
    with pytest.raises(BadInput, match=r"quiet.jsonl:\d+: not an event: JSON is nested too deeply"):
        parse_history(data, "quiet.jsonl")


def test_an_event_nested_without_end_keeps_no_fault_from_being_found(tmp_path: Path) -> None:
    journal(tmp_path, invoke("disk.fill", {})).close()
    for file in (tmp_path / JOURNAL, tmp_path / BOOK):
        with file.open("ab") as written:
            written.write(ENDLESS)
    ledger = read_standing(tmp_path)
    assert list(ledger.standing) == ["one#0"]
    assert ledger.damaged == 1
    assert read_book(tmp_path / BOOK).events == ()


@pytest.mark.parametrize("role", ["scenario", "profile"])
def test_a_header_without_the_text_that_it_names_is_refused(role: str) -> None:
    kept = recorded("quiet")
    fewer = {key: text for key, text in kept.header.sources.items() if not key.startswith(f"{role}:")}
    header = msgspec.structs.replace(kept.header, sources=fewer)
    lines = [encode(event) + b"\n" for event in (header, *kept.events[1:])]
    again = parse_history(b"".join(lines), "quiet.jsonl")
    with pytest.raises(BadInput, match=f"the text of this {role} is not given"):
        verify(again)


def test_a_configuration_that_is_not_there_has_a_place() -> None:
    with pytest.raises(BadInput) as caught:
        load_texts({})
    assert [str(problem.place) for problem in caught.value.problems] == ["alertmanager", "prometheus"]
