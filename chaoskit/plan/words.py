"""Which alerts a person's mail or message is about, where it lists none: by the words that it is made of.

    subject, body, title, text     name an alert of the configuration, and what tells its instances apart
    [1] Firing ... [2] Resolved    the headings of Alertmanager's own mails: each alert has the status above it

A message that names no alert of this configuration is not ours, and left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from chaoskit.events import Interval, Notice, NoticedAlert

_TAG = re.compile(r"<(style|script|head)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_HEADING = re.compile(r"\[\d+\]\s+(firing|resolved)\b", re.IGNORECASE)
_SUBJECT = re.compile(r"\b(firing|resolved)\b", re.IGNORECASE)


class Life(Protocol):
    """The attributes of an alert's episode that are read here."""

    sent: Mapping[str, str]

    @property
    def name(self) -> str: ...

    @property
    def begun(self) -> Interval: ...


def visible(body: str) -> str:
    """The visible text of a mail's HTML, without tags, styles and scripts."""
    return html.unescape(_TAG.sub(" ", body)).strip()


def read_words(notice: Notice, episodes: Sequence[Life], alerts: Collection[str]) -> Iterator[Notice]:
    """The notice with the alerts that its words name; nothing where it is of others."""
    if not notice.by.startswith(("mailbox ", "chat ")) or notice.alerts:
        yield notice
        return
    found = list(dict.fromkeys(_told(notice, episodes, alerts)))
    if found:
        listed = [NoticedAlert(status=status, labels=dict(labels)) for status, labels in found]  # type: ignore[arg-type]
        yield msgspec.structs.replace(notice, alerts=listed)


def _told(
    notice: Notice, episodes: Sequence[Life], alerts: Collection[str]
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    for status, text in _parts(notice):
        for name in (name for name in alerts if _names(text, name)):
            lives = [e for e in episodes if e.name == name and e.sent and e.begun[0] <= notice.sent[1]]
            named = [e for e in lives if all(_names(text, value) for value in _telling(e, lives))] or lives
            for life in named:
                yield status, tuple(sorted(life.sent.items()))
            if not lives:
                yield status, (("alertname", name),)


def _telling(one: Life, lives: Sequence[Life]) -> list[str]:
    """The values of labels by which a life is told from the others of its alert."""
    return [value for key, value in one.sent.items() if any(other.sent.get(key) != value for other in lives)]


def _names(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def _parts(notice: Notice) -> Iterator[tuple[str, str]]:
    """The text below each heading with its status; the whole where there is no heading."""
    body = visible(notice.html) if notice.html else notice.text
    headings = list(_HEADING.finditer(body))
    for at, heading in enumerate(headings):
        end = headings[at + 1].start() if at + 1 < len(headings) else len(body)
        yield heading[1].lower(), body[heading.end() : end]
    said = {word.lower() for word in _SUBJECT.findall(notice.subject or body)}
    status = notice.status if notice.status in ("firing", "resolved") else ""
    status = status or ("firing" if "firing" in said else "resolved" if said else "")
    if not headings and status:
        yield status, f"{notice.subject}\n{body}"
