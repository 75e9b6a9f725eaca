"""The commands of `chaoskit sla` over a filled store: reports, gates, planned windows; no Prometheus is asked."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.sla.compute import remember
from chaoskit.sla.model import SLICE_S, Planned, Slice
from chaoskit.sla.report import exhausted_at, to_csv
from chaoskit.sla.store import open_store
from chaoskit.sla.targets import load_targets
from chaoskit.sla.windows import month, rolling
from tests.corpus.record import history as stored_history
from tests.sla_examples import TEXT, at, event_slice, minutes_from, result, time_slices

SEPTEMBER = month("2026-09", "UTC")
ONE = "chaoskit: 1\nprometheus: http://127.0.0.1:9\nlevels: {uptime: {up: up, at_least: 99.9 %}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with targets and an empty store's place."""
    (tmp_path / "sla").mkdir()
    (tmp_path / "sla" / "targets.yml").write_text(ONE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(*down: tuple[int, int], unknown: tuple[tuple[int, int], ...] = (), begin: int = SEPTEMBER.starts_at) -> None:
    with open_store("sla/levels.db") as store:
        store.write("live", time_slices(begin, SEPTEMBER.ends_at, down, unknown))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    return found.out + found.err


@pytest.mark.parametrize(
    ("down_min", "unknown_min", "code"),
    [(40, 0, ExitCode.PASS), (50, 0, ExitCode.FAIL), (10, 60, ExitCode.UNKNOWN)],
)
def test_a_gate_ends_with_what_the_contract_says(
    here: Path, capsys: pytest.CaptureFixture[str], down_min: int, unknown_min: int, code: ExitCode
) -> None:
    fill(minutes_from("2026-09-10T10:00", down_min), unknown=(minutes_from("2026-09-12T10:00", unknown_min),))
    assert run(["sla", "report", "--month", "2026-09"]) is ExitCode.PASS
    assert run(["sla", "report", "--month", "2026-09", "--gate"]) is code
    found = said(capsys)
    assert "Service levels, 2026-09  2026-09-01 00:00 UTC to 2026-10-01 00:00 UTC (30d)" in found
    assert code.name in found


def test_a_report_shows_both_bases_and_who_planned_what(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(minutes_from("2026-09-10T10:50", 30), minutes_from("2026-09-20T10:00", 22))
    added = ["sla", "plan", "add", "--from", "2026-09-10T10:00", "--to", "2026-09-10T11:00", "--by", "ops"]
    assert run([*added, "--reason", "database upgrade"]) is ExitCode.PASS
    assert "1: correction of live, 60 min" in said(capsys)  # it was declared afterwards
    assert run(["sla", "report", "--month", "2026-09", "--gate"]) is ExitCode.PASS
    found = said(capsys)
    assert "99.8796 %" in found
    assert "99.9026 %" in found
    assert "correction  live         2026-09-10 10:00 UTC  2026-09-10 11:00 UTC  ops          database upgrade" in found
    assert run(["sla", "plan", "revoke", "1"]) is ExitCode.PASS
    assert run(["sla", "plan", "revoke", "1"]) is ExitCode.USAGE
    assert run(["sla", "report", "--month", "2026-09", "--gate"]) is ExitCode.FAIL
    capsys.readouterr()
    assert run(["sla", "plan", "list"]) is ExitCode.PASS
    assert "no window was planned" in said(capsys)
    assert run(["sla", "plan", "list", "--revoked"]) is ExitCode.PASS
    assert "correction, revoked" in said(capsys)


def test_maintenance_is_declared_before_it_begins(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    begin = f"{datetime.fromtimestamp(time.time() + 7200, UTC):%Y-%m-%dT%H:%M}"
    end = f"{datetime.fromtimestamp(time.time() + 10_800, UTC):%Y-%m-%dT%H:%M}"
    assert run(["sla", "plan", "add", "--from", begin, "--to", end, "--reason", "upgrade"]) is ExitCode.PASS
    assert "1: maintenance of live, 60 min" in said(capsys)


def test_json_and_csv_tell_the_same_as_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(minutes_from("2026-09-10T10:00", 40))
    assert run(["sla", "report", "--month", "2026-09", "--format", "json", "--csv", "out.csv"]) is ExitCode.PASS
    found = json.loads(capsys.readouterr().out)
    assert found["window"] == {
        "span": "month", "name": "2026-09", "starts_at": "2026-09-01T00:00:00Z", "ends_at": "2026-10-01T00:00:00Z",
        "zone": "UTC",
    }  # fmt: skip
    contract = found["results"][0]
    assert (contract["sla_type"], contract["verdict"], contract["bad"], contract["budget"]) == (
        "uptime", "PASS", 2400, 2592,
    )  # fmt: skip
    data = (here / "out.csv").read_bytes()
    assert data.count(b"\r\n") == 3
    rows = list(csv.DictReader(data.decode().splitlines()))
    assert [one["basis"] for one in rows] == ["contract", "all"]
    assert (rows[0]["actual"], rows[0]["compliant"], rows[0]["final"]) == (str(contract["actual"]), "True", "True")


def test_no_cell_of_a_csv_is_a_formula() -> None:
    one = result("uptime", SEPTEMBER, time_slices(SEPTEMBER.starts_at, SEPTEMBER.ends_at, [(0, 2**40)]))
    text = to_csv([replace(one, environment="=1+1", notes=("+x", "a,b"))])
    row = next(csv.DictReader(text.splitlines()))
    assert (row["environment"], row["notes"], row["comparison"]) == ("'=1+1", "'+x; a,b", ">=")
    assert float(row["budget_left"]) < 0  # a number stays one


def test_a_quarter_has_its_months_beside_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("sla/levels.db") as store:
        days = [minutes_from(f"2026-{one}-10T10:00", length) for one, length in (("07", 31), ("08", 42), ("09", 50))]
        store.write("live", time_slices(at("2026-06-30T00:00"), at("2026-10-01T00:00"), days))
    assert run(["sla", "report", "--quarter", "2026-Q3", "--zone", "Europe/Berlin", "--gate"]) is ExitCode.PASS
    found = said(capsys)
    assert "month by month  2026-07         2026-08         2026-09" in found
    assert "PASS 99.9306 %  PASS 99.9059 %  FAIL 99.8843 %" in found


def test_any_window_and_zone_is_answered_from_the_same_evidence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(minutes_from("2026-09-10T10:00", 40))
    assert run(["sla", "report", "--from", "2026-09-10T10:00", "--to", "2026-09-10T11:00", "--gate"]) is ExitCode.FAIL
    assert "33.3333 %" in said(capsys)
    assert run(["sla", "report", "--rolling", "7d", "--gate"]) is ExitCode.PASS
    assert "100.0000 %" in said(capsys)
    assert run(["sla", "report", "--gate"]) is ExitCode.PASS  # the month of the last slice
    assert "Service levels, 2026-09" in said(capsys)


def test_a_window_is_judged_by_the_targets_in_force_at_its_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target that is changed afterwards rewrites no month; one that was never recorded before is all there is."""
    fill(minutes_from("2026-09-10T10:00", 40))
    with open_store("sla/levels.db") as store:
        remember(store, load_targets(here / "sla" / "targets.yml"), SEPTEMBER.starts_at + 60)
    (here / "sla" / "targets.yml").write_text(ONE.replace("99.9 %", "99.99 %"))
    assert run(["sla", "report", "--month", "2026-09", "--gate"]) is ExitCode.PASS
    assert ">= 99.9000 %" in said(capsys)
    with open_store("sla/levels.db") as store:
        remember(store, load_targets(here / "sla" / "targets.yml"), SEPTEMBER.ends_at - 60)
    assert run(["sla", "report", "--month", "2026-09", "--gate"]) is ExitCode.FAIL
    assert ">= 99.9900 %" in said(capsys)


def test_a_threshold_that_changes_asks_for_evidence_of_its_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was counted below 5 s says nothing of 3 s: that is unknown, not the same."""
    (here / "sla" / "targets.yml").write_text(TEXT)
    with open_store("sla/levels.db") as store:
        slices = range(SEPTEMBER.starts_at, SEPTEMBER.ends_at, SLICE_S)
        store.write("live", [event_slice("latency_p95", start, 100) for start in slices])
        store.set_meta("evidence/latency_p95", load_targets(here / "sla" / "targets.yml").levels[1].evidence)
    (here / "sla" / "targets.yml").write_text(TEXT.replace("below: 5s", "below: 3s"))
    assert run(["sla", "report", "--month", "2026-09", "--format", "json"]) is ExitCode.PASS
    found = {one["sla_type"]: one for one in json.loads(capsys.readouterr().out)["results"]}
    assert found["latency_p95"]["reason"] == "nothing is known of this window"


def test_status_says_what_is_left_and_when_it_is_gone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("sla/levels.db") as store:
        begin = SEPTEMBER.starts_at
        store.write("live", time_slices(begin, begin + 10 * 86_400, [minutes_from("2026-09-09T10:00", 20)]))
    assert run(["sla", "status"]) is ExitCode.PASS
    found = said(capsys)
    assert "2026-09, known up to 2026-09-11 00:00 UTC" in found
    assert "23.2 min     43.2 min" in found
    # 20 minutes in 3 days leave 23.2 minutes for 3.48 days more.
    assert "2026-09-14 11:31 UTC" in found


def test_a_budget_that_lasts_or_is_gone_has_no_date() -> None:
    begin = SEPTEMBER.starts_at
    settled = begin + 10 * 86_400
    recent = rolling("3d", settled, "UTC")
    for down, says in (((), None), ([(begin, begin + 3600)], settled)):
        slices = list(time_slices(begin, settled, down))
        month_ = result("uptime", SEPTEMBER, slices, settled=settled)
        assert exhausted_at(month_, result("uptime", recent, slices, settled=settled), settled) == says


def test_a_game_day_is_imported_once_from_its_history(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = stored_history("attached-kept").decode()
    (here / "events.jsonl").write_text(data)
    first = json.loads(data.splitlines()[0])
    environment = "staging"
    with open_store("sla/levels.db") as store:
        store.write("other", [Slice("other", "uptime", 0, 300, 300.0, 0.0, 0.0)])
    assert run(["sla", "plan", "import", "events.jsonl"]) is ExitCode.USAGE
    assert f"there is no evidence of the environment '{environment}' of this run (known: other)" in said(capsys)
    with open_store("sla/levels.db") as store:
        store.write(environment, [Slice(environment, "uptime", 0, 300, 300.0, 0.0, 0.0)])
    for _ in range(2):
        assert run(["sla", "plan", "import", "events.jsonl"]) is ExitCode.PASS
    with open_store("sla/levels.db") as store:
        (found,) = store.planned(environment, 0, 2**40)
    assert (found.kind, found.run_id) == ("game-day", first["run_id"])
    events = [json.loads(line) for line in data.splitlines()]
    steps = next(one["t"] for one in events if one["type"] == "phase" and one["name"] == "steps")
    assert found.starts_at <= steps <= events[-1]["t"] <= found.ends_at
    assert found.ends_at - found.starts_at < events[-1]["t"] - steps + 2


def test_a_run_in_virtual_time_is_no_game_day(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    (here / "events.jsonl").write_bytes(stored_history("gate-healthy"))
    assert run(["sla", "plan", "import", "events.jsonl", "none.jsonl"]) is ExitCode.USAGE
    found = said(capsys)
    assert "times real time, so it cost no service any uptime" in found
    assert "none.jsonl: cannot be read" in found


def test_pruning_never_takes_the_last_thirteen_months(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("sla/levels.db") as store:
        store.write("live", time_slices(at("2020-01-01T00:00"), at("2020-01-01T01:00")))
    assert run(["sla", "prune", "--keep", "12"]) is ExitCode.USAGE
    assert "the last 13 months are never removed" in said(capsys)
    assert run(["sla", "prune", "--keep", "13", "--dry-run"]) is ExitCode.PASS
    assert "12 rows would go" in said(capsys)
    assert run(["sla", "prune"]) is ExitCode.PASS
    assert "12 rows removed" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["report"], "there is no store here (fill it with `chaoskit sla record`)"),
        (["status"], "there is no store here"),
        (
            ["report", "--targets", "none.yml"],
            "none.yml: there are no targets here (write them with `chaoskit sla init`)",
        ),
        (["record", "--since", "soon"], "'soon' is no date or instant"),
        (["record", "--db", "mysql://h/x"], "mysql is no database that chaoskit can use"),
        (["init"], "which Prometheus is meant? (give --prometheus URL or --profile NAME)"),
        (["init", "--profile", "nonsense"], "no profile is called 'nonsense'"),
        (["init", "--prometheus", "http://127.0.0.1:9", "--write", "sla/targets.yml"], "targets.yml: is there already"),
        (["init", "--prometheus", "ftp://x", "--write", "new.yml"], "new.yml:2: 'prometheus' must be a URL"),
    ],
)
def test_what_cannot_be_done_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["sla", *arguments]) is ExitCode.USAGE
    assert says in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["report", "--month", "2026-13"], "'2026-13' is not a month"),
        (["report", "--month", "2026-09", "--rolling", "7d"], "which window is meant?"),
        (["report", "--from", "2026-09-01"], "which window is meant?"),
        (["report", "--zone", "Europe/Berln"], "there is no time zone 'Europe/Berln' (did you mean 'Europe/Berlin'?)"),
        (["report", "--environment", "liv"], "there is no evidence of an environment 'liv' (did you mean 'live'?)"),
        (["plan", "add", "--from", "2026-09-02", "--to", "2026-09-01", "--reason", "x"], "ends before it begins"),
        (["plan", "add", "--from", "2026-09-01", "--to", "2026-09-02", "--reason", " "], "needs a reason"),
        (["plan", "revoke", "7"], "no planned window 7 stands"),
    ],
)
def test_what_is_asked_wrongly_of_a_store_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    fill()
    assert run(["sla", *arguments]) is ExitCode.USAGE
    assert says in said(capsys)


