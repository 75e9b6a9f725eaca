"""Templates that failed to render, as Prometheus and Alertmanager say in their logs.

No checker finds these: a template is only executed with an alert in hand. Prometheus then sends the error's text in
place of the annotation, Alertmanager gives the notice up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chaoskit.events import LogLine

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_FIELDS = re.compile(rf"(\w+)=(?:{_TEXT}|(\S+))")
_DOOR = re.compile(r"^(?P<receiver>.*)/(?P<integration>\w+)\[(?P<index>\d+)\]: .*?(?P<what>template: .*)", re.DOTALL)
_ALERT = re.compile(r"template: __alert_(?P<alert>.*?):\d+:\d+: (?P<what>.*)", re.DOTALL)
_MOST = 200


@dataclass(frozen=True, slots=True)
class Templates:
    """What failed: by alert its annotations or labels, by receiver and integration the notification."""

    alerts: Mapping[str, str] = field(default_factory=dict)
    doors: Mapping[tuple[str, str], str] = field(default_factory=dict)


def failed_templates(lines: Iterable[LogLine]) -> Templates:
    """What log lines say of templates; lines of other things say nothing."""
    alerts, doors = {}, {}
    for one in lines:
        said = {key: _plain(quoted) or bare for key, quoted, bare in _FIELDS.findall(one.line)}.get("err", "")
        # The alert is named in the error; what stands beside it is not always it.
        if one.source == "prometheus" and (match := _ALERT.search(said)):
            alerts[match["alert"]] = match["what"][:_MOST]
        elif one.source == "alertmanager" and (match := _DOOR.match(said)):
            doors[match["receiver"], match["integration"]] = match["what"][:_MOST]
    return Templates(alerts, doors)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": " ", "t": " "}.get(match[1], match[1]), text)
