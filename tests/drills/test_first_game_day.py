"""One dead worker, from kill to mailbox: the promise kept, and each way in which it can be broken, said as such."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.drills.conftest import Drill, Ended, kill

pytestmark = [pytest.mark.drill, pytest.mark.stack]

MAIL_OF_WORKER_ALERTS = """  - name: worker-alerts
    email_configs:
      - to: w.aroca@insaing.com
        send_resolved: true
        headers:
          Subject: '{{ template "insa.subject" . }}'
        html: '{{ template "insa.html" . }}'
        text: '{{ template "insa.text" . }}'
"""
WORKER_ROUTE = """    - matchers:
        - 'component="worker"'
      receiver: worker-alerts
      group_by: [alertname, worker_name]
      group_wait: 30s
      group_interval: 5m
      repeat_interval: 2h
"""
ALWAYS_FIRING = """
      - alert: Stray
        expr: vector(1) == {condition}
        labels: {{severity: warning, component: api, team: platform}}
        annotations: {{summary: stray}}
"""


def add_rule(drill: Drill, condition: str) -> None:
    rules = drill.folder / "prometheus_alerts.yml"
    rules.write_text(rules.read_text() + ALWAYS_FIRING.format(condition=condition))


def assert_fails(ended: Ended, hop: str, to: str, *words: str) -> None:
    """Exit 1, and the sentence of that hop has these words."""
    assert ended.code == 1, ended.said
    assert ended.results(hop, to) == {"FAIL"}, ended.said
    for word in words:
        assert word in ended.reason(hop, to)


def assert_unknown(ended: Ended, hop: str, to: str, *words: str) -> None:
    assert ended.code == 3, ended.said
    assert ended.results(hop, to) == {"UNKNOWN"}, ended.said
    for word in words:
        assert word in ended.reason(hop, to)


def test_the_promise_is_kept_and_judged_again_byte_for_byte(drill: Drill) -> None:
    """PASS on every hop and receiver, exit 0; `verify` gives the same verdict and page from the history alone.

    Meanwhile it listens on loopback alone: with its own page of metrics, Prometheus, Alertmanager, the sinks, the CRM
    and what the load is told by.
    """
    doors: set[tuple[str, int]] = set()

    def look(run: psutil.Process) -> None:
        for one in (psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # one may end while the others are looked at
                doors.update(each.laddr for each in one.net_connections("inet") if each.status == psutil.CONN_LISTEN)

    ended = drill.run(when="kill#0 in force", do=look)
    assert ended.code == 0, ended.said
    assert len(doors) > 7
    assert {host for host, _ in doors} <= {"127.0.0.1", "::1"}
    assert {row["result"] for row in ended.verdict["rows"]} == {"PASS"}
    for hop in ("notify", "all-clear", "content"):
        assert {row["to"] for row in ended.rows(hop)} == {
            "critical-alerts (email)",
            "critical-alerts (webhook)",
            "worker-alerts (email)",
        }
    assert f"{ended.folder.name}/report.html" in ended.said
    assert f"on {platform.node()}" in (ended.folder / "report.html").read_text(), "the header says who began it"
    assert (ended.folder / "summary.md").read_text().startswith("## PASS: worker-unhealthy\n")
    before, page = (ended.folder / "verdict.json").read_bytes(), (ended.folder / "report.html").read_bytes()
    new = {"--write": drill.out / "again.json", "--html": drill.out / "again.html"}
    options = [str(part) for option in new.items() for part in option]
    again = subprocess.run(
        [sys.executable, "-m", "chaoskit", "verify", str(ended.folder), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert new["--write"].read_bytes() == before
    assert new["--html"].read_bytes() == page


@pytest.mark.long
def test_for_longer_than_promised_fails_hold_as_late(drill: Drill) -> None:
    """`for: 1m` -> 5m."""
    drill.change("prometheus_alerts.yml", "        for: 1m\n", "        for: 5m\n")
    ended = drill.run()
    assert_fails(ended, "hold", "", "too late", "for: 5m", "promised for 1m")


@pytest.mark.long
def test_for_removed_fails_hold_as_early(drill: Drill) -> None:
    drill.change("prometheus_alerts.yml", "        for: 1m\n", "")
    assert_fails(drill.run(), "hold", "", "too early", "promised for 1m")


@pytest.mark.long
def test_a_deleted_route_fails_notify_as_never(drill: Drill) -> None:
    """Nobody else hears of it instead: the critical route has matched."""
    ended = drill.change("alertmanager.yml", WORKER_ROUTE, "").run()
    assert_fails(ended, "notify", "worker-alerts", "never notified", "no route")
    assert ended.results("notify", "critical-alerts") == {"PASS"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("gone", "to"),
    [
        (
            "    webhook_configs:\n      - url: http://localhost:8080/alerts/critical\n        send_resolved: true\n",
            "critical-alerts",
        ),
        (MAIL_OF_WORKER_ALERTS, "worker-alerts"),
    ],
)
def test_without_one_of_its_integrations_a_receiver_fails(drill: Drill, gone: str, to: str) -> None:
    """The webhook of two, and the only mail: whatever came by other ways is no evidence of what is gone."""
    left = "  - name: worker-alerts\n" if gone.startswith("  - name") else ""
    ended = drill.change("alertmanager.yml", gone, left).run()
    assert ended.code == 1, ended.said
    [row] = [row for row in ended.rows("notify") if row["result"] == "FAIL"]
    assert row["to"].startswith(to)
    assert "integration" in row["reason"]


@pytest.mark.long
def test_a_longer_group_wait_fails_notify_as_late(drill: Drill) -> None:
    """critical's group_wait 10s -> 90s."""
    ended = drill.change("alertmanager.yml", "\n      group_wait: 10s", "\n      group_wait: 90s").run()
    assert_fails(ended, "notify", "critical-alerts", "too late", "promised group_wait 10s", "group_wait 1m30s")
    assert ended.results("notify", "worker-alerts") == {"PASS"}


