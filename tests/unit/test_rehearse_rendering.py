"""Templates that fail only once an alert is in hand: whose they are is read from the programs' own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.hop import Hop
from chaoskit.rehearse.outcome import judge_wave
from chaoskit.rehearse.rendering import NOTHING, Unrendered, unrendered
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import plan_of
from tests.rehearse_examples import KEPT
from tests.rehearse_examples import config as config

# As Prometheus 2.42 and Alertmanager 0.25 write them.
PROMETHEUS = (
    'ts=2026-11-26T12:54:32.964Z caller=alerting.go:368 level=warn component="rule manager" '
    'alert="unsupported value type" msg="Expanding alert template failed" err="error executing template '
    r"__alert_OrdersPileUp: template: __alert_OrdersPileUp:1:115: executing \"__alert_OrdersPileUp\" at "
    r'<humanizeDuration \"x\">: error calling humanizeDuration: invalid syntax" data="unsupported value type"'
)
ALERTMANAGER = (
    "ts=2026-11-26T12:55:08.985Z caller=dispatch.go:352 level=error component=dispatcher "
    'msg="Notify for alerts failed" num_alerts=1 err="team-chat/slack[0]: notify retry canceled due to unrecoverable '
    r'error after 1 attempts: template: :1:16: executing \"\" at <.CommonLabels.a.b>: no such field"'
)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "prometheus.log").write_text(f"level=info msg=ready\n{PROMETHEUS}\n{PROMETHEUS}\n", encoding="utf-8")
    (tmp_path / "alertmanager.log").write_text(f"{ALERTMANAGER}\n", encoding="utf-8")
    return tmp_path


def test_the_logs_say_whose_template_failed_and_where_in_it(logs: Path) -> None:
    found = unrendered(logs)
    assert set(found.alerts) == {"OrdersPileUp"}
    assert 'at <humanizeDuration "x">' in found.alerts["OrdersPileUp"]
    assert set(found.doors) == {("team-chat", "slack")}
    assert "<.CommonLabels.a.b>" in found.doors["team-chat", "slack"]


def test_logs_without_complaints_or_no_logs_at_all_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "prometheus.log").write_text("level=info msg=ready\n", encoding="utf-8")
    assert unrendered(tmp_path) == unrendered(tmp_path / "none") == NOTHING


def test_an_alert_whose_own_template_fails_does_not_pass_and_its_place_is_named() -> None:
    plan = plan_of(KEPT.header)
    name = plan.alerts[0].rule.alert
    assert all(row.result is Result.PASS for row in judge_wave(KEPT, plan, "wave")[2].rows)
    found, _, verdict = judge_wave(KEPT, plan, "wave", "", None, Unrendered({name: "template: no such field"}))
    (failed,) = [row for row in verdict.rows if row.result is not Result.PASS]
    assert (failed.result, failed.hop) == (Result.FAIL, "content")
    assert str(plan.alerts[0].rule.place) in failed.reason
    assert found[name].result is Result.FAIL


def test_a_notice_that_was_given_up_says_which_template_and_one_that_came_is_left_alone() -> None:
    config = plan_of(KEPT.header).config
    receiver = next(iter(config.receivers))
    broken = Unrendered(doors={(receiver, "email"): "template: no such field"})
    never = Row(about="A", hop=Hop.NOTIFY, to=f"{receiver} (email)", result=Result.FAIL, reason="was never notified")
    came = Row(about="A", hop=Hop.NOTIFY, to=f"{receiver} (webhook)", result=Result.FAIL, reason="late")
    first, second = broken.rows([never, came], config)
    assert "template: no such field" in first.reason
    assert str(config.receivers[receiver].place) in first.reason
    assert second == came
