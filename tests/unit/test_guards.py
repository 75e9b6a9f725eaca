"""The protections of a profile: what no run touches, when it may be under way, what ends it early, and where."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_attach_refusals import Case, System

from chaoskit.adapters.toxiproxy import Toxiproxy
from chaoskit.alerting.time_intervals import throughout
from chaoskit.cli import run as chaoskit
from chaoskit.errors import BadInput, Place, Refused
from chaoskit.events import AlertState, LoadWindow
from chaoskit.examine import allowed as allowed_module
from chaoskit.examine.allowed import allowed
from chaoskit.examine.environment import environment
from chaoskit.examine.preflight import refuse_unconfirmed
from chaoskit.run.abort import AbortWatch
from chaoskit.run.planning import refuse_guarded
from chaoskit.safety.lock import TargetLock
from chaoskit.scenario.model import Abort, Attached, Handles
from chaoskit.scenario.profile import load_profile
from tests.attached_system import processes_titled
from tests.reverse_proxy import proxied
from tests.safety_examples import invoke, journal

MATCH, worker = processes_titled("a-guarded-worker", "w-1")


def case(folder: Path, more: str) -> Case:
    return Case(folder, match=MATCH, more=f"limits: {{fault: 3m, run: 10m}}\n{more}")


# -- what no run may touch ------------------------------------------------------------------------------------------


def test_a_fault_on_a_protected_handle_is_refused(tmp_path: Path) -> None:
    said = "process.kill would act on role:worker, and the profile protects it"
    assert said in case(tmp_path, "protected: [role:worker]\n").complaints()[0]
    assert case(tmp_path, "protected: [role:api]\n").plan()


def test_a_protected_thing_is_protected_under_every_name(tmp_path: Path) -> None:
    """Another handle that leads to the same process does not get around it."""
    one = case(tmp_path, "protected: [role:database]\n")
    one.match = MATCH + "', label: worker_name}, database: {match: 'a-guarded-(?P<name>.*)"
    said = "process.kill would act on role:database, which is behind role:worker as well"
    assert said in one.complaints()[0]


def test_a_protection_that_names_nothing_is_no_protection(tmp_path: Path) -> None:
    found = case(tmp_path, "protected: [role:wroker]\n").complaints()
    assert "handle 'role:wroker' is defined nowhere (did you mean 'role:worker'?)" in found[0]


def test_a_run_acts_on_no_more_hosts_than_its_limit(tmp_path: Path) -> None:
    plan = case(tmp_path, "").plan()[0]
    kill = plan.steps[0].faults[0]
    for host, said in (("proxy-1", "2 hosts (proxy-1, this host), and the profile's limits.hosts is 1"), ("[::1]", "")):
        far = Handles({"link": {"a": Toxiproxy(url=f"http://{host}:8474", proxy="a")}, **plan.profile.handles.by_kind})
        profile = replace(plan.profile, handles=far, limits=replace(plan.profile.limits, hosts=1))
        steps = (replace(plan.steps[0], faults=(kill, replace(kill, handle="link:a"))), *plan.steps[1:])
        refused = ""
        try:
            refuse_guarded(replace(plan, profile=profile, steps=steps))
        except Refused as error:
            refused = str(error)
        assert (said in refused) if said else not refused


# -- when -----------------------------------------------------------------------------------------------------------


def test_a_run_that_would_not_lie_within_the_hours_is_refused(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    today, later = f"{now:%A}".lower(), f"{now + timedelta(days=3):%A}".lower()
    one = case(tmp_path, f"hours: [{{weekdays: ['{later}']}}]\n")
    with pytest.raises(Refused, match=r"would not lie within the profile's hours"):
        refuse_unconfirmed([one.plan()[0]], "staging")
    tomorrow = f"{now + timedelta(days=1):%A}".lower()
    one.more = one.more.replace(later, f"{today}', '{tomorrow}")
    refuse_unconfirmed([one.plan()[0]], "staging")


def test_a_run_that_begins_within_the_hours_and_ends_after_them_does_not_lie_within() -> None:
    parts = load_profile(
        PROFILE + "hours: [{times: [{start_time: '09:00', end_time: '12:00'}]}, {times: [{start_time: '12:00', "
        "end_time: '16:00'}], weekdays: ['monday:friday']}]\n",
        "p.yml",
    ).hours
    monday = datetime(2026, 11, 30, 11, 55, tzinfo=UTC)
    assert throughout(parts, monday, monday + timedelta(minutes=20))  # from one part to the next
    assert not throughout(parts, monday, monday + timedelta(hours=5))
    assert not throughout(parts, monday - timedelta(days=1), monday - timedelta(days=1, minutes=-20))


PROFILE = (
    "chaoskit: 1\ntarget: {attached: {prometheus: http://p, alertmanager: http://a, metrics: http://m, "
    "environment: s}}\n"
)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("hours: []\n", "'hours' must be a list of time intervals"),
        ("hours: [{weekdays: [someday]}]\n", "'someday' is not a weekday"),
        ("hours: [{location: Local}]\n", "location Local is the zone of Alertmanager's machine"),
        ("protected: [worker]\n", "must be a handle, found"),
        ("limits: {hosts: 0}\n", "'hosts' must be a whole number of 1 or more"),
        ("abort: [{errors: 50%, severity: page}]\n", "an abort condition has 'severity' and 'errors'"),
    ],
)
def test_a_protection_that_is_written_wrongly_is_refused(more: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_profile(PROFILE + more, "p.yml")
    assert said in str(caught.value)


# -- what ends it early ---------------------------------------------------------------------------------------------


def test_an_attached_target_has_abort_conditions_unless_others_take_their_place() -> None:
    severe, errors = load_profile(PROFILE, "p.yml").abort
    assert (severe.severity, errors.errors) == ("critical", 0.5)
    given = load_profile(PROFILE + "abort: [{severity: page}, {errors: 90%}, {alert: A}]\n", "p.yml").abort
    assert [(one.severity, one.errors, one.alert) for one in given] == [
        ("page", None, None), (None, 0.9, None), (None, None, "A")
    ]  # fmt: skip


class Told:
    """Hears why a run was ended."""

    def __init__(self, *conditions: Abort, expected: str = "") -> None:
        self.reasons: list[str] = []
        self.heard = threading.Event()
        self.watch = AbortWatch(
            conditions,
            lambda query: False,
            lambda: False,
            self._hear,
            lambda name: False,
            lambda name: name == expected,
        )

    def _hear(self, reason: str) -> None:
        self.reasons.append(reason)
        self.heard.set()

    def fires(self, name: str, severity: str = "critical") -> None:
        self.watch.feed(
            AlertState(labels={"alertname": name, "severity": severity}, state="firing", at=1.0, previous=None)
        )

    def window(self, finished: int, failed: int, dropped: int = 0) -> None:
        self.watch.feed(
            LoadWindow(
                second=(0.0, 1.0), started=finished, finished=finished, failed=failed, in_flight=0, dropped=dropped,
                users=0, p50_ms=None, p95_ms=None, p99_ms=None, cpu_s=0.0,
            )
        )  # fmt: skip


def test_a_critical_alert_that_is_not_expected_ends_the_run_one_that_fired_before_does_not() -> None:
    told = Told(Abort(None, None, Place("p.yml", 3), severity="critical"), expected="WorkerUnhealthy")
    told.fires("OtherTeamsTrouble")
    told.watch.start()
    told.fires("OtherTeamsTrouble")
    told.fires("WorkerUnhealthy")
    told.fires("DiskFills", severity="warning")
    assert not told.heard.wait(0.05)
    told.fires("DatabaseDown")
    assert told.heard.wait(5)
    assert told.reasons == [
        "abort condition (p.yml:3): DatabaseDown with severity critical is firing, and the scenario does not expect it"
    ]


def test_a_load_that_fails_by_more_than_its_share_ends_the_run() -> None:
    told = Told(Abort(None, None, Place("p.yml", 3), errors=0.5))
    told.watch.start()
    told.window(finished=10, failed=10)  # too few to say
    told.window(finished=90, failed=30)
    assert not told.heard.wait(0.05)
    told.window(finished=0, failed=0, dropped=90)
    assert told.heard.wait(5)
    assert told.reasons == ["abort condition (p.yml:3): 130 of the load's last 190 requests failed, more than 50%"]


# -- where ----------------------------------------------------------------------------------------------------------


def said_of(page: str, external: str, series: list[str] | None, query: str = "") -> list[str]:
    """What is said of a target whose page, external labels and series say these environments."""
    vector = [{"metric": {"environment": one} if one else {}} for one in series or ()]
    answers = {
        "/metrics": page,
        "/api/v1/status/config": json.dumps({"data": {"yaml": f"global: {{external_labels: {external}}}\n"}}),
        "/api/v1/query": json.dumps({"data": {"result": vector}}),
    }
    with proxied(System(answers)) as system:
        target = Attached(system.url, "", f"{system.url}/metrics", "staging", environment_series=query)
        return [line.detail.replace(system.url, "URL") for line in environment(target) if line.state == "missing"]


BARE, OURS, OTHER = "up 1\n", 'up{environment="staging"} 1\n', 'up{environment="production"} 1\n'
QUERY = 'up{job="shop"}'


@pytest.mark.parametrize(
    ("page", "external", "series", "query"),
    [
        (OURS, "{}", None, ""),
        (BARE, "{environment: staging}", None, ""),
        (BARE, "{}", ["staging", "staging"], QUERY),
        (OURS, "{environment: staging, replica: a}", ["staging"], QUERY),
    ],
)
def test_an_environment_is_believed_from_each_place_that_can_say_it(
    page: str, external: str, series: list[str] | None, query: str
) -> None:
    assert said_of(page, external, series, query) == []


@pytest.mark.parametrize(
    ("page", "external", "series", "query", "said"),
    [
        (BARE, "{}", None, "", "no series carries that label"),
        (OURS, "{environment: production}", None, "", "they say production"),
        (OTHER, "{environment: staging}", None, "", "it says production"),
        (OURS, "{}", [], QUERY, "it has no series"),
        (OURS, "{}", ["staging", "production"], QUERY, "throughout: production, staging"),
        (BARE, "{}", [""], QUERY, "throughout: none"),
    ],
)
def test_an_environment_that_is_not_said_or_contradicted_is_refused(
    page: str, external: str, series: list[str] | None, query: str, said: str
) -> None:
    found = said_of(page, external, series, query)
    assert found
    assert said in found[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write a file that is root's")
def test_a_host_that_names_environments_takes_part_in_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "allow"
    monkeypatch.setattr(allowed_module, "ALLOW", file)
    target = Attached("", "", "", "staging")
    assert [line.state for line in allowed(target)] == ["ok"]
    file.write_text("# drills\nstaging  # since May\n")
    file.chmod(0o644)
    assert [line.state for line in allowed(target)] == ["ok"]
    file.write_text("integration\n#staging\n")
    assert ["does not name staging" in line.detail for line in allowed(target) if line.state == "missing"] == [True]
    file.write_text("staging\n")
    file.chmod(0o666)
    assert ["may have written" in line.detail for line in allowed(target) if line.state == "missing"] == [True]


# -- what a run left ------------------------------------------------------------------------------------------------


def test_after_a_run_that_ended_with_5_none_begins_on_its_target_until_unlock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    journal(tmp_path / "run", invoke("their.own", {})).close()
    TargetLock.take("staging", [tmp_path / "run"]).release(healed=False)
    for _ in range(2):
        with pytest.raises(Refused, match=r"which said so itself .*chaoskit heal .*chaoskit unlock"):
            TargetLock.take("staging", [])
    assert chaoskit(["unlock"]) == 0
    assert "runs may begin again on staging" in capsys.readouterr().out
    TargetLock.take("staging", []).release(healed=True)


def test_after_a_run_that_ended_with_5_the_next_begins_once_it_is_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    journal(tmp_path / "run").close()  # nothing stands in it
    TargetLock.take("staging", [tmp_path / "run"]).release(healed=False)
    TargetLock.take("staging", []).release(healed=True)
