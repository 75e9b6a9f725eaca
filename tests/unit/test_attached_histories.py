"""Histories of attached targets: what a witness shows is judged, what nobody shows is UNKNOWN, what others do is said.

Each is a recorded run told as if its target had been attached: one witness a receiver in place of every sink.
"""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from chaoskit.events import AlertState, AnyEvent, Equipment, Header, Notice, Poll, Suppression, Watch
from chaoskit.history import History
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import Truth, failed, instant, mapped, results, told, with_events, without

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
WITNESS = "witness: 'http://127.0.0.1:9765', "
EXPECTED = "WorkerUnhealthy"
WAIVED = "waive: [critical-alerts/email, critical-alerts/webhook, worker-alerts/email]"
EVERYTHING = (
    "waive: [default-receiver/email, critical-alerts/email, critical-alerts/webhook, worker-alerts/email, "
    "database-alerts/email, circuit-breaker-alerts/email, dlq-alerts/email, infrastructure-alerts/email]"
)
PROFILE = """chaoskit: 1
target: {{attached: {{prometheus: 'http://p', alertmanager: 'http://a', metrics: 'http://m', environment: staging,
  {more}}}}}
handles: {{role: {{worker: {{match: 'w (?P<name>.+)', label: worker_name}}}}}}
"""


def attached(history: History, more: str = WITNESS + WAIVED) -> History:
    """The history as an attached target with this profile tells it."""
    header = history.header
    sources = {**header.sources, f"profile:{header.profile}": PROFILE.format(more=more)}
    replaced = with_header(history, msgspec.structs.replace(header, sources=sources))
    seen = set()

    def tell(event: AnyEvent) -> AnyEvent | None:
        match event:
            case Watch(sink="mail-sink"):
                return None
            case Watch():
                return msgspec.structs.replace(event, sink="witness") if "witness" in more else None
            case Notice():
                first = (event.receiver, event.status) not in seen
                seen.add((event.receiver, event.status))
                if not first or "witness" not in more:
                    return None
                return msgspec.structs.replace(
                    event, integration="witness", index=0, alerts=_of_webhooks(history, event)
                )
            case _:
                return event

    return mapped(replaced, tell)


def with_header(history: History, header: Header) -> History:
    return dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)


def _of_webhooks(history: History, event: Notice) -> list:  # type: ignore[type-arg]
    """What a webhook says of the same alerts; mails do not carry annotations."""
    webhook = next(n for n in history.of(Notice) if n.integration == "webhook" and n.status == event.status)
    return webhook.alerts


def reasons(verdict: Verdict, hop: str) -> str:
    return " | ".join(row.reason for row in verdict.rows if row.hop == hop)


def suppressed(history: History, **by: list) -> Suppression:  # type: ignore[type-arg]
    """Alertmanager's word that the dead worker's alert was kept quiet from firing on."""
    labels = next(event.labels for event in history.of(AlertState) if event.state == "firing")
    firing = instant(history, "firing")
    return Suppression(
        t=firing + 0.2,
        labels=labels,
        state="suppressed",
        inhibited_by=by.get("inhibited_by", []),
        silenced_by=by.get("silenced_by", []),
        receivers=["critical-alerts"],
        seen=(firing, firing + 0.1),
        silences=dict.fromkeys(by.get("silenced_by", []), "by ops, until 2026-01-01T00:00:00Z: maintenance"),
    )


def with_event(history: History, *more: AnyEvent) -> History:
    return with_events(history, sorted([*history.events, *more], key=lambda event: event.t))


def test_what_the_witness_shows_is_judged_like_any_receiver() -> None:
    """One row a receiver, all hops PASS; the waived integrations are notes."""
    verdict = verify(attached(told(Truth())))
    assert verdict.result is PASS, [row for row in verdict.rows if row.result is not PASS]
    assert {row.to for row in verdict.rows if row.hop == "notify"} == {
        "critical-alerts (witness)",
        "worker-alerts (witness)",
    }
    assert [note for note in verdict.notes if "waived" in note] == [
        f"{name} is waived in the profile: its delivery is not checked"
        for name in ("critical-alerts/email", "critical-alerts/webhook", "worker-alerts/email")
    ]


def test_a_notice_that_the_witness_never_heard_is_a_failure() -> None:
    """The system is broken, and somebody was looking."""
    history = attached(told(Truth()))
    deaf = without(history, lambda event: isinstance(event, Notice) and event.receiver == "worker-alerts")
    verdict = verify(deaf)
    assert failed(verdict) == {("WorkerUnhealthy worker-1", "notify", "worker-alerts (witness)")}
    assert "was never notified" in reasons(verdict, "notify")


