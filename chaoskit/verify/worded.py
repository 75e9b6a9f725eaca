"""Notices that arrived against the texts that a person approved, in the same form.

The one idea: an approved text is of one alert or of three of the same name; a notice of another number of alerts, or
through an integration whose message is not read like that, is compared by `check` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chaoskit.events import Notice
from chaoskit.wording.form import differences, mail, webhook

ROLE = "approved"
"""Of approved texts among a run's sources."""
_SECTION = re.compile(r"^# (One alert|Three alerts)\n\n", re.MULTILINE)
_SIZES = {"One alert": 1, "Three alerts": 3}
_READ = ("email", "webhook")


def section(text: str, size: int) -> str:
    """The part of an approved text that is of so many alerts; empty where it has none."""
    parts = _SECTION.split(text)
    return next((body for head, body in zip(parts[1::2], parts[2::2], strict=True) if _SIZES[head] == size), "")


def approved_for(notice: Notice, alert: str, sources: Mapping[str, str]) -> str:
    """The approved text that this notice of an alert is to have; empty where there is none to compare with."""
    names = {one.labels.get("alertname") for one in notice.alerts}
    if notice.integration not in _READ or notice.by or names != {alert} or notice.status not in ("firing", "resolved"):
        return ""
    number = f"-{notice.index + 1}" if notice.index else ""
    name = f"{alert}/{notice.receiver}.{notice.integration}{number}.{notice.status}.txt"
    return section(sources.get(f"{ROLE}:{name}", ""), len(notice.alerts))


def unlike_approved(notice: Notice, approved: str) -> list[str]:
    """How the notice that arrived differs from the approved text: the lines of a difference; none where it does not."""
    labels = [one.labels for one in notice.alerts]
    if notice.integration == "webhook":
        if notice.group_labels is None:  # an older history does not have them
            approved = re.sub(r"^group .*\n", "", approved, flags=re.MULTILINE)
        alerts = [(one.status, one.labels, one.annotations) for one in notice.alerts]
        arrived = webhook(notice.receiver, notice.status, alerts, notice.group_labels)
    else:
        arrived = mail(notice.recipients, notice.sender, notice.subject, notice.html, notice.text)
    return differences(approved, arrived, labels)
