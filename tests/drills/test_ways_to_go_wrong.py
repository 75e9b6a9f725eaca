"""Further ways in which an alert's way to the phone breaks, and what only looks like one: each with its verdict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from tests.drills.conftest import Drill, Ended
from tests.drills.test_first_game_day import MAIL_OF_WORKER_ALERTS, assert_fails

pytestmark = [pytest.mark.drill, pytest.mark.stack]

KILL = """  - inject: process.kill
    as: kill
    target: {role: worker, count: 1}
    with: {hold: true}
"""
EXPECT = """  - alert: WorkerUnhealthy
    from: kill
"""
ALL_RECEIVERS = {"critical-alerts (email)", "critical-alerts (webhook)", "worker-alerts (email)"}


def answering(settings: str) -> str:
    """Steps in which the webhook's receiver answers like this from before the fault until after its all-clear."""
    return f"""  - inject: receiver.answer
    as: bad
    target: {{equipment: webhook-sink}}
    with: {settings}
{KILL}  - wait: settled
  - undo: kill
  - wait: settled
"""


def pause(title: str) -> Callable[[psutil.Process], None]:
    """Stops, of the run's own descendants, the one whose title ends so."""

    def stop(run: psutil.Process) -> None:
        found = [child for child in run.children(recursive=True) if " ".join(child.cmdline()).rstrip().endswith(title)]
        assert found, f"no child is called {title}"
        found[0].suspend()

    return stop


def passing(ended: Ended) -> None:
    assert ended.code == 0, ended.said
    assert {row["result"] for row in ended.verdict["rows"]} == {"PASS"}


@pytest.mark.long
def test_without_continue_the_components_receiver_is_never_told(drill: Drill) -> None:
    """critical's `continue` removed: the search ends there."""
    ended = drill.change("alertmanager.yml", "      continue: true\n", "").run()
    assert_fails(ended, "notify", "worker-alerts", "never notified", "no route")
    assert ended.results("notify", "critical-alerts") == {"PASS"}


@pytest.mark.long
def test_a_misspelt_severity_never_reaches_the_critical_receiver(drill: Drill) -> None:
    """Prometheus and Alertmanager accept `critcal`; nobody gets up."""
    drill.change("prometheus_alerts.yml", "severity: critical", "severity: critcal")
    ended = drill.run()
    assert_fails(ended, "notify", "critical-alerts", "never notified", "no route")
    assert ended.results("notify", "worker-alerts") == {"PASS"}


@pytest.mark.long
def test_a_template_that_fails_to_render_fails_content_or_notify(drill: Drill) -> None:
    """amtool's check accepts it; 0.25 then mails an empty body, newer ones mail nothing."""
    broken = MAIL_OF_WORKER_ALERTS.replace('{{ template "insa.html" . }}', '{{ template "insa.html" .Alerts.Nothing }}')
    ended = drill.change("alertmanager.yml", MAIL_OF_WORKER_ALERTS, broken).run()
    assert ended.code == 1, ended.said
    assert "FAIL" in ended.results("content", "worker-alerts") | ended.results("notify", "worker-alerts")
    assert ended.results("notify", "critical-alerts") == {"PASS"}


@pytest.mark.parametrize("status", [500, pytest.param(400, marks=pytest.mark.long)])
def test_a_webhook_that_refuses_has_not_been_told(drill: Drill, status: int) -> None:
    """What a receiver answers with an error has not been heard: the hop fails, with the status that it gave.

    After a 500 Alertmanager tries again for up to 10 real seconds, so it may be told late in place of never; its
    group says nothing new meanwhile, so only notify is asked about.
    """
    ended = drill.play(answering(f"{{status: {status}}}"), EXPECT).run()
    assert_fails(ended, "notify", "critical-alerts (webhook)", "refused it", f"with {status}")
    assert ended.results("notify", "email") == {"PASS"}