def test_a_notice_that_the_witness_heard_late_is_a_failure() -> None:
    late = Truth(notified_vs={("critical-alerts", "email"): 90.0, ("critical-alerts", "webhook"): 90.0,
                              ("worker-alerts", "email"): 0.0}, undo_vs=250.0)  # fmt: skip
    assert results(verify(attached(told(late))), "notify", "critical-alerts") == {FAIL}


def test_a_witness_that_was_away_makes_what_is_missing_unknown() -> None:
    """The same missing notice, while the witness did not answer: nobody knows."""
    history = attached(told(Truth()))
    firing = instant(history, "firing")
    away = Equipment(t=firing, name="witness", state="down", detail="no connection")
    blind = without(history, lambda e: isinstance(e, Watch | Notice) and e.t > firing)
    verdict = verify(with_event(blind, away))
    assert not failed(verdict)
    assert results(verdict, "notify") == {UNKNOWN}
    assert "witness was down from" in reasons(verdict, "notify")


def test_an_integration_that_is_not_waived_is_unknown_and_says_how_to_waive_it() -> None:
    verdict = verify(attached(told(Truth()), WITNESS + "waive: [critical-alerts/webhook, worker-alerts/email/0]"))
    assert results(verdict, "notify", "critical-alerts (email)") == {UNKNOWN}
    assert results(verdict, "notify", "(witness)") == {PASS}
    assert not results(verdict, "notify", "worker-alerts (email)")
    assert "accept it by name with waive: [critical-alerts/email]" in reasons(verdict, "notify")


def test_without_a_witness_everything_about_notices_is_unknown() -> None:
    """Detect, hold and clear stand; each integration has a row, and nothing else is known either."""
    verdict = verify(attached(told(Truth()), "label: environment"))
    assert not failed(verdict)
    assert {row.to for row in verdict.rows if row.hop == "notify" and row.result is UNKNOWN} == {
        "critical-alerts (email)",
        "critical-alerts (webhook)",
        "worker-alerts (email)",
    }
    for hop in ("detect", "hold", "clear"):
        assert results(verdict, hop) == {PASS}
    assert "the profile names no witness" in reasons(verdict, "finding")


def test_waivers_prove_nothing_without_a_witness_every_receiver_is_unknown() -> None:
    """A waiver lifts one integration, never the last that could prove a notice."""
    verdict = verify(attached(told(Truth()), EVERYTHING))
    assert verdict.result is UNKNOWN
    assert not failed(verdict)
    for hop in ("notify", "all-clear", "content"):
        assert {row.to: row.result for row in verdict.rows if row.hop == hop} == dict.fromkeys(
            ("critical-alerts", "worker-alerts"), UNKNOWN
        )
    assert "every integration of it is waived and the profile names no witness" in reasons(verdict, "notify")
    assert results(verdict, "finding") == {UNKNOWN}


def test_a_witness_beside_no_integration_is_no_person_told() -> None:
    """The witness's own entry hears of it; whoever is promised a mail does not."""
    history = attached(told(Truth()), WITNESS + "waive: [critical-alerts/email, critical-alerts/webhook]")
    text = history.header.sources["alertmanager:alertmanager.yml"]
    begin = text.index("email_configs", text.index("- name: worker-alerts"))
    end = text.index("- name:", begin)
    sources = {**history.header.sources, "alertmanager:alertmanager.yml": text[:begin] + "\n  " + text[end:]}
    verdict = verify(with_header(history, msgspec.structs.replace(history.header, sources=sources)))
    assert failed(verdict) == {("WorkerUnhealthy worker-1", "notify", "worker-alerts")}
    assert results(verdict, "notify", "worker-alerts (witness)") == {PASS}


def test_without_a_witness_the_all_clear_and_the_words_are_unknown_too() -> None:
    verdict = verify(attached(told(Truth()), "label: environment"))
    for hop in ("all-clear", "content"):
        assert {row.to: row.result for row in verdict.rows if row.hop == hop} == dict.fromkeys(
            ("critical-alerts", "worker-alerts"), UNKNOWN
        )


def test_a_silence_from_outside_is_named_with_its_maker_and_reason() -> None:
    history = without(attached(told(Truth())), lambda event: isinstance(event, Notice))
    verdict = verify(with_event(history, suppressed(history, silenced_by=["4711"])))
    assert not failed(verdict)
    assert results(verdict, "notify") == {UNKNOWN}
    assert "silence 4711 muted it (by ops, until 2026-01-01T00:00:00Z: maintenance)" in reasons(verdict, "notify")


