"""What stands in a mail: sender, recipients, decoded subject and parts, and the alerts it lists.

Total: whatever arrives becomes a notice, and what makes no sense is said in its `problems`. The door alone says
whose the mail is; its addresses never do.
"""

from __future__ import annotations

import email
import email.header
import email.message
import email.policy
import re
from collections.abc import Sequence

import msgspec

from chaoskit.events import Interval, Notice, NoticedAlert
from chaoskit.localize.mail_header import HEADER_NAME, parse_header
from chaoskit.observe.payload import Status, of_alerts

PART_LIMIT = 1_000_000
"""Characters of a part, or of a subject, that are kept."""


class MailDoor(msgspec.Struct, frozen=True, kw_only=True):
    """Whose port it is; the catch-all port's receiver is empty."""

    receiver: str
    integration: str = "email"
    index: int = 0
    port: int
    word: str = ""
    """The password that its senders give; empty where every sender's mails are taken."""


def mail_notice(door: MailDoor, *, sent: Interval, sender: str, recipients: Sequence[str], content: bytes) -> Notice:
    """The notice that a mail is; `sender` and `recipients` are the envelope's."""
    problems: list[str] = []
    try:
        # The older policy leaves headers as text: the newer one takes seconds to parse one of a megabyte.
        message = email.message_from_bytes(content, policy=email.policy.compat32)
    except RecursionError:  # parts within parts, hundreds deep
        problems.append("the mail's parts are nested too deeply to be read")
        message = email.message.Message()
    subject = _bounded("subject", _decoded(message.get("Subject", "")), problems)
    alerts, status = _alerts(message, subject, problems)
    return Notice(
        receiver=door.receiver,
        integration=door.integration,
        index=door.index,
        sent=sent,
        status=status,
        alerts=alerts,
        recipients=list(recipients),
        sender=sender,
        subject=subject,
        html=_bounded("HTML part", _part(message, "text/html", problems), problems),
        text=_bounded("plain part", _part(message, "text/plain", problems), problems),
        problems=problems,
    )


def _alerts(message: email.message.Message, subject: str, problems: list[str]) -> tuple[list[NoticedAlert], Status]:
    values = message.get_all(HEADER_NAME, [])
    if len(values) == 1:
        alerts, unread = parse_header(_decoded(values[0]))
        problems += unread
        return alerts, "unknown" if unread else of_alerts(alerts)
    if values:
        problems.append(f"{HEADER_NAME} stands there {len(values)} times, so none of them is believed")
    else:
        problems.append(f"no {HEADER_NAME} header, so which alerts the mail lists is not known")
    return [], _status_in(subject)


def _status_in(subject: str) -> Status:
    """Resolved where the subject says that alone; Alertmanager writes FIRING over resolved ones among them too."""
    words = set(re.findall(r"[a-z]+", subject.lower()))
    return "resolved" if "resolved" in words and "firing" not in words else "unknown"


def _decoded(header: object) -> str:
    """A header's text on one line, its encoded words decoded."""
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", str(header))
    if "=?" not in unfolded:
        return unfolded
    try:
        return str(email.header.make_header(email.header.decode_header(unfolded)))
    except (ValueError, LookupError):  # an unknown character set, or broken encoding: as it came
        return unfolded


def _part(message: email.message.Message, kind: str, problems: list[str]) -> str:
    """The first part of that kind, decoded."""
    for part in message.walk():
        if part.get_content_type() != kind or part.get_content_disposition() == "attachment":
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        charset = part.get_content_charset("utf-8")
        try:
            return payload.decode(charset)
        except (UnicodeDecodeError, LookupError):
            problems.append(f"the {kind} part is not in the character set it names ({charset})")
            return payload.decode("utf-8", errors="replace")
    return ""


def _bounded(what: str, text: str, problems: list[str]) -> str:
    if len(text) <= PART_LIMIT:
        return text
    problems.append(f"the {what} has {len(text)} characters; the first {PART_LIMIT} are kept")
    return text[:PART_LIMIT]
