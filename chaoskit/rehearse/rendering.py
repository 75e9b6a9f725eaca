"""Templates that failed to render while a rehearsal played, as Prometheus and Alertmanager say in their logs.

No checker finds these: a template is only executed with an alert in hand. Prometheus then sends the error's text in
place of the annotation, Alertmanager gives the notice up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from chaoskit.alerting.model import AlertConfig
from chaoskit.hop import Hop
from chaoskit.verify.verdict import Result, Row

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_FIELDS = re.compile(rf"(\w+)=(?:{_TEXT}|(\S+))")
_EXPANDING = "Expanding alert template failed"
_DOOR = re.compile(r"^(?P<receiver>.*)/(?P<integration>\w+)\[(?P<index>\d+)\]: .*?(?P<what>template: .*)", re.DOTALL)
_ALERT = re.compile(r"template: __alert_(?P<alert>.*?):\d+:\d+: (?P<what>.*)", re.DOTALL)
_MOST = 200


@dataclass(frozen=True, slots=True)
class Unrendered:
    """What failed: by alert its annotations or labels, by receiver and integration the notification."""

    alerts: Mapping[str, str] = field(default_factory=dict)
    doors: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def apart(self, doubts: Mapping[str, str]) -> tuple[Unrendered, list[str]]:
        """What failed without a doubt, and of the alerts with one what is to be said; `doubts`: by alert, why."""
        sure = {name: what for name, what in self.alerts.items() if name not in doubts}
        said = [f"{n}: a template of its rule failed here, but {doubts[n]}" for n in self.alerts if n in doubts]
        return replace(self, alerts=sure), said

    def rows(self, rows: Iterable[Row], config: AlertConfig) -> list[Row]:
        """The rows, with a reason where a notice was given up, and one more for each alert with broken texts."""
        found = [self._explained(row, config) for row in rows]
        judged = {row.about.split(" ")[0] for row in found}
        for rule in config.rules:
            if rule.alert in self.alerts and rule.alert in judged:
                reason = f"{rule.alert}: a template of the rule fails: {self.alerts[rule.alert]} ({rule.place})"
                found.append(Row(about=rule.alert, hop=Hop.CONTENT, result=Result.FAIL, reason=reason))
        return found

    def _explained(self, row: Row, config: AlertConfig) -> Row:
        if row.result is not Result.FAIL or row.hop is not Hop.NOTIFY:
            return row
        for (receiver, integration), what in self.doors.items():
            if row.to.startswith(f"{receiver} ({integration}"):
                place = config.receivers[receiver].place if receiver in config.receivers else ""
                reason = f"{row.reason}; its template fails: {what} ({place})"
                return msgspec.structs.replace(row, reason=reason)
        return row


NOTHING = Unrendered()


def unrendered(logs: Path) -> Unrendered:
    """What the logs of a stack that has ended say; nothing where there are none."""
    alerts, doors = {}, {}
    for said in _lines(logs / "prometheus.log", _EXPANDING):
        # The alert is named in the error; what stands beside it is not always it.
        if match := _ALERT.search(said.get("err", "")):
            alerts[match["alert"]] = match["what"][:_MOST]
    for said in _lines(logs / "alertmanager.log", "template: "):
        if match := _DOOR.match(said.get("err", "")):
            doors[match["receiver"], match["integration"]] = match["what"][:_MOST]
    return Unrendered(alerts, doors)


def _lines(log: Path, having: str) -> Iterable[dict[str, str]]:
    if not log.is_file():
        return
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if having in line:
                yield {key: _plain(quoted) or bare for key, quoted, bare in _FIELDS.findall(line)}


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": " ", "t": " "}.get(match[1], match[1]), text)