def test_a_dead_mail_sink_makes_mails_unknown_and_leaves_the_webhook_judged(drill: Drill) -> None:
    """Our witness dies uninvited: nobody can say what would have been mailed."""
    ended = drill.run(when="fault kill#0 in force", do=kill("chaoskit.observe.mail_sink"))
    assert_unknown(ended, "notify", "email", "mail-sink")
    assert ended.results("notify", "webhook") == {"PASS"}
    # Alertmanager tries the dead mailbox for 10 real s before the same group speaks again, at any time scale, so
    # the webhook's all-clear may be late because of our witness. Then that is said, and is no failure.
    assert ended.results("all-clear", "webhook") <= {"PASS", "UNKNOWN"}


@pytest.mark.long
def test_an_empty_mail_fails_its_content(drill: Drill) -> None:
    """The mail comes in time, and says nothing."""
    empty = MAIL_OF_WORKER_ALERTS.replace('template "insa.html" .', '""').replace('template "insa.text" .', '""')
    ended = drill.change("alertmanager.yml", MAIL_OF_WORKER_ALERTS, empty).run()
    assert_fails(ended, "content", "worker-alerts", "body is empty")
    assert ended.results("notify", "worker-alerts") == {"PASS"}


def test_a_renamed_metric_fails_detect_as_never(drill: Drill) -> None:
    drill.change("prometheus_alerts.yml", "insa_worker_health_status == 0\n", "insa_worker_wellness == 0\n")
    assert_fails(drill.run(), "detect", "", "never became pending")


def test_prometheus_killed_under_the_fault_makes_the_rest_unknown(drill: Drill) -> None:
    """Blind from then on, and said so: nothing is counted as quiet."""
    ended = drill.run(when="fault kill#0 in force", do=kill("/stack/prometheus.yml"))
    assert ended.code == 3, ended.said
    assert "prometheus was down" in ended.reason("detect") + ended.reason("hold")
    assert ended.results("finding") == {"UNKNOWN"}
    assert "prometheus" in ended.reason("finding")


@pytest.mark.long
def test_alertmanager_killed_before_firing_makes_notify_unknown(drill: Drill) -> None:
    ended = drill.run(when="fault kill#0 in force", do=kill("/stack/alertmanager.yml"))
    assert_unknown(ended, "notify", "", "alertmanager was down")
    assert ended.results("hold") == {"PASS"}


def test_an_alert_already_firing_means_no_steady_state(drill: Drill) -> None:
    """No fault is injected, and the verdict is UNKNOWN with the alert's name."""
    add_rule(drill, "1")
    ended = drill.run()
    assert_unknown(ended, "steady", "", "steady state not reached", "Stray is firing")
    assert "invoke" not in (ended.folder / "events.jsonl").read_text()


@pytest.mark.long
def test_an_unexpected_alert_is_a_finding_with_its_receivers(drill: Drill) -> None:
    """Fires because of the fault; the scenario neither expects nor allows it."""
    add_rule(drill, "on() (count(insa_worker_health_status == 0))")
    ended = drill.run()
    assert_fails(ended, "finding", "", "Stray", "neither expects nor allows", "default-receiver")
    assert ended.results("hold") == {"PASS"}


@pytest.mark.long
def test_load_that_dies_makes_the_run_unknown(drill: Drill) -> None:
    ended = drill.run(when="fault kill#0 in force", do=kill("chaoskit.load.child"))
    assert_unknown(ended, "load", "", "the load generator died during the run")
    assert ended.results("hold") == {"PASS"}


def test_no_such_worker_is_said_before_anything_starts(drill: Drill, tmp_path: Path) -> None:
    """Exit 2, with the place in the scenario; no run folder is made."""
    text = (Path(__file__).parents[2] / "scenarios" / "worker-unhealthy.yml").read_text()
    scenario = tmp_path / "nobody.yml"
    scenario.write_text(text.replace("{role: worker, count: 1}", "{role: worker, name: worker-9}"))
    run = subprocess.run(
        [sys.executable, "-m", "chaoskit", "run", str(scenario), "--out", str(drill.out)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert f"{scenario}:7: role worker 'worker-9' is defined nowhere" in run.stderr
    assert "Traceback" not in run.stderr
    assert not drill.out.exists()
