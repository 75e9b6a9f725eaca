"""Histories in which recorder, mailbox and chat saw an attached target's notices: each proves its integration, each can
be blind, and where two of them differ nobody knows.

Each is a recorded run told as if its target had been attached, its sinks' notices as such a witness would have them.
"""

from __future__ import annotations

import msgspec
import pytest

from chaoskit.events import AnyEvent, Deliveries, Equipment, Notice, Watch
from chaoskit.history import History
from chaoskit.report.text import shown
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import verify
from tests.golden.doctored import Truth, failed, instant, mapped, results, told, without
from tests.unit.test_attached_histories import (
    PROFILE,
    WAIVED,
    WITNESS,
    _of_webhooks,
    attached,
    reasons,
    with_event,
    with_header,
)

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
RECORDER = "recorder: /var/lib/events.jsonl"
NAME = "critical-alerts/email"
BOX = f"mailbox {NAME}"
MAILBOX = f"mailboxes: {{{NAME}: {{maildir: /var/mail, delay: 1s}}}}"
CHAT = "chat worker-alerts/email"
MAIL = """<html><body>[1] {status} alertname = WorkerUnhealthy<br>worker_name = worker-1<br>
<a href="https://github.com/">{runbook}</a></body></html>"""


def recorded(history: History, more: str = RECORDER) -> History:
    """As Alertmanager's recorder has every delivery, with a profile that says so."""
    header = history.header
    sources = {**header.sources, f"profile:{header.profile}": PROFILE.format(more=more)}

    def tell(event: AnyEvent) -> AnyEvent | None:
        match event:
            case Watch(sink="mail-sink"):
                return None
            case Watch():
                return msgspec.structs.replace(event, sink="recorder")
            case Notice():
                alerts = _of_webhooks(history, event)
                return msgspec.structs.replace(
                    event, by="recorder", alerts=alerts, html="", text="", subject="", recipients=[], sender=""
                )
            case _:
                return event

    return mapped(with_header(history, msgspec.structs.replace(header, sources=sources)), tell)


def far(history: History, by: str, door: tuple[str, str], late_s: float = 0.0, **changes: object) -> History:
    """The same with what a mailbox or chat had of one integration besides."""
    mails = {id(event): event for event in history.of(Notice) if event.sink_key[:2] == door}
    spans = list(history.of(Watch))
    own = []
    for mail in mails.values():
        body = MAIL.format(status=mail.status.title(), runbook=_runbook(mail))
        came = {"arrived": (mail.sent[1] + late_s, mail.sent[1] + late_s + 0.01)} if by.startswith("mailbox") else {}
        subject = f"[{mail.status.upper()}:1] WorkerUnhealthy" if by.startswith("mailbox") else ""
        seen = {"by": by, "alerts": [], "html": body, "subject": subject, **came, **changes}
        if by.startswith("chat"):
            seen |= {"html": "", "text": f"[{mail.status.upper()}:1] WorkerUnhealthy worker-1"}
            seen["sent"] = tuple(at + late_s for at in mail.sent)
        recipients = changes.get("recipients", ["w.aroca@insaing.com"])
        own.append(msgspec.structs.replace(mail, **{**seen, "recipients": recipients}))
    return with_event(history, *own, *(msgspec.structs.replace(one, sink=by) for one in spans))


def _runbook(notice: Notice) -> str:
    return " ".join(text for item in notice.alerts for text in item.annotations.values())


def without_notices(history: History, by: str, *, status: str = "") -> History:
    return without(history, lambda e: isinstance(e, Notice) and e.by == by and status in ("", e.status))


def everything(verdict: Verdict) -> list[str]:
    return [f"{row.about} {row.hop} {row.to}: {row.result} {row.reason}" for row in verdict.rows if row.result != PASS]


