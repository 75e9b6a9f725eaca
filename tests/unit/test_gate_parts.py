"""A gate over several machines: every scenario is in one part, and the parts' one answer is that of a whole gate."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from test_docs_commands import wrong
from test_gate_attached import runs_of

from chaoskit import __version__
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode
from chaoskit.events import Header, encode
from chaoskit.gate.answer import Ended, proofs_of
from chaoskit.gate.candidate import Candidate, LeftOut, candidate
from chaoskit.gate.coverage import KINDS, Coverage, covered, everything, together
from chaoskit.gate.earlier import SUMMARY
from chaoskit.gate.gate import Outcome
from chaoskit.gate.index import INDEX, write_index
from chaoskit.gate.merge import read_parts
from chaoskit.gate.part import FILE, Part, Planned, Shard, choose_part, write_part
from chaoskit.gate.record import load_record
from chaoskit.gate.schedule import StackPlan, Wave, make_schedule, shared_out
from chaoskit.history import read_history
from chaoskit.hop import Hop
from chaoskit.report.judge_run import MARKDOWN, judge_folder
from chaoskit.report.junit import junit
from chaoskit.safety.unhealed import COPIES, read_standing
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import plan_of
from tests.golden.doctored import recorded
from tests.safety_examples import state
from tests.strangers import STRANGER, needs_root
from tests.unit.test_gate_schedule import clash, one

__all__ = ["state"]


def names(parts: Iterable[Iterable[Candidate]]) -> list[list[str]]:
    return [sorted(each.name for each in members) for members in parts]


# Which part plays what


def test_scenarios_are_shared_out_by_how_long_they_take() -> None:
    """The longest first, each to the part that would end soonest; what runs together costs no time of its own."""
    some = [one("a", 90.0, "A"), one("b", 50.0, "B"), one("c", 40.0, "C"), one("d", 30.0, "D", alone="yes")]
    assert names(shared_out(some, clash, 2)) == [["a"], ["b", "c", "d"]]


SOME = st.lists(
    st.builds(
        lambda takes_s, expects, needs, alone: (takes_s, expects, needs, alone),
        st.floats(1.0, 200.0),
        st.sampled_from(["", "A", "B", "C D"]),
        st.sampled_from(["", "link", "queue"]),
        st.sampled_from(["", "", "", "it watches"]),
    ),
    min_size=1,
    max_size=14,
)


@given(SOME, st.integers(1, 6), st.randoms(use_true_random=False))
def test_every_scenario_is_in_one_part_whatever_their_order_and_no_part_is_much_longer(
    given_: list[tuple[float, str, str, str]], count: int, chance: Any
) -> None:
    some = [
        one(f"s{n:02}", takes_s, expects, needs, "", alone) for n, (takes_s, expects, needs, alone) in enumerate(given_)
    ]
    parts = shared_out(some, clash, count)
    assert sorted(each.name for members in parts for each in members) == [each.name for each in some]
    turned = list(some)
    chance.shuffle(turned)
    assert names(shared_out(turned, clash, count)) == names(parts)
    assert all(parts) == (count <= len(some))
    lengths = [make_schedule(members, clash, 1).bound_s if members else 0.0 for members in parts]
    own = max(StackPlan([Wave([each])]).length_s for each in some)
    assert max(lengths) - min(lengths) <= own + 1e-6


def test_parts_of_more_machines_than_scenarios_are_refused() -> None:
    with pytest.raises(BadInput, match="3 parts of 2 scenarios would leave one with nothing to play"):
        choose_part([[one("a")], [one("b")], []], Shard(1, 3))


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_what_is_no_part_is_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "--shard", text, "--dry-run"]) == ExitCode.USAGE
    assert "write 2/5 for the second of five" in capsys.readouterr().err


def test_options_that_a_part_cannot_keep_are_all_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--require-coverage", "100", "--budget", "3m", "--lf", "--count", "2"]
    assert run(["gate", "--shard", "1/2", *options]) == ExitCode.USAGE
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "--shard with --require-coverage: one part cannot prove everything (give it to `chaoskit gate merge`)" in said
    )
    assert all(f"--shard with {name}:" in said for name in ("--budget", "--lf", "--count"))


def test_both_parts_are_the_same_on_machines_that_remember_other_times_unless_all_are_given_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This machine's own record changes no part; a record that is named does."""
    wanted = ["worker-unhealthy", "healthy", "high-error-rate"]

    def first_part(*more: str) -> str:
        capsys.readouterr()
        assert run(["gate", *wanted, "--shard", "1/2", "--dry-run", "--out", str(tmp_path), *more]) == 0
        said = " ".join(capsys.readouterr().out.split())
        return " ".join(name for name in wanted if f"left out: {name}" not in said)

    plain = first_part()
    assert plain not in ("", " ".join(wanted))
    record = load_record(tmp_path)
    record.at(60).note("worker-unhealthy", 0, 1.0, 500.0, "run")
    record.at(60).note("healthy", 0, 1.0, 3.0, "run")
    (tmp_path / "gates.json").write_bytes(msgspec.json.encode(record))
    assert first_part() == plain
    assert first_part("--times", str(tmp_path / "gates.json")) == "worker-unhealthy"
    (tmp_path / "torn.json").write_text("{")
    assert run(["gate", *wanted, "--shard", "1/2", "--times", str(tmp_path / "torn.json")]) == ExitCode.USAGE
    assert "torn.json: cannot be read: it is no record of gates" in " ".join(capsys.readouterr().err.split())