def test_an_inhibition_by_an_alert_that_is_not_of_the_run_is_said() -> None:
    history = without(attached(told(Truth())), lambda event: isinstance(event, Notice))
    by = suppressed(history, inhibited_by=[{"alertname": "WholeSiteDown"}])
    verdict = verify(with_event(history, by))
    assert results(verdict, "notify") == {UNKNOWN}
    assert "WholeSiteDown inhibited it" in reasons(verdict, "notify")


def test_a_silence_that_ended_before_excuses_nothing() -> None:
    """Only what kept it quiet meanwhile is an excuse."""
    history = without(attached(told(Truth())), lambda event: isinstance(event, Notice))
    before = suppressed(history, silenced_by=["4711"])
    begun = instant(history, "pending") - 1
    early = msgspec.structs.replace(before, t=begun, seen=(begun - 0.1, begun))
    over = msgspec.structs.replace(early, t=begun + 0.2, seen=(begun, begun + 0.1), state="active", silenced_by=[])
    assert results(verify(with_event(history, early, over)), "notify") == {FAIL}


def test_a_silence_on_a_target_of_our_own_is_a_failure_as_ever() -> None:
    """Nobody else works there, so nobody hearing of it is the configuration's doing."""
    history = without(told(Truth()), lambda event: isinstance(event, Notice))
    assert results(verify(with_event(history, suppressed(history, silenced_by=["4711"]))), "notify") == {FAIL}


def other(history: History, name: str, at: float) -> AlertState:
    return AlertState(
        t=at + 0.05, labels={"alertname": name, "team": "other"}, state="firing", at=at, previous=at - 0.25
    )


def test_alerts_of_others_are_said_and_fail_nothing() -> None:
    """Before the first step or under way; on a target of our own the same alert is a finding."""
    history = attached(told(Truth()))
    during = other(history, "OtherTeamsTrouble", instant(history, "firing"))
    before = other(history, "AlwaysThere", instant(history, "pending") - 5)
    verdict = verify(with_event(history, during, before))
    assert verdict.result is PASS
    assert [note for note in verdict.notes if "no rule of this configuration" in note] == [
        "firing already when the run began, of no rule of this configuration: AlwaysThere",
        "fired under way, of no rule of this configuration: OtherTeamsTrouble",
    ]
    assert results(verify(with_event(told(Truth()), during)), "finding") == {FAIL}


def test_an_alert_of_the_configuration_that_nobody_expected_is_still_a_finding() -> None:
    history = attached(told(Truth()))
    at = instant(history, "firing")
    plan = plan_of(history.header)
    rule = next(one for one in plan.config.rules if one.alert and not plan.allowed(one.alert) and one.alert != EXPECTED)
    labels = {**rule.labels, "alertname": rule.alert}
    verdict = verify(with_event(history, msgspec.structs.replace(other(history, "x", at), labels=labels)))
    assert results(verdict, "finding") == {FAIL}
    assert "neither expects nor allows" in reasons(verdict, "finding")


@pytest.mark.parametrize("ahead_s", [-3.0, 3.0])
def test_three_seconds_between_the_clocks_are_taken_out_where_they_were_measured(ahead_s: float) -> None:
    """Three seconds are 180 virtual ones here: measured, every hop passes; believed to be none, nothing does."""
    measured = Truth(ahead_s=ahead_s, measured=(ahead_s - 0.001, ahead_s + 0.001))
    assert verify(attached(told(measured))).result is PASS
    assert verify(attached(told(Truth(ahead_s=ahead_s, measured=(0.0, 0.0))))).result is not PASS


def test_a_group_that_had_notified_before_the_run_speaks_at_its_next_tick() -> None:
    """The same late notice: told of an earlier alert in the group it is on time, else it is late."""
    late = Truth(notified_vs={("critical-alerts", "email"): 80.0, ("critical-alerts", "webhook"): 80.0,
                              ("worker-alerts", "email"): 0.0}, undo_vs=250.0)  # fmt: skip
    history = attached(told(late))
    labels = next(event.labels for event in history.of(AlertState))
    header = msgspec.structs.replace(history.header, lingering=[labels])
    assert results(verify(history), "notify", "critical-alerts") == {FAIL}
    assert results(verify(with_header(history, header)), "notify", "critical-alerts") == {PASS}


def test_no_load_of_ours_is_no_gap() -> None:
    """A profile without load has no load verdict; with load, a generator that said nothing is UNKNOWN."""
    assert not results(verify(attached(told(Truth()))), "load")


def test_looks_at_alertmanager_still_count() -> None:
    assert any(isinstance(event, Poll) and event.source == "alertmanager" for event in attached(told(Truth())).events)
