"""The content of a notice: the right recipients, a subject, a body that is not empty, and the link to the runbook.

A template that fails to render passes every static check, and some Alertmanagers then mail an empty body. So
what arrived is looked at, not what was configured.
"""

from __future__ import annotations

import html as html_text
from collections.abc import Iterator

from chaoskit.alerting.model import Promise
from chaoskit.events import Notice
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedAlert, PlannedNotice
from chaoskit.plan.witnesses import RECORDER, WITNESS
from chaoskit.plan.words import visible
from chaoskit.units import amount
from chaoskit.verify.case import Instance
from chaoskit.verify.check import Check, Need, Strict, broken, but, kept, unknown
from chaoskit.verify.worded import approved_for, unlike_approved

_TEMPLATED = "{{"
_MAIL = "email"
_SHOWN = 4
"""Lines of a difference that a reason shows."""


def _judge(one: Instance) -> Iterator[Strict]:
    """A row for each receiver that is promised a notice: recipients, subject, body and runbook of its notices."""
    for planned in one.alert.notices:
        if planned.ask.mode == "never":
            continue
        due = ("firing", "resolved") if planned.all_clear is not None else ("firing",)
        came = {status: one.heard(planned, status) for status in ("firing", "resolved")}
        heard = [notice for notice in came.values() if notice is not None]
        wrong = list(dict.fromkeys(w for notice in heard for w in wrong_with(notice, planned, one)))
        sources = one.case.plan.config.sources
        texts = [(each, text) for each in heard if (text := approved_for(each, one.alert.rule.alert, sources))]
        for each, text in texts:
            if unlike := unlike_approved(each, text):
                more = f" (and {len(unlike) - _SHOWN} more lines)" if len(unlike) > _SHOWN else ""
                wrong.append(f"the {each.status} notice is not as approved: {' | '.join(unlike[:_SHOWN])}{more}")
        unseen = [f"no {status} notice was seen" for status in due if came[status] is None]
        unseen += _unshown(planned, one.alert)
        who = f"{one.about} -> {planned.to}"
        if wrong:
            reason = f"{who}: the notice came, but {'; '.join(wrong)}"
            lost = one.case.untemplated((planned.receiver, planned.integration))
            needs = [Need((0.0, 0.0), but(reason), known=lost)] if lost else []
            yield broken(Hop.CONTENT, one.about, reason, *needs, to=planned.to)
        elif unseen:
            yield unknown(Hop.CONTENT, one.about, f"not judged: {who}: {'; '.join(unseen)}", planned.to)
        else:
            by = f", by the {planned.by[0]}" if planned.by else ""
            read = f", {'' if len(texts) == len(heard) else f'{len(texts)} '}as approved" if texts else ""
            yield kept(Hop.CONTENT, one.about, amount(len(heard), "notices") + by + read, to=planned.to)


CONTENT = Check(
    "content",
    Instance,
    _judge,
    lambda one: [(one.about, Hop.CONTENT, each.to) for each in one.alert.notices if each.ask.mode != "never"],
)


def wrong_with(notice: Notice, planned: PlannedNotice, one: Instance) -> list[str]:
    """Everything that is wrong with what this notice says of this alert; an empty list is what was promised."""
    wrong, alert, promise = list(notice.problems), one.alert, one.case.plan.config.promise
    if notice.by.startswith("chat "):
        wrong += _message(notice, one)
    elif planned.by[:1] == (RECORDER,):
        wrong += _webhook(notice, one)
    elif planned.integration == _MAIL:
        # Where more is promised of the alert, its recipients have a row of their own.
        wrong += [] if alert.rule.alert in promise.alerts else wrong_recipients(notice, planned)
        wrong += _mail(notice, alert, promise)
    elif planned.integration in ("webhook", WITNESS):
        wrong += _webhook(notice, one)
    return wrong + _lacks(notice, planned)


def wrong_recipients(notice: Notice, planned: PlannedNotice) -> list[str]:
    """Whether a mail went to others than those promised."""
    if not planned.recipients or sorted(notice.recipients) == sorted(planned.recipients):
        return []
    return [f"the mail went to {', '.join(notice.recipients)} instead of {', '.join(planned.recipients)}"]


def wrong_html(notice: Notice, planned: PlannedNotice, alert: PlannedAlert, promise: Promise) -> list[str]:
    """The faults of a mail's subject and body, in words, without its recipients; empty where there are none."""
    return [*notice.problems, *_mail(notice, alert, promise), *_lacks(notice, planned)]


def _unshown(planned: PlannedNotice, alert: PlannedAlert) -> list[str]:
    """A doubt where a subject is required and no mail to the receiver is seen: only mails have subjects."""
    mails = any(
        one.receiver == planned.receiver and one.integration == _MAIL and one.by[:1] != (RECORDER,)
        for one in alert.notices
    )
    return [] if mails or "subject" not in planned.ask.contains else [f"no mail to {planned.receiver} is seen"]


def _lacks(notice: Notice, planned: PlannedNotice) -> list[str]:
    annotations = " ".join(text for item in notice.alerts for text in item.annotations.values())
    body = html_text.unescape(notice.html) or notice.text or (annotations if notice.by else "")
    parts = {"subject": notice.subject, "runbook": body}
    return [
        f"'{wanted}' is missing in the notice's {part}"
        for part, wanted in planned.ask.contains.items()
        if wanted not in parts[part]
        and not (part == "subject" and (planned.integration != _MAIL or planned.by[:1] == (RECORDER,)))
    ]


def _mail(notice: Notice, alert: PlannedAlert, promise: Promise) -> list[str]:
    wrong = []
    if not notice.subject.strip():
        wrong.append("the notice's subject is empty")
    wrong += [
        f"'{wanted}' is missing in the subject, where the promise's subject_contains wants it"
        for wanted in promise.subject_contains
        if wanted not in notice.subject
    ]
    if not (notice.html or notice.text).strip() or (notice.html and not visible(notice.html)):
        return [*wrong, "the notice's body is empty: the mail's template (html:, templates/) rendered nothing"]
    body = notice.html or notice.text
    if alert.rule.alert not in visible(body):
        wrong.append(f"the notice's body does not name {alert.rule.alert}")
    link = runbook_link(alert, promise)
    if link and link not in html_text.unescape(body):
        wrong.append(f"the notice's body does not link the runbook {link}")
    return wrong


def _webhook(notice: Notice, one: Instance) -> list[str]:
    link = runbook_link(one.alert, one.case.plan.config.promise)
    mine = [item for item in notice.alerts if one.alert.matches(one.case.origin(item.labels))]
    if link and mine and not any(link in item.annotations.values() for item in mine):
        return [f"no annotation links the runbook {link}"]
    return []


def _message(notice: Notice, one: Instance) -> list[str]:
    """A message of a chat has no room for everything; what it must do is name the alert."""
    text = f"{notice.subject} {notice.text}"
    return [] if one.alert.rule.alert in text else [f"it does not name {one.alert.rule.alert}"]


def runbook_link(alert: PlannedAlert, promise: Promise) -> str:
    """The link that every notice of the alert must carry; empty where nothing is promised and nothing annotated."""
    for key in ("runbook", "runbook_url"):
        link = alert.rule.annotations.get(key, "")
        if link and _TEMPLATED not in link:
            return link
    return promise.runbook_base