def test_a_source_that_does_not_answer_ends_with_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sla", "record"]) is ExitCode.UNKNOWN
    assert "sla/targets.yml:2: Prometheus at http://127.0.0.1:9: no connection" in said(capsys)
    assert run(["sla", "init", "--prometheus", "http://127.0.0.1:9", "--write", "new.yml"]) is ExitCode.UNKNOWN
    assert not (here / "new.yml").exists()


def test_a_store_that_holds_nothing_of_these_targets_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store("sla/levels.db").__exit__()
    for command in ("report", "status"):
        assert run(["sla", command]) is ExitCode.USAGE
        assert "nothing of these targets was recorded yet (fill the store: chaoskit sla record)" in said(capsys)


def test_several_environments_are_told_apart_and_must_be_named_where_one_is_meant(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill()
    with open_store("sla/levels.db") as store:
        down = [minutes_from("2026-09-10T10:00", 60)]
        slices = time_slices(SEPTEMBER.starts_at, SEPTEMBER.ends_at, down)
        store.write("staging", [replace(one, environment="staging") for one in slices])
        store.plan(Planned("staging", at("2026-09-10T10:00"), at("2026-09-10T10:10"), "maintenance", "x", "me", 0))
    assert run(["sla", "report", "--gate"]) is ExitCode.FAIL
    assert run(["sla", "report", "--gate", "--environment", "live"]) is ExitCode.PASS
    capsys.readouterr()
    added = ["sla", "plan", "add", "--from", "2026-09-10T10:00", "--to", "2026-09-10T11:00", "--reason", "x"]
    assert run(added) is ExitCode.USAGE
    assert "which environment is meant? (--environment live or staging)" in said(capsys)
    assert run([*added, "--environment", "staging"]) is ExitCode.PASS
    assert run(["sla", "report", "--gate"]) is ExitCode.PASS


def test_the_structure_of_targets_is_checked_offline(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sla", "check", "--no-search"]) is ExitCode.PASS
    assert "1 levels: uptime" in said(capsys).replace("level:", "levels:")
    (here / "sla" / "targets.yml").write_text(ONE.replace("99.9 %", "101 %"))
    assert run(["sla", "check", "--no-search"]) is ExitCode.USAGE
    assert "sla/targets.yml:3: 'at_least' is beyond 100 %" in said(capsys)