@pytest.mark.long
def test_a_webhook_that_answers_slowly_has_been_told(drill: Drill) -> None:
    """The notice was there in time, whatever its receiver did then."""
    passing(drill.play(answering("{delay: 15s}"), EXPECT).run())


@pytest.mark.long
def test_scrapes_that_never_end_in_time_hide_the_fault(drill: Drill) -> None:
    """A metrics page that hangs longer than the scrape's time-out: the alert does not come, and no rule is to blame.

    One scrape may still show the fault before the page hangs; then the alert becomes pending, and nothing more.
    """
    ended = drill.run(when="step kill begins", do=pause("metrics"))
    assert ended.code == 3, ended.said
    assert "FAIL" not in {row["result"] for row in ended.verdict["rows"]}
    way = [row for hop in ("detect", "hold") for row in ended.rows(hop) if row["result"] == "UNKNOWN"]
    assert any("stood still" in row["reason"] for row in way), ended.said


@pytest.mark.long
def test_a_second_member_joins_a_live_group_and_is_told_at_its_tick(drill: Drill) -> None:
    """The second dead worker's group at critical-alerts has notified before: within group_interval, not group_wait."""
    drill.change("prometheus_alerts.yml", "        for: 2m\n", "        for: 3h\n")
    second = KILL.replace("as: kill", "as: second")
    steps = f"{KILL}  - wait: {{alert: WorkerUnhealthy, state: notified}}\n{second}  - wait: settled\n"
    ended = drill.play(steps, EXPECT + EXPECT.replace("from: kill", "from: second")).run()
    passing(ended)
    assert len(ended.rows("notify")) == 6
    late = [row for row in ended.rows("notify", "critical-alerts") if row["allowed"][1] > 100]
    assert len(late) == 2


@pytest.mark.long
def test_the_same_alert_twice_within_a_quarter_of_an_hour_finds_its_group_lingering(drill: Drill) -> None:
    """Resolved alerts are sent again for 15 real minutes: the second notice comes at the group's tick."""
    again = KILL.replace("as: kill", "as: again").replace("count: 1", "name: worker-2")
    first = KILL.replace("count: 1", "name: worker-2")
    steps = f"{first}  - wait: settled\n  - undo: kill\n  - wait: settled\n{again}  - wait: settled\n"
    expect = f"{EXPECT}    until: undo-kill\n" + EXPECT.replace("from: kill", "from: again")
    ended = drill.play(steps, expect).run()
    passing(ended)
    assert {row["to"] for row in ended.rows("notify")} == ALL_RECEIVERS
    assert all(row["allowed"][0] == 0 for row in ended.rows("notify")[3:])


RESTART = f"""{KILL}  - wait: {{alert: WorkerUnhealthy, state: pending}}
  - inject: monitoring.kill
    as: outage
    target: {{equipment: prometheus}}
  - wait: 15s
  - undo: outage
  - wait: settled
"""


def test_a_restart_of_prometheus_is_refused_where_compressed_time_would_falsify_it(drill: Drill) -> None:
    """At 60x it would evaluate long before it scrapes: exit 2, with the largest scale, before anything starts."""
    drill.play(RESTART, EXPECT)
    run = subprocess.run(
        [sys.executable, "-m", "chaoskit", "run", drill.scenario, "--out", str(drill.out)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "monitoring.kill on prometheus is not faithful at scale 60" in run.stderr
    assert "--time-scale 2.5 or less" in run.stderr
    assert not drill.out.exists()


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_a_restart_of_prometheus_while_pending_makes_the_alert_start_over(drill: Drill) -> None:
    """Rules with `for` under 10 minutes are not restored: the phone rings later than promised, counted from the fault.

    Prometheus counts pending anew, so hold itself is kept; what is late is seen from the fault.
    """
    ended = drill.play(RESTART, EXPECT).run(
        "--time-scale", "2.5", "--set", "limits.fault=20m", "--set", "limits.run=40m", longest_s=900
    )
    assert ended.code == 1, ended.said
    assert "FAIL" in ended.results("detect") | ended.results("hold"), ended.said
