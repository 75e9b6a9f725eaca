"""Each of the eight documented questions has an answer of its own, and each can be answered with no.

Whoever was blind does not know; what nobody was promised is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

import msgspec
import pytest

from chaoskit.events import AnyEvent, Notice, NoticedAlert, Poll, Suppression
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.report.checklist import lines, marks
from chaoskit.verify import verify as judging
from chaoskit.verify.case import Instance
from chaoskit.verify.check import Check, Strict, broken
from chaoskit.verify.checklist import ITEMS
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import judge_all
from tests.golden.doctored import Change, Truth, mapped, recorded, told

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN


def answers(history: History) -> Mapping[str, Result | None]:
    (one,) = judge_all(history)[1]
    return one.answers


def reasons(verdict: Verdict, hop: str) -> str:
    return " ".join(row.reason for row in verdict.rows if row.hop == hop and row.result is FAIL)


def notices(change: object) -> Change:
    """A change of notices only."""

    def apply(event: AnyEvent) -> AnyEvent | None:
        return change(event) if isinstance(event, Notice) else event  # type: ignore[operator, no-any-return]

    return apply


def test_a_run_that_kept_everything_answers_eight_times_yes() -> None:
    checklists = judge_all(told(Truth()))[1]
    assert [dict(one.answers) for one in checklists] == [dict.fromkeys(ITEMS, PASS)]
    assert marks(checklists) == "++++++++"
    assert lines(checklists)[0].startswith("WorkerUnhealthy worker-1: pending pass, firing pass, received pass")


def test_an_instance_has_one_checklist_and_its_rows_together_wherever_its_checks_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def planted(one: Instance) -> Iterator[Strict]:
        yield broken(Hop.CLEAR, one.about, "planted")

    checks = [*judging.CHECKS, Check("planted", Instance, planted)]
    for order in (checks, checks[::-1]):
        monkeypatch.setattr(judging, "CHECKS", order)
        verdict, (one,) = judge_all(told(Truth()))
        assert one.answers["resolved"] is FAIL
        assert [about for about, _ in groupby(row.about for row in verdict.rows)].count(one.about) == 1


@pytest.mark.parametrize(
    ("golden", "item"),
    [
        ("never-detected", "pending"),
        ("held-too-long", "firing"),
        ("never-notified", "mailed"),
        ("mail-empty", "html"),
        ("never-cleared", "resolved"),
        ("never-all-clear", "all-clear"),
    ],
)
def test_a_recorded_run_that_broke_one_promise_answers_no_to_its_question(golden: str, item: str) -> None:
    assert answers(recorded(golden))[item] is FAIL


def test_a_mail_to_others_did_not_reach_the_right_people_and_its_html_is_right_all_the_same() -> None:
    def astray(notice: Notice) -> Notice:
        return msgspec.structs.replace(notice, recipients=["nobody@example.org"]) if notice.recipients else notice

    found = answers(mapped(told(Truth()), notices(astray)))
    assert (found["mailed"], found["html"]) == (FAIL, PASS)


def nobody_heard(event: AnyEvent) -> AnyEvent | None:
    return None if isinstance(event, Notice | Suppression) else event


def test_an_alert_that_alertmanager_never_had_was_not_received() -> None:
    verdict, (one,) = judge_all(mapped(told(Truth(undo_vs=300.0)), nobody_heard))
    assert one.answers["received"] is FAIL
    assert one.answers["grouped"] is UNKNOWN
    assert "never had it" in reasons(verdict, "received")


def test_whether_it_was_received_is_unknown_where_nobody_asked_alertmanager() -> None:
    def blind(event: AnyEvent) -> AnyEvent | None:
        asked = isinstance(event, Poll) and event.source == "alertmanager"
        return None if asked else nobody_heard(event)

    verdict, (one,) = judge_all(mapped(told(Truth(undo_vs=300.0)), blind))
    assert one.answers["received"] is UNKNOWN
    assert not reasons(verdict, "received")


def test_a_webhook_of_another_group_is_not_grouped_as_configured() -> None:
    def regrouped(notice: Notice) -> Notice:
        key = notice.group_key.replace(', component=\\"worker\\"', "").replace(', component="worker"', "")
        return msgspec.structs.replace(notice, group_key=key)

    verdict, (one,) = judge_all(mapped(told(Truth()), notices(regrouped)))
    assert one.answers["grouped"] is FAIL
    assert "governed by group_by: alertname, component, severity" in reasons(verdict, "grouped")


def stranger(notice: Notice, **labels: str) -> NoticedAlert:
    return msgspec.structs.replace(notice.alerts[0], labels={**notice.alerts[0].labels, **labels})


def test_a_mail_that_lists_an_alert_of_another_group_is_not_grouped_as_configured() -> None:
    def mixed(notice: Notice) -> Notice:
        more = stranger(notice, alertname="WorkerHighQueueDepth")
        return msgspec.structs.replace(notice, alerts=[*notice.alerts, more])

    verdict, (one,) = judge_all(mapped(told(Truth()), notices(mixed)))
    assert one.answers["grouped"] is FAIL
    assert "told together with WorkerHighQueueDepth" in reasons(verdict, "grouped")


def test_a_notice_without_an_alert_of_its_group_that_alertmanager_had_long_before_is_not_whole() -> None:
    """Another worker's alert was shown as active from before the first evaluation on, and no notice lists it."""
    history = told(Truth())
    shown = next(history.of(Suppression))
    labels = {**shown.labels, "worker_name": "worker-2"}
    early = history.events[0].t
    other = msgspec.structs.replace(shown, labels=labels, state="active", seen=(early, early))

    def with_other(event: AnyEvent) -> AnyEvent | None:
        return other if event is shown else event

    verdict, (one,) = judge_all(mapped(history, with_other))
    assert one.answers["grouped"] is FAIL
    assert "told without WorkerUnhealthy" in reasons(verdict, "grouped")


def test_an_alert_that_joined_just_before_the_notice_may_be_missing_from_it() -> None:
    history = told(Truth())
    shown = next(history.of(Suppression))
    heard = next(history.of(Notice)).sent[0]
    labels = {**shown.labels, "worker_name": "worker-2"}
    late = msgspec.structs.replace(shown, labels=labels, state="active", seen=(heard - 0.2, heard - 0.1))

    def with_late(event: AnyEvent) -> AnyEvent | None:
        return late if event is shown else event

    assert answers(mapped(history, with_late))["grouped"] is PASS
