"""A rehearsal is judged by the verifier alone, on what its history holds: scrapes, waiting, templates, unit tests."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaoskit.alerting.model import LOST_TEMPLATES
from chaoskit.errors import BadInput
from chaoskit.events import AlertState, AnyEvent, Notice, Pressure, Scrapes, Suppression, encode
from chaoskit.history import History, parse_history
from chaoskit.hop import Hop
from chaoskit.observe import pressure
from chaoskit.observe.pressure import Readings
from chaoskit.rehearse.outcome import judge_wave
from chaoskit.rehearse.target import failed_lines
from chaoskit.verify.case import Case, Templates
from chaoskit.verify.excuses import MOST_S
from chaoskit.verify.verdict import Result, Verdict, to_json
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import Truth, mapped, recorded, results, told
from tests.rehearse_examples import KEPT, as_wave

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
ALERT = "WorkerUnhealthy"

# As Prometheus 2.42 and Alertmanager 0.25 write them.
PROMETHEUS = (
    'ts=2026-11-26T12:54:32.964Z caller=alerting.go:368 level=warn component="rule manager" '
    'alert="unsupported value type" msg="Expanding alert template failed" err="error executing template '
    r"__alert_WorkerUnhealthy: template: __alert_WorkerUnhealthy:1:115: executing \"__alert_WorkerUnhealthy\" at "
    r'<humanizeDuration \"x\">: error calling humanizeDuration: invalid syntax" data="unsupported value type"'
)
ALERTMANAGER = (
    "ts=2026-11-26T12:55:08.985Z caller=dispatch.go:352 level=error component=dispatcher "
    'msg="Notify for alerts failed" num_alerts=1 err="worker-alerts/email[0]: notify retry canceled due to '
    r'unrecoverable error after 1 attempts: template: :1:16: executing \"\" at <.CommonLabels.a.b>: no such field"'
)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "prometheus.log").write_text(f"level=info msg=ready\n{PROMETHEUS}\n{PROMETHEUS}\n", encoding="utf-8")
    (tmp_path / "alertmanager.log").write_text(f"{ALERTMANAGER}\n", encoding="utf-8")
    return tmp_path


def without(history: History, *kinds: type) -> History:
    return mapped(history, lambda event: None if isinstance(event, kinds) else event)


def said(verdict: Verdict, hop: Hop, to: str = "") -> str:
    return " ".join(row.reason for row in verdict.rows if row.hop is hop and to in row.to)


def test_a_rehearsal_has_no_load_and_does_not_judge_when_a_condition_shows() -> None:
    hops = {row.hop for row in verify(as_wave(KEPT)).rows}
    assert {"hold", "notify", "clear", "all-clear"} <= hops
    assert not hops & {"load", "detect"}
    assert not results(verify(as_wave(told(Truth(pending_vs=90.0)))), "detect")


def test_a_script_that_does_not_make_its_alert_fire_is_our_failure_not_the_rules() -> None:
    verdict = verify(as_wave(without(told(Truth()), AlertState, Notice)))
    assert results(verdict, "detect") == {UNKNOWN}
    assert "did not make the alert fire" in said(verdict, Hop.DETECT)
    assert FAIL not in {row.result for row in verdict.rows}


@pytest.mark.parametrize(
    ("truth", "hop"),
    [(Truth(held_vs=120.0), "hold"), (Truth(cleared_vs=120.0), "clear"), (Truth(all_clear_vs=500.0), "all-clear")],
    ids=["hold", "clear", "all-clear"],
)
@pytest.mark.parametrize("failed", [True, None, False])
def test_a_scrape_that_failed_excuses_what_comes_at_the_wrong_time(truth: Truth, hop: str, failed: bool | None) -> None:
    verdict = verify(as_wave(told(truth), Scrapes(during=(0.0, 1.0), failed=failed)))
    assert results(verdict, hop) == {FAIL if failed is False else UNKNOWN}
    assert ("of the series" in said(verdict, Hop(hop))) is (failed is not False)


def test_a_wrong_content_is_not_excused_by_a_failed_scrape() -> None:
    empty = recorded("mail-empty")
    verdict = verify(as_wave(empty, Scrapes(during=(0.0, 1.0), failed=True)))
    assert FAIL in results(verdict, "content")


def waiting(history: History, share: float) -> Pressure:
    """A machine on which programs wait for this share of the time, over the whole history, as it is read."""
    stalled = [0.0]
    found, begun = Readings(lambda: stalled[0]), history.events[0].t
    for n in range(int((history.last_t - begun) / 0.05)):
        stalled[0] = n * 0.05 * share
        found.read(begun + n * 0.05)
    return Pressure(readings=found.readings(begun, history.last_t))


@pytest.mark.parametrize(
    ("late_vs", "share", "wanted"),
    [(10.0, 0.9, UNKNOWN), (10.0, 0.0, FAIL), (10.0, 0.01, FAIL), (MOST_S * 60 + 10, 1.0, FAIL)],
    ids=["explained", "never waited", "calm", "longer than any machine"],
)
def test_lateness_is_unknown_only_where_waiting_for_a_core_explains_it(
    late_vs: float, share: float, wanted: Result
) -> None:
    history = told(Truth(notified_vs={("critical-alerts", "email"): 0.0, ("critical-alerts", "webhook"): 0.0,
                                      ("worker-alerts", "email"): late_vs}))  # fmt: skip
    verdict = verify(as_wave(history, waiting(history, share)))
    assert results(verdict, "notify", "worker-alerts") == {wanted}
    assert results(verdict, "notify", "critical-alerts") == {PASS}


def test_readings_leave_out_equal_sums_and_hold_the_one_before() -> None:
    sums = iter([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0])
    found = Readings(lambda: next(sums))
    for n in range(7):
        found.read(float(n))
    assert found.readings(1.0, 6.0) == [(1.0, 0.0), (2.0, 0.0), (3.0, 1.0), (5.0, 1.0), (6.0, 2.0)]
    assert found.readings(4.5, 4.6) == [(4.0, 1.0), (5.0, 1.0)]
    assert Readings(lambda: None).readings(0.0, 9.0) == []


def test_where_the_kernel_keeps_no_sum_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "_FILE", Path("/nonexistent"))
    found = Readings()
    found.read(1.0)
    assert found.readings(0.0, 2.0) == []


def test_the_logs_say_whose_template_failed_and_where_in_it(logs: Path) -> None:
    lines = list(failed_lines(logs))
    assert [line.source for line in lines] == ["prometheus", "alertmanager"]
    found = Templates(lines)
    assert set(found.alerts) == {ALERT}
    assert 'at <humanizeDuration "x">' in found.alerts[ALERT]
    assert set(found.doors) == {("worker-alerts", "email")}
    assert "<.CommonLabels.a.b>" in found.doors["worker-alerts", "email"]


def test_logs_without_complaints_or_no_logs_at_all_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "prometheus.log").write_text("level=info msg=ready\n", encoding="utf-8")
    assert list(failed_lines(tmp_path)) == list(failed_lines(tmp_path / "none")) == []
    assert Templates([]).alerts == Templates([]).doors == {}


def test_an_alert_whose_own_template_fails_does_not_pass_and_its_place_is_named(logs: Path) -> None:
    assert verify(as_wave(KEPT)).result is PASS
    verdict = verify(as_wave(KEPT, *failed_lines(logs)))
    [failed] = [row for row in verdict.rows if row.result is not PASS]
    assert (failed.result, failed.hop, failed.about) == (FAIL, "content", ALERT)
    assert str(plan_of(KEPT.header).alerts[0].rule.place) in failed.reason
    assert verdict.exit_code == 1


def test_a_template_that_fails_for_a_known_reason_is_a_note(logs: Path) -> None:
    verdict = verify(as_wave(KEPT, *failed_lines(logs), doubts={ALERT: "its value is derived"}))
    assert verdict.result is PASS
    assert f"{ALERT}: a template of its rule failed here, but its value is derived" in verdict.notes


def test_a_notice_that_was_given_up_says_which_template_and_one_that_came_is_left_alone(logs: Path) -> None:
    deaf = mapped(told(Truth()), lambda e: None if isinstance(e, Notice) and e.receiver == "worker-alerts" else e)
    verdict = verify(as_wave(deaf, *failed_lines(logs)))
    place = plan_of(deaf.header).config.receivers["worker-alerts"].place
    reason = said(verdict, Hop.NOTIFY, "worker-alerts (email)")
    assert "was never notified" in reason
    assert "its template fails: template: :1:16: executing" in reason
    assert f"({place})" in reason
    assert results(verdict, "notify", "critical-alerts") == {PASS}


def test_a_template_that_fails_where_a_file_of_them_could_not_be_read_is_unknown(logs: Path) -> None:
    deaf = mapped(told(Truth()), lambda e: None if isinstance(e, Notice) and e.receiver == "worker-alerts" else e)
    sources = {**deaf.header.sources, "unread:gone.tmpl": f"0\ncannot be read: it is a FIFO; {LOST_TEMPLATES}\n"}
    lost = dataclasses.replace(deaf, header=msgspec.structs.replace(deaf.header, sources=sources))
    assert results(verify(as_wave(lost)), "notify") == {PASS, FAIL}, "no template failed"
    verdict = verify(as_wave(lost, *failed_lines(logs)))
    assert results(verdict, "notify", "worker-alerts (email)") == {UNKNOWN}
    assert "gone.tmpl: cannot be read: it is a FIFO" in said(verdict, Hop.NOTIFY, "worker-alerts (email)")


def test_what_another_alert_muted_on_the_same_series_is_unknown_and_names_it() -> None:
    history = without(told(Truth()), Notice)
    firing = next(event for event in history.of(AlertState) if event.state == "firing")
    muted = Suppression(
        labels=firing.labels, state="suppressed", inhibited_by=[{"alertname": "AllDown"}], silenced_by=[],
        receivers=[], seen=(firing.at, firing.at), t=firing.t,
    )  # fmt: skip
    assert results(verify(as_wave(history)), "notify") == {FAIL}
    verdict = verify(as_wave(history, muted))
    assert results(verdict, "notify") == {UNKNOWN}
    assert "the alert was muted by AllDown, which fired on the same series" in said(verdict, Hop.NOTIFY)
    assert FAIL not in {row.result for row in verdict.rows}


def test_a_receiver_without_integration_breaks_only_what_is_owed() -> None:
    """What merely the configuration's routes lead to it is told to nobody, and that is only said."""
    source = "alertmanager:alertmanager.yml"
    header = KEPT.header
    text = re.sub(r"(- name: worker-alerts\n)(?:    .*\n|\n)*", r"\1", header.sources[source])
    assert text != header.sources[source]
    sources = {**header.sources, source: text}
    deaf = dataclasses.replace(KEPT, header=msgspec.structs.replace(header, sources=sources))
    deaf = mapped(deaf, lambda e: None if isinstance(e, Notice) and e.receiver == "worker-alerts" else e)
    [alert] = plan_of(deaf.header).alerts
    assert FAIL in results(verify(as_wave(deaf, owed=[alert.id])), "notify")
    assert results(verify(as_wave(deaf)), "notify") == {PASS}


