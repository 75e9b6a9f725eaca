"""What a run refuses on an attached target, before anything is touched: by name, all at once, with what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode, Refused
from chaoskit.examine.preflight import lingering, preflight, refuse_unconfirmed
from chaoskit.faults.base import FaultError, Target
from chaoskit.faults.registry import known
from chaoskit.handles.equipment import EquipmentAddress
from chaoskit.run.planning import Asked, Planned, plan_for
from chaoskit.run.traffic import load_spec
from chaoskit.scenario.model import Attached, Handles
from chaoskit.stack.attached import AttachedStack
from tests.attached_system import ROUTES, SCENARIO, processes_titled, write_bundle
from tests.reverse_proxy import Proxy, proxied

NAMES = ("w-1", "w-2", "w-3", "w-4")
MATCH, workers = processes_titled("a-worker-of-this-test", *NAMES)


@dataclass
class Case:
    """A profile, a scenario and the short bundle, in a folder of their own."""

    folder: Path
    target: dict[str, str] = field(
        default_factory=lambda: {"prometheus": "http://p", "alertmanager": "http://a", "metrics": "http://m"}
    )
    more: str = ""
    """Further keys of the profile."""
    witness: str = ""
    match: str = MATCH
    link: str = ""
    """A further kind of handle."""
    scenario: str = SCENARIO

    def plan(self, **asked: Any) -> Planned:
        witness = {"witness": self.witness} if self.witness else {}
        target = json.dumps({**self.target, **witness, "environment": "staging"})
        profile, scenario = self.folder / "staging.yml", self.folder / "drill.yml"
        profile.write_text(
            f"chaoskit: 1\ntarget: {{attached: {target}}}\n"
            f"handles: {{role: {{worker: {{match: '{self.match}', label: worker_name}}, api: {{process: api}}}}"
            f"{self.link}}}\n{self.more}"
        )
        scenario.write_text(self.scenario)
        bundle = self.folder / "bundle"
        if not bundle.exists():
            write_bundle(bundle)
        return plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle), **asked))

    def complaints(self, **asked: Any) -> list[str]:
        with pytest.raises(BadInput) as caught:
            self.plan(**asked)
        return [str(problem).replace(f"{self.folder}/", "") for problem in caught.value.problems]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, more="limits: {fault: 3m, run: 10m, workers: 75%}\n")


def injecting(fault: str, more: str = "") -> str:
    return f"chaoskit: 1\ntitle: t\nrunbook: r\nsteps:\n  - inject: {fault}\n{more}  - wait: 5s\nexpect: nothing\n"


def test_the_processes_of_this_host_are_the_inventory(case: Case) -> None:
    plan = case.plan()[0]
    assert plan.inventory == {"role:worker": NAMES}
    assert plan.steps[0].faults[0].targets[0] in NAMES
    assert plan.attached


def test_a_share_is_counted_on_what_really_runs(case: Case) -> None:
    """75 % of four are three; all four are one too many."""
    case.scenario = SCENARIO.replace("count: 1", "all: true")
    assert case.complaints() == [
        "drill.yml:5: 4 of 4 workers would be under a fault at once, the limit is 75% "
        "(raise limits.workers in the profile, or hit fewer)"
    ]


def test_several_processes_of_one_name_are_refused_with_their_pids_before_any_is_hit(case: Case) -> None:
    """Else an arbitrary one of them would be."""
    case.match = MATCH.replace(r"\S+", "w(-[34])?") + "(-[12])?"
    case.more = "limits: {fault: 3m, run: 10m}\n"
    case.scenario = SCENARIO.replace("count: 1", "count: 3")
    said = (
        r"drill.yml:5: role:worker: several processes have one name: w \(pids \d+, \d+\) "
        r"\(write pick: oldest or pick: each beside match:, or let the pattern's group name"
    )
    with pytest.raises(Refused, match=said):
        case.plan()


def silencing(matchers: str, expected: str = "silenced_by: hush") -> str:
    """The scenario with a silence of these matchers before it."""
    hush = "  - inject: alertmanager.silence\n    as: hush\n    target: {equipment: alertmanager}\n"
    text = SCENARIO.replace("steps:\n", f"steps:\n{hush}    with: {{matchers: '{matchers}'}}\n")
    return text.replace("    from: kill\n", f"    from: kill\n    {expected}\n") if expected else text


def test_a_silence_may_mute_the_expected_alert_alone(case: Case) -> None:
    case.scenario = silencing("alertname=WorkerUnhealthy, worker_name=w-1")
    planned = case.plan()[0].steps[0].faults[0]
    assert (planned.handle, planned.targets) == ("equipment:alertmanager", ("alertmanager",))
    case.scenario = silencing("severity=critical")
    assert case.complaints() == [
        'drill.yml:5: the silence of severity="critical" may mute alerts that are not expected to be '
        "(add alertname=WorkerUnhealthy to its matchers)"
    ]
    case.scenario = silencing("alertname=~WorkerUnhealthy|Other")
    assert "may mute alerts that are not expected to be" in case.complaints()[0]
    case.scenario = silencing("alertname=WorkerUnhealthy", "")
    assert "(expect an alert with silenced_by: hush)" in case.complaints()[0]
    case.scenario = SCENARIO.replace("    from: kill\n", "    from: kill\n    silenced_by: kill\n")
    assert "silenced by 'kill', which makes no silence" in case.complaints()[0]
    case.scenario = silencing("alertname=WorkerUnhealthy").replace(
        "{equipment: alertmanager}", "{equipment: prometheus}"
    )
    assert "'prometheus' is defined nowhere" in case.complaints()[0]
    case.scenario = silencing("alertname=WorkerUnhealthy", "silenced_by: kill")
    assert any("to be silenced by 'kill', which makes no silence" in one for one in case.complaints())


def test_a_silence_is_made_at_the_alertmanager_that_the_profile_names(tmp_path: Path) -> None:
    target = Attached("http://127.0.0.1:1", "http://127.0.0.1:2/am", "http://127.0.0.1:3", "staging")
    address = AttachedStack(tmp_path, target, Handles(), ()).address("equipment:alertmanager")
    assert address.journaled()["alertmanager"] == "http://127.0.0.1:2/am"
    kind: Any = known()["alertmanager.silence"]
    bounded = replace(address, max_s=90.0, run="r-1")
    asked = Target("equipment:alertmanager", ("alertmanager",), bounded)
    assert kind.prepare(asked, kind.settings(matchers="alertname=A"))["lasts_s"] == 90
    undo = kind.prepare(asked, kind.settings(matchers="alertname=A", duration="1m"))
    assert (undo["lasts_s"], undo["at"]["url"]) == (60, "http://127.0.0.1:2/am")
    assert undo["comment"].startswith("chaoskit run r-1 (")
    for elsewhere in (replace(asked, names=("prometheus",)), replace(asked, address=EquipmentAddress())):
        with pytest.raises(FaultError, match="takes no silences"):
            kind.prepare(elsewhere, kind.settings(matchers="alertname=A"))


def test_a_role_that_nothing_matches_is_refused_with_the_pattern(case: Case) -> None:
    case.match = "nobody (?P<name>.+)"
    assert case.complaints() == [
        "drill.yml:5: no process of this host has a title like 'nobody (?P<name>.+)' (role 'worker') "
        "(compare it with what `ps -eo args` shows; the whole title must match)"
    ]


@pytest.mark.parametrize(
    ("fault", "more", "complaint"),
    [
        ("tcp.blackhole", "    target: {link: upstream}\n",
         "tcp.blackhole acts on a link handle, which cannot be reached on an attached target "
         "(give the handle a via: (`chaoskit list --handles`), or use the command fault with programs of your own)"),
        ("monitoring.kill", "    target: {equipment: prometheus}\n",
         "monitoring.kill acts on an equipment handle, which cannot be reached on an attached target "
         "(give the handle a via: (`chaoskit list --handles`), or use the command fault with programs of your own)"),
        ("process.kill", "    target: {role: api}\n",
         r"the role 'api' has no match:, so its processes cannot be found on this host "
         r"(write match: 'TITLE (?P<name>\S+)' in the profile's handles)"),
    ],
)  # fmt: skip
def test_faults_that_cannot_reach_the_target_are_refused_by_name(
    case: Case, fault: str, more: str, complaint: str
) -> None:
    case.scenario = injecting(fault, more)
    assert case.complaints() == [f"drill.yml:5: {complaint}"]


def test_a_handle_of_another_name_is_told_with_those_that_there_are(case: Case) -> None:
    case.link = ", link: {payments: {via: nft, to: '127.0.0.1:18701'}}"
    case.scenario = injecting("tcp.blackhole", "    target: {link: upstream}\n")
    assert case.complaints() == ["drill.yml:5: link handle 'upstream' is defined nowhere (there are: payments)"]


def test_a_process_beside_match_that_nothing_would_read_is_refused(case: Case) -> None:
    case.match = "w (?P<name>.+)', process: 'NONSENSE"
    case.scenario = injecting("command", "    with: {start: [/bin/true], stop: [/bin/true]}\n")
    assert any("the role 'worker' says process: NONSENSE beside match:" in said for said in case.complaints())


def test_a_command_fault_needs_no_handle(case: Case) -> None:
    case.scenario = injecting("command", "    with: {start: [/bin/true], stop: [/bin/true]}\n")
    assert case.plan()[0].steps[0].faults[0].handle == ""


@pytest.mark.parametrize(
    ("more", "complaints"),
    [
        ("load: {users: 3}\n", [
            "staging.yml:5: the profile has a load and no service (add service: URL to attached:)",
            "staging.yml:5: an attached target does not tell what can be asked of it, so the load needs tasks of its "
            "own (write requests: {NAME: {path: /PATH}} beside service:, or load: {locustfile: PATH, users: 5})"]),
        ("time_scale: 1\n", []),
    ],
)  # fmt: skip
def test_load_needs_tasks_of_its_own_and_somewhere_to_go(case: Case, more: str, complaints: list[str]) -> None:
    case.more += more
    if not complaints:
        case.plan()
    else:
        assert case.complaints() == complaints


def test_a_load_with_tasks_of_its_own_is_taken(case: Case) -> None:
    """And a file that is not there is refused as ever."""
    case.target["service"] = "http://s"
    case.more += "load: {locustfile: own.py, users: 2}\n"
    assert "locustfile 'own.py' does not exist" in case.complaints()[0]
    (case.folder / "own.py").write_text("from locust import HttpUser\n")
    plan = case.plan()[0]
    assert load_spec(plan, "http://s", {}).users == 2


def test_a_change_of_a_load_that_is_not_there_is_refused(case: Case) -> None:
    case.scenario = (
        "chaoskit: 1\ntitle: t\nrunbook: r\nsteps:\n  - change: load\n    with: {users: 3}\nexpect: nothing\n"
    )
    assert case.complaints() == [
        "drill.yml:5: change-load changes the load, and there is none (give the profile a load: "
        "{locustfile: PATH}, or {rate: 5/s} of its requests:)"
    ]


def test_another_time_scale_and_limits_beyond_this_machine_are_refused_together(case: Case) -> None:
    case.more = "limits: {fault: 3m, run: 10m, cpu: 1000, memory: 900000GiB}\n"
    said = case.complaints(time_scale=60.0)
    assert "limits.cpu is 1000, and this machine has" in said[0]
    assert "limits.memory is 921600000 MiB, and" in said[1]
    assert said[2] == "staging.yml:2: an attached target runs in real time (leave --time-scale out)"


def test_what_is_waived_must_be_there(case: Case) -> None:
    case.target["waive"] = ["everybody/emial"]  # type: ignore[assignment]
    assert case.complaints() == [
        "staging.yml:2: integration 'everybody/emial' is defined nowhere (did you mean 'everybody/email'?)"
    ]


@pytest.mark.parametrize(
    ("confirm", "said"), [("", "--confirm is missing"), ("production", "--confirm says production")]
)
def test_only_the_environments_own_name_confirms(case: Case, confirm: str, said: str) -> None:
    plan = case.plan()[0]
    with pytest.raises(Refused) as caught:
        refuse_unconfirmed([plan], confirm)
    assert str(caught.value).endswith(
        f"this run breaks something in the environment staging, and {said}. It tells everybody (email, webhook): "
        "4 notifications. (add --confirm staging)"
    )
    refuse_unconfirmed([plan], "staging")


RULE = {
    "name": "WorkerUnhealthy",
    "query": "insa_worker_health_status   == 0",
    "duration": 4,
    "labels": {"severity": "critical", "component": "worker"},
}
FIRED = {"metric": {"__name__": "ALERTS", "alertname": "WorkerUnhealthy", "alertstate": "firing", "worker_name": "w-2"}}
PAGE = 'insa_environment_info{environment="staging"} 1\n'


class System(Proxy):
    """What an attached system answers, by the beginning of the path."""

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        found = next((text for start, text in self.backends.items() if path.startswith(start)), None)
        return (200, {}, found.encode()) if found is not None else (404, {}, b"")


def checked(case: Case, **changes: str) -> list[str]:
    """The notes of a preflight against a system that answers as it should, but for these changes."""
    rules = {"status": "success", "data": {"groups": [{"interval": 1, "rules": [RULE]}]}}
    query = {"status": "success", "data": {"resultType": "vector", "result": [FIRED]}}
    answers = {
        "/metrics": PAGE,
        "/api/v1/rules": json.dumps(rules),
        "/api/v1/query": json.dumps(query),
        "/api/v2/status": json.dumps({"config": {"original": ROUTES}}),
    }
    with proxied(System(answers | changes)) as system:
        case.target = {"prometheus": system.url, "alertmanager": system.url, "metrics": f"{system.url}/metrics"}
        plan, sources = case.plan()[:2]
        assert lingering(plan) == [{"alertname": "WorkerUnhealthy", "worker_name": "w-2"}]
        try:
            return [said for part in preflight(plan, sources) for said in part]
        except Refused as refused:
            return [
                str(problem).replace(system.url, "URL").replace(f"{case.folder}/", "") for problem in refused.problems
            ]


def test_a_system_that_is_the_one_that_was_meant_is_accepted(case: Case) -> None:
    """Whatever the spelling of the expression."""
    assert checked(case) == []


def test_a_page_of_another_environment_is_refused(case: Case) -> None:
    assert checked(case, **{"/metrics": 'up{environment="production"} 1\n'}) == [
        'staging.yml:2: URL/metrics does not say environment="staging": it says production '
        "(is this the system that you mean? Name its own label and value)"
    ]
    assert "no series carries that label" in checked(case, **{"/metrics": "up 1\n"})[0]


def loaded(**changes: Any) -> dict[str, str]:
    rules = {"status": "success", "data": {"groups": [{"interval": 1, "rules": [RULE | changes]}]}}
    return {"/api/v1/rules": json.dumps(rules)}


@pytest.mark.parametrize(
    ("there", "how"),
    [
        (loaded(duration=60), "has for: 1m in place of 4s"),
        (loaded(query="up == 0"), "has the expression `up == 0`, which means something else"),
        (loaded(labels={"a": "b"}), "has the labels {a=b} in place of {component=worker, severity=critical}"),
        (loaded(name="Other"), "is not loaded"),
    ],
)  # fmt: skip
def test_an_expected_rule_that_is_another_there_is_refused(case: Case, there: dict[str, str], how: str) -> None:
    assert checked(case, **there) == [
        f"rules.yml:4: WorkerUnhealthy, which is expected to fire, {how} in URL "
        "(load this configuration there, or name with --bundle what is loaded)"
    ]


def test_a_rule_that_is_not_expected_and_differs_is_a_note(case: Case) -> None:
    case.scenario = injecting("process.kill", "    target: {role: worker}\n")
    found = checked(case, **loaded(duration=60))
    assert len(found) == 1
    assert "rules that differ in" in found[0]
    assert "WorkerUnhealthy has for: 1m in place of 4s" in found[0]


def test_routes_that_are_others_there_are_refused(case: Case) -> None:
    other = ROUTES.replace("group_wait: 2s", "group_wait: 30s")
    found = checked(case, **{"/api/v2/status": json.dumps({"config": {"original": other}})})
    assert len(found) == 1
    assert "group_wait 30s" in found[0]
    assert "group_wait 2s" in found[0]


def status(text: str) -> dict[str, str]:
    return {"/api/v2/status": json.dumps({"config": {"original": text}})}


def test_what_a_newer_alertmanager_shows_is_read(case: Case) -> None:
    """0.33 has labels in its receivers, a later one something more: only what the expected alert rests on counts."""
    newer = ROUTES.replace("name: everybody", "name: everybody\n    labels: {team: one}")
    assert newer != ROUTES
    assert checked(case, **status(newer + "event_recorder: {file_outputs: [{path: x}]}\n")) == []
    (doubt,) = checked(case, **status(newer.replace("labels:", "outputs:")))
    assert "has loaded a part" in doubt
    assert "chaoskit does not understand: unknown key 'outputs' in a receiver" in doubt
    assert checked(case, **status(newer + "  - {name: elsewhere, outputs: [x]}\n")) == []


def test_what_keeps_alerts_from_alertmanager_there_is_refused_and_what_only_may_is_a_note(case: Case) -> None:
    """A cluster member that Prometheus does not tell, a label that relabelling takes; other external labels."""

    def page(text: str) -> dict[str, str]:
        yaml = f"{text}\nscrape_configs: [{{job_name: crm}}]\n"
        return {"/api/v1/status/config": json.dumps({"data": {"yaml": yaml}})}

    told = "alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}"
    assert checked(case, **page(told)) == []
    (lost,) = checked(case, **page("alerting: {}"))
    assert "Prometheus sends to no Alertmanager [no-alertmanager]" in lost
    (other,) = checked(case, **page(f"global: {{external_labels: {{zone: a}}}}\n{told}"))
    assert "Prometheus has {'zone': 'a'}, the files have none" in other
    peers = {"peers": [{"address": "a:9094"}, {"address": "b:9094"}]}
    status_ = json.dumps({"config": {"original": ROUTES}, "cluster": peers})
    one = json.dumps({"data": {"activeAlertmanagers": [{"url": "http://a:9093/api/v2/alerts"}]}})
    (untold,) = checked(case, **{"/api/v2/status": status_, "/api/v1/alertmanagers": one})
    assert "the cluster has 2 members (a:9094, b:9094), Prometheus tells 1" in untold


def test_routes_that_cannot_be_compared_end_the_run(case: Case) -> None:
    (refused,) = checked(case, **status(ROUTES.replace("group_wait: 2s", "group_wait: [2s]")))
    assert "chaoskit cannot compare the configuration that URL has loaded: " in refused
    assert "'group_wait' is a list" in refused


def test_a_system_that_does_not_answer_is_said_by_endpoint(case: Case) -> None:
    plan, sources = case.plan()[:2]
    with pytest.raises(Refused) as caught:
        preflight(plan, sources)
    said = [str(problem) for problem in caught.value.problems]
    assert [problem.partition(": ")[2].partition(":")[0] for problem in said] == [
        "metrics",
        "prometheus",
        "alertmanager",
    ]
    assert all("no connection" in problem for problem in said)


def test_a_witness_that_the_receivers_do_not_tell_is_refused(case: Case) -> None:
    """Else every missing notice would look like a broken promise."""
    case.witness = "http://127.0.0.1:9765"
    assert checked(case) == [
        "staging.yml:2: URL does not tell the witness what it tells everybody "
        "(add what `chaoskit witness config --alertmanager FILE --url http://127.0.0.1:9765` prints)"
    ]
    address = "url: 'http://127.0.0.1:9765/receiver/everybody', send_resolved: true"
    entry = f"      - {{{address}, http_config: {{follow_redirects: false}}}}\n"
    assert checked(case, **{"/api/v2/status": json.dumps({"config": {"original": ROUTES + entry}})}) == []


def test_the_gate_begins_nothing_without_the_name(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and no folder of a run."""
    case.plan()
    options = ["--profile", str(case.folder / "staging.yml"), "--bundle", str(case.folder / "bundle")]
    code = run(["gate", str(case.folder / "drill.yml"), *options, "--out", str(case.folder / "out")])
    assert code == ExitCode.USAGE
    assert "add --confirm staging" in capsys.readouterr().err
    assert not (case.folder / "out").exists()
