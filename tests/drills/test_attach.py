"""Scenarios against a `chaoskit up` that was started separately, in real time: what is proven, and what is not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from chaoskit import bundle
from chaoskit.history import read_history
from tests.attached_system import FOREIGN, SCENARIO, System, running
from tests.drills.conftest import Ended
from tests.reverse_proxy import Proxy, certificate, proxied
from tests.witness_examples import witness

pytestmark = [pytest.mark.drill, pytest.mark.stack]
LONGEST_S = 200.0
PASSWORD = "the-password-of-the-drill"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with witness() as ears, running(tmp_path_factory.mktemp("up"), ears.url) as found:
        yield found


def run(
    system: System,
    out: Path,
    *arguments: str,
    profile: Path | None = None,
    scenario: str = "",
    longest_s: float = LONGEST_S,
) -> Ended:
    """One run against the system, as a user starts it; without a scenario's name, of the drills' own."""
    file = out / "drill.yml"
    file.write_text(SCENARIO)
    command = [sys.executable, "-m", "chaoskit", "run", scenario or str(file), "--bundle", str(system.bundle)]
    used = profile or system.profile()
    done = subprocess.run(
        [*command, "--out", str(out), "--profile", str(used), *arguments],
        capture_output=True,
        text=True,
        timeout=longest_s,
        check=False,
    )
    said = done.stdout + done.stderr
    folder = out / "latest"
    if not (folder / "verdict.json").exists():
        return Ended(done.returncode, said, folder, {"rows": [], "notes": []}, None)  # type: ignore[arg-type]
    return Ended(done.returncode, said, folder, json.loads((folder / "verdict.json").read_text()), read_history(folder))


CONFIRMED = ("--confirm", "staging")


def test_nothing_is_touched_without_the_environments_name(system: System, tmp_path: Path) -> None:
    before = system.workers()
    for arguments in ((), ("--confirm", "production")):
        ended = run(system, tmp_path, *arguments)
        assert ended.code == 2, ended.said
        assert "add --confirm staging" in ended.said
    assert system.workers() == before
    assert not (tmp_path / "latest").exists()


@pytest.mark.long
def test_an_integration_that_is_not_waived_is_unknown_by_name(system: System, tmp_path: Path) -> None:
    ended = run(system, tmp_path, *CONFIRMED, profile=system.profile(waive=("everybody/webhook",)))
    assert ended.code == 3, ended.said
    assert ended.results("notify", "everybody (witness)") == {"PASS"}
    assert ended.results("notify", "everybody (email)") == {"UNKNOWN"}
    assert "waive: [everybody/email]" in ended.reason("notify", "email")


@pytest.mark.long
def test_without_a_witness_nobody_knows_of_the_notices(system: System, tmp_path: Path) -> None:
    """Detect, hold and clear are judged all the same."""
    ended = run(system, tmp_path, *CONFIRMED, profile=system.profile(witness="", waive=()))
    assert ended.code == 3, ended.said
    for hop in ("detect", "hold", "clear"):
        assert ended.results(hop) == {"PASS"}, ended.said
    assert ended.results("notify") == {"UNKNOWN"}
    assert ended.results("finding") == {"UNKNOWN"}


def test_a_witness_that_does_not_answer_ends_the_run_before_anything_is_broken(system: System, tmp_path: Path) -> None:
    before = system.workers()
    ended = run(system, tmp_path, *CONFIRMED, profile=system.profile(witness="http://127.0.0.1:9"))
    assert ended.code == 3, ended.said
    assert "start it with `chaoskit witness serve`" in ended.said
    assert not (tmp_path / "latest").exists()
    assert system.workers() == before


@pytest.mark.long
def test_a_silence_on_the_alert_is_said_and_not_held_against_the_configuration(system: System, tmp_path: Path) -> None:
    silence = {
        "matchers": [{"name": "alertname", "value": "WorkerUnhealthy", "isRegex": False, "isEqual": True}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600)),
        "createdBy": "somebody",
        "comment": "maintenance of the workers",
    }
    url = system.addresses["Alertmanager"] + "/api/v2/silence"
    made = requests.post(f"{url}s", json=silence, timeout=5).json()["silenceID"]
    try:
        ended = run(system, tmp_path, *CONFIRMED)
    finally:
        requests.delete(f"{url}/{made}", timeout=5)
    assert ended.code == 3, ended.said
    assert ended.results("detect") == ended.results("hold") == {"PASS"}
    assert ended.results("notify") == {"UNKNOWN"}
    reason = ended.reason("notify")
    for word in (made, "somebody", "maintenance of the workers"):
        assert word in reason


def test_the_promise_is_kept_behind_a_proxy_with_tls_basic_auth_and_path_prefixes(
    system: System, tmp_path: Path
) -> None:
    """PASS on every hop, as the witness saw it, and the worker is back; the password stands nowhere."""
    tls = certificate(tmp_path)
    behind = {"/prometheus": system.addresses["Prometheus"], "/alertmanager": system.addresses["Alertmanager"]}
    password_file = tmp_path / "password"
    password_file.write_text(PASSWORD)
    with proxied(Proxy(behind, "drill", PASSWORD), tls) as proxy:
        access = {"username": "drill", "password_file": str(password_file), "ca_file": str(tls[0])}
        profile = system.profile(
            prometheus=f"{proxy.url}/prometheus",
            alertmanager=f"{proxy.url}/alertmanager",
            access={"prometheus": access, "alertmanager": access},
        )
        out = tmp_path / "out"
        out.mkdir()
        ended = run(system, out, *CONFIRMED, profile=profile)
    assert ended.code == 0, ended.said
    for hop in ("detect", "hold", "notify", "clear", "all-clear", "content"):
        assert ended.results(hop) == {"PASS"}, ended.said
    assert {row["to"] for row in ended.rows("notify")} == {"everybody (witness)"}
    assert any("everybody/email is waived" in note for note in ended.verdict["notes"])
    assert len(system.workers()) == 4
    assert PASSWORD not in ended.said
    assert not [file for file in out.rglob("*") if file.is_file() and PASSWORD.encode() in file.read_bytes()]


@pytest.mark.long
@pytest.mark.parametrize("skew_s", [-3.0, 3.0])
def test_a_prometheus_whose_clock_is_off_is_measured_and_corrected(
    system: System, tmp_path: Path, skew_s: float
) -> None:
    """Every instant in its answers is three seconds off, in front of the real Prometheus: PASS, and not by luck."""
    with proxied(Proxy({"/p": system.addresses["Prometheus"]}, shift_s=skew_s)) as proxy:
        ended = run(system, tmp_path, *CONFIRMED, profile=system.profile(prometheus=f"{proxy.url}/p"))
    assert ended.code == 0, ended.said
    measured = [event.skew for event in ended.history.events if getattr(event, "skew", None)]
    assert measured
    assert all(low <= skew_s + 0.01 and high >= skew_s - 0.01 for low, high in measured)


@pytest.mark.long
def test_a_foreign_alert_that_fires_is_said_and_fails_nothing(tmp_path: Path) -> None:
    with witness() as ears, running(tmp_path, ears.url, FOREIGN) as system:
        ended = run(system, tmp_path, *CONFIRMED)
    assert ended.code == 0, ended.said
    notes: list[Any] = ended.verdict["notes"]
    assert any("OtherTeamsTrouble" in note and "no rule of this configuration" in note for note in notes)


def test_rules_that_are_not_what_is_loaded_there_are_refused_by_name(system: System, tmp_path: Path) -> None:
    before = system.workers()
    rules = system.bundle / "rules.yml"
    kept = rules.read_text()
    rules.write_text(kept.replace("for: 4s", "for: 9s"))
    try:
        ended = run(system, tmp_path, *CONFIRMED)
    finally:
        rules.write_text(kept)
    assert ended.code == 2, ended.said
    assert "WorkerUnhealthy, which is expected to fire, has for: 4s in place of 9s" in ended.said
    assert system.workers() == before


def test_another_environment_is_refused_by_what_its_metrics_say(system: System, tmp_path: Path) -> None:
    profile = system.profile(environment="production")
    ended = run(system, tmp_path, "--confirm", "production", profile=profile)
    assert ended.code == 2, ended.said
    assert 'does not say environment="production": it says staging' in ended.said


@pytest.mark.long
@pytest.mark.timeout(2000)
def test_the_shipped_configuration_in_real_time_keeps_its_promise(tmp_path: Path) -> None:
    """worker-unhealthy as it is shipped, at scale 1, against a stack of its own: every hop PASS."""
    waive = [f"{name}/{kind}" for name, kind in (("critical-alerts", "email"), ("critical-alerts", "webhook"),
                                                 ("worker-alerts", "email"))]  # fmt: skip
    with witness() as ears, running(tmp_path, ears.url, tested=bundle.folder()) as system:
        profile = system.profile(waive=tuple(waive))
        limits = ("--set", "limits.fault=15m", "--set", "limits.run=30m")
        ended = run(system, tmp_path, *CONFIRMED, *limits, profile=profile, scenario="worker-unhealthy", longest_s=1800)
    sys.stdout.write(ended.said)
    assert ended.code == 0, ended.said
    for hop in ("detect", "hold", "notify", "clear", "all-clear", "content"):
        assert ended.results(hop) == {"PASS"}, ended.said
    assert {row["to"] for row in ended.rows("notify")} == {"critical-alerts (witness)", "worker-alerts (witness)"}