def test_only_the_rules_of_the_wave_are_planned_with() -> None:
    """Two rules of one name in different waves are no riddle."""
    plan = plan_of(KEPT.header)
    rule = plan.alerts[0].rule
    again = AGAIN.format(ALERT, ", ".join(f"{key}: {value}" for key, value in rule.labels.items()))
    header = msgspec.structs.replace(KEPT.header, sources={**KEPT.header.sources, "rules:again.yml": again})
    twice = dataclasses.replace(KEPT, header=header)
    with pytest.raises(BadInput, match=f"2 rules are called {ALERT}"):
        plan_of(header)
    others = [one.key for one in plan.config.rules if one.alert and one.alert != ALERT]
    wave = as_wave(twice, rules=[rule.key, *others])
    assert plan_of(wave.header).alerts[0].rule == rule
    assert to_json(verify(wave)) == to_json(verify(as_wave(KEPT)))


AGAIN = "groups: [{{name: again, rules: [{{alert: {}, expr: up == 0, for: 9m, labels: {{{}}}}}]}}]\n"


def test_a_history_in_a_file_gives_the_verdict_of_the_rehearsal(tmp_path: Path, logs: Path) -> None:
    """What it is judged by is in the file, and nothing else is asked."""

    more: list[AnyEvent] = [*failed_lines(logs), Scrapes(during=(0.0, 1.0), failed=None)]
    for name in ("kept", "notified-late", "never-detected", "fault-lapsed", "told-to-others"):
        for events in ([], more):
            wave = as_wave(recorded(name), *events, doubts={}, late_vs=60.0)
            read = parse_history(b"".join(encode(event) + b"\n" for event in wave.events), "wave.jsonl")
            verdict, outcomes, _ = judge_wave(Case(wave, plan_of(wave.header)), "wave")
            assert to_json(verify(read)) == to_json(verdict)
            worst: Any = {one.result for one in outcomes.values()}
            assert worst <= {row.result for row in verdict.rows}


def test_a_rule_that_cannot_be_read_leaves_no_drill_in_doubt_that_does_not_rest_on_it() -> None:
    """A rehearsal plays without it and says so once; a run would have Prometheus refuse the file."""
    for name, in_a_wave in (("Unreadable", {PASS}), (ALERT, {PASS, UNKNOWN})):
        text = f"groups: [{{name: g, rules: [{{alert: {name}, expr: x, for: soon}}]}}]\n"
        header = msgspec.structs.replace(KEPT.header, sources={**KEPT.header.sources, "rules:broken.yml": text})
        run = dataclasses.replace(KEPT, header=header, events=(header, *KEPT.events[1:]))
        assert said(verify(run), Hop.CONFIGURATION)
        verdict = verify(as_wave(run))
        assert {row.result for row in verdict.rows} == in_a_wave
        assert bool(said(verdict, Hop.CONFIGURATION)) == (UNKNOWN in in_a_wave)