# One answer of all parts

WHOLE = {"four": "kept", "one": "kept", "three": "mailbox-died", "two": "notified-late"}
PARTS = {"four": 3, "one": 1, "three": 2, "two": 2}
HOURS = [Row(about="nights, inside: r at a.yml:3", hop=Hop.HOURS, result=Result.PASS, rests_on="not told")]
WRONG = LeftOut("torn", "torn.yml:3: no title", "A", wrong=True)
OUT_OF_PLACE = LeftOut("other", "not selected by -m 'outage'", "B")
TOOK_S = {1: 40.0, 2: 71.5, 3: 12.0}


def written(name: str, of: str, folder: Path) -> None:
    """A recorded history as the scenario of this name left it; all of one configuration."""
    history, kept = recorded(of), recorded("kept").header
    sources = {
        f"scenario:{name}.yml" if key.startswith("scenario:") else key: text for key, text in kept.sources.items()
    }
    versions = {**kept.versions, "chaoskit": __version__}
    header = structs.replace(
        history.header, scenario=f"{name}.yml", sources=sources, versions=versions, run_id=folder.name
    )
    folder.mkdir(parents=True)
    events = (header, *history.events[1:])
    (folder / "events.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in events))


def played(folder: Path, name: str) -> Outcome:
    """The outcome of a scenario; `three` was tried twice, and `four` ended without a verdict."""
    attempt = 2 if name == "three" else 1
    where = folder / (f"{name}-again" if attempt == 2 else name)
    for each in dict.fromkeys([folder / name, where]):
        written(name, WHOLE[name], each)
        verdict, checklists = judge_folder(each, gate=f"../{INDEX}")
    header = read_history(where).header
    found = candidate(name, f"{name}.yml", plan_of(header), None, header.sources)
    if name == "four":
        shutil.rmtree(where)
        where.mkdir()
        return Outcome(found, int(ExitCode.BUG), 0.0, where, 1, None, "its stack ended with 1: no such thing")
    return Outcome(found, verdict.exit_code, 12.5, where, attempt, verdict, checklists=tuple(checklists))


def answered(
    folder: Path,
    outcomes: Sequence[Outcome],
    left_out: Sequence[LeftOut],
    hours: Sequence[Row],
    took_s: float,
    part: str,
) -> None:
    """What a gate leaves when it has ended, JUnit included."""
    plan = next(one.candidate.plan for one in outcomes if one.candidate.plan)
    coverage = covered(plan.config, proofs_of(outcomes), plan.profile.standing)
    ended = Ended(folder, outcomes, coverage, left_out, took_s, None, part, hours)
    write_index(ended)
    (folder / "junit.xml").write_bytes(junit("chaoskit gate", ended.cases))


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `gate` of a whole gate, and those of the same in three parts: 1, 2, 3."""
    there = tmp_path_factory.mktemp("gates")
    whole = there / "gate"
    outcomes = {name: played(whole, name) for name in sorted(WHOLE)}
    common = [OUT_OF_PLACE, WRONG]
    answered(whole, list(outcomes.values()), common, HOURS, max(TOOK_S.values()), "")
    plan = outcomes["one"].candidate.plan
    assert plan is not None
    for number in (1, 2, 3):
        folder, mine = there / str(number), [one for name, one in outcomes.items() if PARTS[name] == number]
        folder.mkdir()
        for outcome in mine:
            for each in {outcome.folder.name, outcome.candidate.name}:
                shutil.copytree(whole / each, folder / each)
        part = Part(
            shard=Shard(number, 3),
            began=min(read_history(whole / name).header.t for name in ("one", "two", "three")) - number,
            versions={**recorded("kept").header.versions, "chaoskit": __version__},
            time_scale=60.0,
            seed=0,
            settings=[],
            sources={key: text for one in outcomes.values() for key, text in one.candidate.texts.items()},
            scenarios=[
                Planned(name=name, part=PARTS[name], title=each.title, expects=sorted(each.expects), proves="it")
                for name, each in ((name, outcome.candidate) for name, outcome in outcomes.items())
            ],
            left_out=common,
            names={kind: sorted(names) for kind, names in everything(plan.config, plan.profile.standing).items()},
            hours=[row.about for row in HOURS],
            played=HOURS if number == 1 else [],
        )  # fmt: skip
        write_part(folder, part)
        others = [LeftOut(name, "part x of 3 plays it") for name in WHOLE if PARTS[name] != number]
        moved = [replace(one, folder=folder / one.folder.name) for one in mine]
        if number == 3:  # of its one scenario there is no plan, so its page has none either
            write_index(Ended(folder, moved, Coverage(everything(plan.config), together([])), others, TOOK_S[3]))
        else:
            answered(folder, moved, [*common, *others], HOURS if number == 1 else [], TOOK_S[number], str(part.shard))
    return there


@pytest.fixture
def parts(gates: Path, tmp_path: Path) -> Path:
    """The parts, to be changed."""
    return Path(shutil.copytree(gates, tmp_path / "gates"))


def merged(parts: Path, *words: str, of: Sequence[int] = (1, 2, 3)) -> tuple[ExitCode, Path]:
    """The exit code of a merge, and its folder."""
    out = parts / "out"
    code = run(["gate", "merge", *(str(parts / str(number)) for number in of), "--out", str(out), *words])
    return code, next(iter(out.glob("*-gate")), out)


def change(folder: Path, file: str = FILE, **values: Any) -> None:
    found = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(found | values))


def refusal(parts: Path, capsys: pytest.CaptureFixture[str], of: Sequence[int] = (1, 2, 3)) -> str:
    """What a merge says that is refused; nothing was made then."""
    code, _ = merged(parts, of=of)
    assert code == ExitCode.USAGE
    assert not (parts / "out").exists()
    return " ".join(capsys.readouterr().err.split()).replace(f"{parts}/", "")


def rows(folder: Path) -> dict[str, tuple[str, int, list[str]]]:
    found = json.loads((folder / SUMMARY).read_text())["scenarios"]
    return {one["name"]: (one["result"], one["exit_code"], one["reasons"]) for one in found}


def test_the_parts_of_a_gate_merge_to_the_gates_own_answer(gates: Path, parts: Path) -> None:
    """Byte for byte but for the folder's name: gate.json, JUnit, Markdown, page, and each verdict and page."""
    code, folder = merged(parts, "--junitxml", str(parts / "junit.xml"), of=(3, 1, 2))
    own = gates / "gate"
    assert code == ExitCode.BUG == json.loads((own / SUMMARY).read_text())["exit_code"]
    assert (parts / "junit.xml").read_bytes() == (own / "junit.xml").read_bytes()
    for name in (SUMMARY, MARKDOWN, INDEX):
        assert (folder / name).read_text().replace(folder.name, "gate") == (own / name).read_text(), name
    mine = {path.relative_to(own): path.read_bytes() for path in own.glob("*/*")}
    assert {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/*")} == mine
    assert len(mine) > 12
    assert load_record(parts / "out").at(60).took_s("one") == 12.5


def test_a_missing_part_is_a_row_for_each_of_its_scenarios(parts: Path) -> None:
    """Exit 3 where nothing is worse; the time intervals, which part 1 plays, are lost with it."""
    for number in (1, 2, 3):
        change(parts / str(number), left_out=[])
    shutil.rmtree(parts / "2")
    shutil.rmtree(parts / "3")
    code, folder = merged(parts, "--junitxml", str(parts / "junit.xml"), of=(1,))
    assert code == ExitCode.UNKNOWN
    why = "part 2 of 3 is missing: none of the folders is its own"
    assert rows(folder)["two"] == ("UNKNOWN", 3, [why])
    assert rows(folder)["four"][:2] == ("UNKNOWN", 3)
    assert rows(folder)["one"][:2] == ("PASS", 0)
    cases = {
        case.get("name"): [part.tag for part in case]
        for case in ET.parse(parts / "junit.xml").getroot().iter("testcase")
    }
    assert (cases["one"], cases["two"]) == (["system-out"], ["error"])
    assert "missing" in (folder / INDEX).read_text()
    assert "do not release" in (folder / MARKDOWN).read_text()


def test_without_the_part_that_plays_them_the_time_intervals_are_unknown(parts: Path) -> None:
    _, folder = merged(parts, of=(3,))
    assert rows(folder)[HOURS[0].about] == ("UNKNOWN", 3, ["part 1 of 3 is missing: none of the folders is its own"])


def test_a_time_interval_of_which_its_part_says_nothing_is_unknown(parts: Path) -> None:
    change(parts / "1", played=[])
    _, folder = merged(parts)
    assert rows(folder)[HOURS[0].about] == ("UNKNOWN", 3, [f"part 1 of 3 ended before that: {parts}/1"])


def test_a_scenario_that_is_wrong_on_one_machine_is_wrong_in_the_answer(parts: Path) -> None:
    change(
        parts / "2", left_out=[asdict(OUT_OF_PLACE), asdict(LeftOut("mine", "mine.yml:1: no title", "", wrong=True))]
    )
    _, folder = merged(parts)
    assert rows(folder)["mine"] == ("UNKNOWN", 2, ["mine.yml:1: no title"])
    assert rows(folder)["torn"][:2] == ("UNKNOWN", 2)


@pytest.mark.parametrize(("broken", "why"), [("gone", "No such file or directory"), ("torn", "it is torn")])
def test_a_part_that_has_no_end_is_a_row_with_the_reason(broken: str, why: str, parts: Path) -> None:
    file = parts / "2" / SUMMARY
    file.unlink() if broken == "gone" else file.write_bytes(file.read_bytes()[:200])
    _, folder = merged(parts)
    assert rows(folder)["two"][:2] == ("UNKNOWN", 3)
    assert f"part 2 of 3 has no end: {parts}/2/{SUMMARY} cannot be read: {why}" in rows(folder)["two"][2][0]


@pytest.mark.parametrize("broken", ["gone", "torn"])
def test_a_scenario_whose_history_cannot_be_judged_is_a_row_with_the_reason(broken: str, parts: Path) -> None:
    """Though its part says that it passed: the history counts, and nothing else."""
    file = parts / "1" / "one" / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.unlink() if broken == "gone" else file.write_bytes(b"".join([*lines[:5], *lines[6:]]))
    _, folder = merged(parts)
    result, code, (why,) = rows(folder)["one"]
    assert (result, code) == ("UNKNOWN", 3)
    assert "one: its history cannot be judged: " in why
    assert ("cannot be read" if broken == "gone" else "event 5 is missing") in why


def test_what_a_part_says_of_a_verdict_counts_for_nothing(parts: Path) -> None:
    """The history is judged again: a part that calls a FAIL a PASS is not believed."""
    for file in (parts / "2" / SUMMARY, parts / "2" / "two" / "verdict.json"):
        file.write_text(file.read_text().replace("FAIL", "PASS").replace('"exit_code": 1', '"exit_code": 0'))
    _, folder = merged(parts)
    assert rows(folder)["two"][:2] == ("FAIL", 1)


def test_a_part_that_broke_off_is_told_as_a_gate_tells_it(parts: Path) -> None:
    """What it did not come to is left out with its reason, and the whole was interrupted (exit 4)."""
    for number in (1, 2, 3):
        change(parts / str(number), left_out=[])
    change(parts / "3", SUMMARY, scenarios=[], left_out=[asdict(LeftOut("four", "the gate ended before that"))])
    change(parts / "2", SUMMARY, scenarios=[], left_out=[asdict(LeftOut("two", "the gate ended before that"))])
    code, folder = merged(parts)
    assert code == ExitCode.ABORTED
    assert {"name": "four", "why": "the gate ended before that", "proves": "it", "wrong": False} in json.loads(
        (folder / SUMMARY).read_text()
    )["left_out"]
    assert rows(folder)["three"] == ("UNKNOWN", 3, [f"{parts}/2/{SUMMARY} does not say how it ended"])


def test_coverage_can_be_required_of_all_parts(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        change(parts / str(number), left_out=[])
    for number in (2, 3):
        change(parts / str(number), SUMMARY, scenarios=[])
    assert merged(parts, "--require-coverage", "100")[0] == ExitCode.FAIL
    assert "100 % is required" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shard": {"number": 1, "of": 3}}, "2: is part 1 of 3, and so is 1 (give each part once)"),
        ({"shard": {"number": 2, "of": 4}}, "2: number of parts: 4, and 3 in 1"),
        ({"time_scale": 30}, "2: time scale: 30, and 60 in 1"),
        ({"seed": 7}, "2: --seed: 7, and 0 in 1"),
        ({"settings": ["load.rate=1/s"]}, "2: --set: load.rate=1/s, and nothing in 1"),
        ({"versions": {"chaoskit": __version__}}, "2: prometheus: not known, and 2.42.0+ds in 1"),
        ({"versions": {"chaoskit": "0.0.9"}}, f"2: was played by chaoskit 0.0.9, and this is {__version__}"),
        ({"sources": {}}, "2: other texts than in 1: alertmanager:alertmanager.yml (none here, "),
        ({"names": {"alerts": []}}, "2/part.json: does not say which routes, receivers, inhibition rules there are"),
        ({"names": dict.fromkeys(KINDS, ())}, "2: what there is to prove: 0 alerts, 0 routes, 0 receivers, 0 "),
        ({"scenarios": []}, "2: scenarios shared out otherwise than in 1: four (none here, part 3 there)"),
        ({"began": 1e300}, "2/part.json: is torn, or no part's: Expected `float` < 137438953472.0 - at `$.began`"),
        ({"began": 1.0}, "UTC, and 2 on 1970-01-01 at 00:00 UTC (play all parts on one day)"),
        ({"shard": {"number": 4, "of": 3}}, "2/part.json: says that it is part 4 of 3"),
        ({"seed": "x"}, "2/part.json: is torn, or no part's: Expected `int`, got `str` - at `$.seed`"),
    ],
)  # fmt: skip
def test_parts_of_another_gate_are_refused_with_folder_and_value(
    values: dict[str, Any], said: str, parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(parts / "2", **values)
    assert said in refusal(parts, capsys)


@pytest.mark.parametrize("file", [FILE, SUMMARY])
def test_a_file_of_a_part_that_is_nested_without_end_is_torn(
    file: str, parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / "2" / file).write_text('{"x":' + "[" * 200_000 + "]" * 200_000 + "}")
    merged(parts)
    said = capsys.readouterr()
    assert "JSON is nested too deeply" in " ".join((said.out + said.err).split())


def test_all_that_is_wrong_with_the_parts_is_told_at_once(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(parts / "2", seed=7, time_scale=30)
    (parts / "3" / FILE).write_text("{")
    said = refusal(parts, capsys, of=(1, 2, 3, 1, 4))
    for each in ("2: --seed: 7", "2: time scale: 30", "3/part.json: is torn", "1: is part 1 of 3, and so is 1"):
        assert each in said
    assert "4/part.json: cannot be read: No such file or directory (each part's folder holds a part.json" in said


def test_a_folder_of_runs_is_no_part_and_the_parts_in_it_are_named(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / "4").mkdir()
    (parts / "2").rename(parts / "4" / "2")
    assert "4/part.json: cannot be read: No such file or directory (give the part below it: 4/2)" in refusal(
        parts, capsys, of=(1, 4)
    )


@pytest.mark.parametrize(("hours", "refused"), [(5, False), (7, True)])
def test_a_gate_over_midnight_is_one_gate(hours: float, refused: bool, parts: Path) -> None:
    """Of two days are parts that began on two days and more than six hours apart."""
    began = datetime(2026, 11, 20, 22, tzinfo=UTC).timestamp()
    for number in (1, 2, 3):
        change(parts / str(number), began=began)
    change(parts / "2", began=began + hours * 3600)
    folders = [parts / str(number) for number in (1, 2, 3)]
    if refused:
        with pytest.raises(BadInput, match=r"began on 2026-11-21 at 05:00 UTC, and .* on 2026-11-20 at 22:00 UTC"):
            read_parts(folders)
    else:
        assert len(read_parts(folders)) == 3


def test_parts_of_two_days_are_refused_in_whichever_order_they_come(parts: Path) -> None:
    """Though each of them is of one night with the part that is given first, or of its day."""
    night = datetime(2026, 11, 20, 23, tzinfo=UTC).timestamp()
    for number, hours in ((1, 0), (2, 5), (3, -22)):
        change(parts / str(number), began=night + hours * 3600)
    for order in ((1, 2, 3), (3, 2, 1)):
        with pytest.raises(BadInput, match=r"2: began on 2026-11-21 at 04:00 UTC, and .*3 on 2026-11-20 at 01:00 UTC"):
            read_parts([parts / str(number) for number in order])


def test_an_earlier_gate_that_cannot_be_read_is_told_with_the_parts(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(parts / "2", seed=7)
    assert merged(parts, "--compare", str(parts / "none"))[0] == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "none/gate.json: cannot be read" in said
    assert "2: --seed: 7" in said


def test_an_ending_that_there_is_not_is_no_ending(parts: Path) -> None:
    change(parts / "3", SUMMARY, scenarios=[{"name": "four", "result": "ERROR", "exit_code": 99, "run": "four"}])
    _, folder = merged(parts)
    (why,) = rows(folder)["four"][2]
    assert "3/gate.json cannot be read: it is torn: Invalid enum value 99" in why


@pytest.mark.usefixtures("state")
def test_what_a_copy_left_in_force_is_not_in_force_here(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It stands on the machine that played it: `status`, `heal --all` and `runs prune` pass over the copies."""
    _, folder = merged(parts)
    assert (folder / COPIES).read_text() == "".join(f"part {each} of 3: {parts}/{each}\n" for each in (1, 2, 3))
    history = folder / "one" / "events.jsonl"
    history.write_bytes(b"".join(line for line in history.read_bytes().splitlines(True) if b'"undo-ok"' not in line))
    assert read_standing(folder / "one").standing
    out = str(folder.parent)
    assert (run(["status", "--out", out]), run(["heal", "--all", "--out", out])) == (0, 0)
    assert run(["runs", "prune", "--keep", "0", "--out", out]) == 0
    assert not folder.exists()
    assert "not healed" not in capsys.readouterr().out


def test_a_scenario_of_another_part_or_in_two_is_refused(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (json.loads((parts / name / SUMMARY).read_text()) for name in "12")
    both = first["scenarios"] + second["scenarios"]
    change(parts / "2", SUMMARY, scenarios=[*both, {**first["scenarios"][0], "name": "strange"}])
    said = refusal(parts, capsys)
    assert "2: has played one, and so has 1" in said
    assert "2: has played one, which is part 1's" in said
    assert "2: has played strange, which is no part's" in said


def test_a_scenario_leads_nowhere_but_to_its_own_folder(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine,) = [one for one in json.loads((parts / "1" / SUMMARY).read_text())["scenarios"] if one["name"] == "one"]
    change(parts / "1", SUMMARY, scenarios=[{**mine, "run": "../2/two"}])
    assert "1: gate.json calls the folder of one '../2/two'" in refusal(parts, capsys)
    planned = json.loads((parts / "1" / FILE).read_text())["scenarios"]
    change(parts / "1", scenarios=[{**planned[0], "name": ".."}, *planned[1:]])
    assert "1/part.json: is torn, or no part's: Expected `str` matching regex" in refusal(parts, capsys)


def test_a_scenario_that_ended_twice_in_one_part_is_refused(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else one of the two ends would be passed over."""
    found = json.loads((parts / "1" / SUMMARY).read_text())["scenarios"]
    change(parts / "1", SUMMARY, scenarios=[*found, {**found[0], "run": "one-again", "attempt": 2}])
    assert "1: gate.json says 2 times how one ended" in refusal(parts, capsys)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": 9}, "--seed 9 in place of 0"),
        ({"settings": ["load.rate=1/s"]}, "--set load.rate=1/s in place of "),
        ({"time_scale": 30.0}, "time scale 30 in place of 60"),
        ({"scenario": "two.yml"}, "scenario two in place of one"),
        ({"versions": {"chaoskit": "0.0.9"}}, "chaoskit 0.0.9 in place of"),
        ({"sources": {"rules:prometheus_alerts.yml": "groups: []"}}, "rules:prometheus_alerts.yml "),
        ({"t": 1.0}, "s before the part"),
    ],
)
def test_a_history_of_another_gate_is_refused(
    values: dict[str, Any], said: str, parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = parts / "1" / "one" / "events.jsonl"
    first, _, rest = file.read_bytes().partition(b"\n")
    file.write_bytes(encode(structs.replace(msgspec.json.decode(first, type=Header), **values)) + b"\n" + rest)
    found = refusal(parts, capsys)
    assert "1/one: its history is of another gate: " in found
    assert said in found


@pytest.mark.parametrize("which", ["1", "1/part.json", "1/gate.json", "1/one", "1/one/events.jsonl"])
def test_what_other_users_may_write_is_not_believed(
    which: str, parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / which).chmod(0o777)
    said = refusal(parts, capsys)
    assert "1: is not believed: " in said
    assert "other users may write to" in said
    assert "cp -R " in said


@needs_root
@pytest.mark.parametrize("which", ["1", "1/part.json", "1/one/events.jsonl"])
def test_what_another_user_left_is_not_believed(which: str, parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.chown(parts / which, STRANGER, STRANGER)
    assert "belongs to user nobody" in refusal(parts, capsys)


def test_a_link_in_place_of_a_history_is_no_history(parts: Path) -> None:
    file = parts / "1" / "one" / "events.jsonl"
    file.rename(parts / "elsewhere.jsonl")
    file.symlink_to(parts / "elsewhere.jsonl")
    _, folder = merged(parts)
    assert rows(folder)["one"][:2] == ("UNKNOWN", 3)


# Pipelines


@pytest.mark.parametrize("name", ["github-gate.yml", "gitlab-gate.yml"])
def test_the_pipelines_of_a_shared_gate_run_commands_that_there_are(name: str) -> None:
    """One job plays each part, another merges what they left, also where one of them failed."""
    jobs = yaml.safe_load((Path(__file__).parents[2] / "docs" / "ci" / name).read_text(encoding="utf-8"))
    found = [" ".join(line.split()) for line in runs_of(jobs) if line.startswith("chaoskit ")]
    assert [why for line in found if (why := wrong(line.split()[1:]))] == []
    (part,) = (line for line in found if "--shard" in line)
    (merges,) = (line for line in found if line.startswith("chaoskit gate merge "))
    assert "*-gate-*of*" in merges
    if "jobs" in jobs:
        assert jobs[True]["release"] == {"types": ["prereleased"]}
        parts, last = jobs["jobs"]["part"], jobs["jobs"]["merge"]
        count = len(parts["strategy"]["matrix"]["part"])
        assert parts["strategy"]["matrix"]["part"] == list(range(1, count + 1))
        assert (parts["strategy"]["fail-fast"], last["needs"], last["if"]) == (False, "part", "!cancelled()")
        assert all(("uses" in step) != ("run" in step) for job in (parts, last) for step in job["steps"])
        shard = "${{ matrix.part }}/${{ strategy.job-total }}"
    else:
        count = jobs["gate-part"]["parallel"]
        assert jobs["gate-part"]["artifacts"] == {"when": "always", "paths": ["chaoskit-runs/"], "expire_in": "1 day"}
        assert [rule["when"] for rule in jobs["gate-merge"]["rules"]] == ["always"]
        shard = "$CI_NODE_INDEX/$CI_NODE_TOTAL"
    assert count == 5
    assert part == f'chaoskit gate --bundle alerts --shard "{shard}"'