def test_a_recorder_proves_every_integration_without_a_waiver() -> None:
    verdict = verify(recorded(told(Truth())))
    assert verdict.result is PASS, everything(verdict)
    rows = [row for row in verdict.rows if row.hop == "notify"]
    assert {row.to for row in rows} == {"critical-alerts (email)", "critical-alerts (webhook)", "worker-alerts (email)"}
    assert {row.rests_on for row in rows} == {"the recorder"}
    assert not [note for note in verdict.notes if "waive" in note]


def test_a_delivery_that_the_recorder_has_not_is_a_failure() -> None:
    """A refused webhook, a mail whose server would not have it: no event."""
    history = recorded(told(Truth()))
    verdict = verify(without(history, lambda e: isinstance(e, Notice) and e.sink_key[:2] == ("worker-alerts", "email")))
    assert failed(verdict) == {("WorkerUnhealthy worker-1", "notify", "worker-alerts (email)")}


def test_a_late_delivery_is_a_failure() -> None:
    late = Truth(notified_vs={("critical-alerts", "email"): 90.0, ("critical-alerts", "webhook"): 0.0,
                              ("worker-alerts", "email"): 0.0}, undo_vs=250.0)  # fmt: skip
    assert results(verify(recorded(told(late))), "notify", "critical-alerts (email)") == {FAIL}


@pytest.mark.parametrize("detail", ["Alertmanager lost 3 of its events", "it is off"])
def test_a_recorder_that_lost_events_or_was_off_makes_what_is_missing_unknown(detail: str) -> None:
    history = recorded(told(Truth()))
    firing = instant(history, "firing")
    blind = without(history, lambda e: isinstance(e, Notice) and e.t > firing)
    down = Equipment(t=firing + 0.01, name="recorder", state="down", detail=detail)
    verdict = verify(with_event(blind, down))
    assert not failed(verdict)
    assert results(verdict, "notify") == {UNKNOWN}
    assert "recorder was down from" in reasons(verdict, "notify")
    assert detail in reasons(verdict, "notify")


def boxed(history: History, late_s: float = 0.0, **changes: object) -> History:
    return far(recorded(history, f"{RECORDER}, {MAILBOX}"), BOX, ("critical-alerts", "email"), late_s, **changes)


def test_a_row_rests_on_the_mailbox_and_says_that_the_recorder_agrees() -> None:
    verdict = verify(boxed(told(Truth())))
    assert verdict.result is PASS, everything(verdict)
    [row] = [row for row in verdict.rows if (row.hop, row.to) == ("notify", "critical-alerts (email)")]
    assert row.rests_on == f"the {BOX}, and the recorder too"
    assert shown(row) == f"10.0 s, by the {BOX}, and the recorder too"


def test_a_mail_that_took_longer_than_the_delay_is_told_so_much_later() -> None:
    """Sent in time by its Message-ID, and in the mailbox 91 virtual seconds later where 60 may pass."""
    verdict = verify(boxed(told(Truth()), late_s=2.5))
    assert results(verdict, "notify", "critical-alerts (email)") == {FAIL}
    assert results(verify(boxed(told(Truth()), late_s=0.9)), "notify", "critical-alerts (email)") == {PASS}


def test_where_mailbox_and_recorder_differ_the_row_is_unknown_and_says_how() -> None:
    lost = verify(without_notices(boxed(told(Truth())), BOX, status="firing"))
    assert results(lost, "notify", "critical-alerts (email)") == {UNKNOWN}
    assert "the recorder says that it was delivered after" in reasons(lost, "notify")
    assert "never had it" in reasons(lost, "notify")
    history = boxed(told(Truth()))
    door = ("critical-alerts", "email")
    odd = without(history, lambda e: isinstance(e, Notice) and e.by == "recorder" and e.sink_key[:2] == door)
    found = verify(odd)
    assert results(found, "notify", "critical-alerts (email)") == {UNKNOWN}
    assert "and the recorder, which was on, saw no delivery" in reasons(found, "notify")


def test_a_mailbox_that_nobody_could_read_makes_it_unknown_though_the_recorder_has_it() -> None:
    history = boxed(told(Truth()))
    firing = instant(history, "firing")
    blind = without(
        history,
        lambda e: (isinstance(e, Notice) and e.by == BOX) or (isinstance(e, Watch) and e.sink == BOX and e.t > firing),
    )
    verdict = verify(with_event(blind, Equipment(t=firing, name=BOX, state="down", detail="connection refused")))
    assert results(verdict, "notify", "critical-alerts (email)") == {UNKNOWN}
    assert "connection refused" in reasons(verdict, "notify")


def test_a_mail_to_other_people_or_without_its_runbook_fails_its_content() -> None:
    others = verify(boxed(told(Truth()), recipients=["stranger@b.c"]))
    assert ("WorkerUnhealthy worker-1", "content", "critical-alerts (email)") in failed(others)
    assert "the mail went to stranger@b.c" in reasons(others, "content")
    empty = verify(boxed(told(Truth()), html="<p>[1] Firing WorkerUnhealthy worker-1</p>"))
    assert "does not link the runbook" in reasons(empty, "content")


def chatted(late_s: float = 0.0) -> History:
    page = "{url: 'http://x', find: '(?P<time>.)(?P<status>.)(?P<text>.)'}"
    chats = f"chats: {{worker-alerts/email: {{http: {page}, delay: 1s}}}}"
    return far(recorded(told(Truth(undo_vs=400.0)), f"{RECORDER}, {chats}"), CHAT, ("worker-alerts", "email"), late_s)


def test_a_chat_shows_what_was_told_told_late_told_twice_and_not_told() -> None:
    to = "worker-alerts (email)"
    good = verify(chatted(0.1))
    assert good.result is PASS, everything(good)
    assert results(verify(chatted(3.0)), "notify", to) == {FAIL}
    history = without(
        chatted(0.1), lambda e: isinstance(e, Notice) and e.by == "recorder" and e.receiver == "worker-alerts"
    )
    assert results(verify(without_notices(history, CHAT, status="firing")), "notify", to) == {FAIL}
    twice = [n for n in chatted(0.1).of(Notice) if n.by == CHAT and n.status == "firing"]
    again = [msgspec.structs.replace(n, sent=tuple(at + 0.5 for at in n.sent), t=n.t + 0.5) for n in twice]
    verdict = verify(with_event(chatted(0.1), *again))
    assert FAIL in results(verdict, "finding")
    assert "was notified of the same again" in reasons(verdict, "finding")


def counted(history: History, *looks: tuple[float, dict[str, float] | None]) -> History:
    begin, end = history.events[0].t, history.last_t
    events = [
        Deliveries(
            t=begin + part * (end - begin), seen=(begin + part * (end - begin),) * 2, failed=failed, detail="403"
        )
        for part, failed in looks
    ]
    return with_event(history, *events)


WITH_WITNESS = WITNESS + WAIVED


def test_notifications_given_up_fail_even_where_they_are_waived() -> None:
    history = attached(told(Truth()), WITH_WITNESS)
    assert verify(counted(history, (0.01, {"email": 2.0}), (0.99, {"email": 2.0}))).result is PASS
    verdict = verify(counted(history, (0.01, {"email": 2.0}), (0.99, {"email": 3.0})))
    assert results(verdict, "notify", "critical-alerts (email)") == {FAIL}
    assert "Alertmanager gave up 1 notification by email" in reasons(verdict, "notify")
    named = verify(counted(history, (0.01, {}), (0.99, {"email/worker-alerts": 1.0})))
    assert results(named, "notify", "worker-alerts (email)") == {FAIL}
    assert not results(named, "notify", "critical-alerts (email)")


def test_counters_that_were_not_read_make_the_waived_integrations_unknown() -> None:
    history = attached(told(Truth()), WITH_WITNESS)
    for looks in (((0.01, None), (0.99, {})), ((0.01, {}), (0.99, None))):
        verdict = verify(counted(history, *looks))
        assert results(verdict, "notify", "critical-alerts (email)") == {UNKNOWN}
        assert "counters were not read" in reasons(verdict, "notify")
