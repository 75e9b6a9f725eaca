"""Every notice that a configuration sends: alert, receiver, integration, status, of one alert and of three.

The one idea: the rule sets some labels and its series bring others; of those only the names are known, so a name stands
for each value. A group of three is made of alerts that differ in a label by which the route does not group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoskit.alerting.config_fields import is_false, root_of
from chaoskit.alerting.expression import expression
from chaoskit.alerting.integrations import KINDS
from chaoskit.alerting.labels import labels_of, through_records
from chaoskit.alerting.model import AlertConfig, Integration, Route, Rule
from chaoskit.alerting.routing import alert_labels, group_labels, match_routes
from chaoskit.wording.annotations import LABEL, expanded
from chaoskit.wording.form import mail, named, shown, webhook
from chaoskit.yaml_source import Node

STARTS, ENDS, OPEN_END = "2001-02-03T14:25:36Z", "2001-02-03T14:38:10Z", "0001-01-01T00:00:00Z"
_DATE = (
    r"(?:Sat(?:urday)?,? )?(?:2001-02-03|0?3[./]0?2[./]2001|0?2/0?3/2001|0?3[ -]Feb(?:ruary)?[ -]2001"
    r"|Feb(?:ruary)?  ?0?3(?:,? 2001)?)"
)
_CLOCK = r"(?:14:(?:25|38)(?::(?:36|10))?(?:\.0+)?|0?2:(?:25|38)(?::(?:36|10))? ?[PA]M)"
_TIME = re.compile(rf"(?:{_DATE}(?:[T ]| at |, ){_CLOCK}|{_DATE}|{_CLOCK})(?: ?(?:Z|UTC|[+-]0000(?: UTC)?))*")
_DURATION = re.compile(r"\b12m34s\b")
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "email": {"Subject": "email.default.subject", "html": "email.default.html"},
    "slack": {"title": "slack.default.title", "text": "slack.default.text", "fallback": "slack.default.fallback"},
    "pagerduty": {"description": "pagerduty.default.description"},
    "opsgenie": {"message": "opsgenie.default.message", "description": "opsgenie.default.description"},
    "telegram": {"message": "telegram.default.message"},
    "discord": {"title": "discord.default.title", "message": "discord.default.message"},
    "msteams": {"title": "msteams.default.title", "text": "msteams.default.text"},
}
"""By kind: the templates that Alertmanager renders where an integration says nothing of its own."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a notice that has to be rendered: its name in the notice, the template, as HTML or as it is."""

    part: str
    template: str
    html: bool


@dataclass(frozen=True)
class Notice:
    """One notice of one alert or of three; `data` is what templates are rendered with."""

    name: str
    """ALERT/RECEIVER.INTEGRATION.STATUS.txt, the same for both."""
    rule: Rule
    kind: str
    texts: tuple[Text, ...]
    to: tuple[str, ...]
    sender: str
    data: Mapping[str, Any]

    def form(self, rendered: Mapping[str, str]) -> str:
        """The notice as a person reads it, of the rendered texts by their parts."""
        if self.kind == "webhook":
            alerts = [(each["status"], each["labels"], each["annotations"]) for each in self.data["alerts"]]
            made = webhook(self.data["receiver"], self.data["status"], alerts, self.data["groupLabels"])
        elif self.kind == "email":
            more = "".join(
                f"{part}: {text}\n" for part, text in rendered.items() if part not in ("Subject", "html", "text")
            )
            body = mail(self.to, self.sender, rendered.get("Subject", ""), rendered.get("html", ""),
                        rendered.get("text", ""))  # fmt: skip
            made = f"{more}{body}"
        else:
            made = "\n".join(f"{part}: {text}" for part, text in rendered.items())
        return shown(_DURATION.sub(named("duration"), _TIME.sub(named("time"), made)))


def notice_data(
    receiver: str, status: str, labels: Sequence[Mapping[str, str]], texts: Sequence[Mapping[str, str]],
    group: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """The data that a template is rendered with, as Alertmanager and amtool take it."""
    alerts = [
        {
            "status": status, "labels": dict(own), "annotations": dict(said), "startsAt": STARTS,
            "endsAt": ENDS if status == "resolved" else OPEN_END, "generatorURL": named("query"),
            "fingerprint": "0123456789abcdef",
        }
        for own, said in zip(labels, texts, strict=True)
    ]  # fmt: skip
    return {
        "receiver": receiver, "status": status, "alerts": alerts, "externalURL": named("alertmanager"),
        "groupLabels": dict(group), "commonLabels": _common(labels), "commonAnnotations": _common(texts),
    }  # fmt: skip


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return dict(sorted(set.intersection(*(set(one.items()) for one in maps))))


def series_labels(config: AlertConfig, rule: Rule) -> tuple[str, ...]:
    """The labels that the rule's series bring, as far as its text tells; a person may know better."""
    carried = labels_of(expression(rule.expr), through_records(config.recorded))
    named_ = {a or b for text in (*rule.annotations.values(), *rule.labels.values()) for a, b in LABEL.findall(text)}
    names = {"instance", "job"} | named_ if carried.only is None else carried.only
    fixed = {name for name, value in rule.labels.items() if "{{" not in value}
    return tuple(sorted(name for name in names if carried.may_have(name) and name not in fixed))


def notices(config: AlertConfig, brought: Mapping[str, Sequence[str]], alerts: Sequence[str] = ()) -> Iterator[Notice]:
    """Every notice of these alerts, of all unless told; `brought` names the series' labels of an alert by its name."""
    settings = _settings(config)
    from_ = root_of(config.sources, "alertmanager").at("global", "smtp_from")
    sender = from_.raw if from_ is not None else ""
    for rule in config.rules:
        if not rule.alert or (alerts and rule.alert not in alerts):
            continue
        names = brought[rule.alert] if rule.alert in brought else series_labels(config, rule)
        one = _labels(config, rule, {name: named(name) for name in names})
        for route in {each.receiver: each for each in reversed(match_routes(config.route, one))}.values():
            receiver = config.receivers.get(route.receiver)
            for integration in receiver.integrations if receiver else ():
                own = settings.get((route.receiver, integration.kind), {}).get(integration.index)
                yield from _of(config, rule, route, integration, own, names, sender)


def receivers_text(config: AlertConfig) -> str:
    """Where each receiver's notices go, in which way, and whether they tell of the end."""
    unless_own = root_of(config.sources, "alertmanager").at("global", "smtp_require_tls")
    settings = _settings(config)
    lines = []
    for name, receiver in config.receivers.items():
        lines.append(name)
        for each in receiver.integrations:
            own = settings.get((name, each.kind), {}).get(each.index)
            required = own.get("require_tls") if own is not None else None
            how = f", {'without' if is_false(required or unless_own) else 'with'} TLS" if each.kind == "email" else ""
            to = f" to {', '.join(each.to)}" if each.to else ""
            end = "" if each.send_resolved else ", not of the end"
            lines.append(f"  {each.kind}{to} at {each.at or 'an address that is not shown'}{how}{end}")
    return "\n".join(lines) + "\n"


def _labels(config: AlertConfig, rule: Rule, series: Mapping[str, str]) -> dict[str, str]:
    return alert_labels(config, rule, {name: value for name, value in series.items() if name != "alertname"})


def _of(
    config: AlertConfig, rule: Rule, route: Route, integration: Integration, own: Node | None,
    names: Sequence[str], sender: str,
) -> Iterator[Notice]:  # fmt: skip
    """The notices of an alert through one integration of the receiver that its route leads to."""
    told = [name for name in names if route.group_by is not None and name not in route.group_by]
    number = f"-{integration.index + 1}" if integration.index else ""
    written = own.get("from") if own is not None else None
    for status in ("firing", "resolved") if integration.send_resolved else ("firing",):
        for count in (1, 3) if told else (1,):
            each = [
                {n: named(f"{n} {i}" if count > 1 and n in told else n) for n in names} for i in range(1, count + 1)
            ]
            labels = [_labels(config, rule, series) for series in each]
            texts = [_said(rule, series, i if count > 1 else 0) for i, series in enumerate(each, 1)]
            yield Notice(
                f"{rule.alert}/{route.receiver}.{integration.kind}{number}.{status}.txt",
                rule,
                integration.kind,
                tuple(_texts(integration.kind, own)),
                integration.to,
                written.raw if written is not None else sender,
                notice_data(route.receiver, status, labels, texts, group_labels(route, labels[0])),
            )


def _said(rule: Rule, series: Mapping[str, str], number: int) -> dict[str, str]:
    """The annotations; of several alerts the long ones by name, for their words are in the text of one alert."""
    known = {**series, **rule.labels}
    return {
        key: named(f"annotation {key} {number}") if number and "\n" in text else expanded(text, known)
        for key, text in rule.annotations.items()
    }


def _texts(kind: str, own: Node | None) -> Iterator[Text]:
    """The templates of an integration: its own ones, and Alertmanager's where it has none."""
    found: dict[str, str] = {}
    for path, _, node in own.walk() if own is not None else ():
        if node.kind == "scalar" and path[0] in _contents(kind):
            found[path[-1] if path[0] == "headers" else ".".join(path)] = node.raw
    for part, template in _DEFAULTS.get(kind, {}).items():
        found.setdefault(part, f'{{{{ template "{template}" . }}}}')
    for part, template in found.items():
        yield Text(part, template, kind == "email" and part == "html")


def _contents(kind: str) -> frozenset[str]:
    if kind == "email":
        return frozenset({"headers", "html", "text"})
    return KINDS[kind].contents if kind in KINDS else frozenset()


def _settings(config: AlertConfig) -> dict[tuple[str, str], dict[int, Node]]:
    """By receiver and kind: the settings of each integration by its number."""
    found = {}
    for receiver in root_of(config.sources, "alertmanager").listed("receivers"):
        name = receiver.get("name")
        for key, listed in receiver.pairs:
            found[name.raw if name else "", key.raw.removesuffix("_configs")] = dict(enumerate(listed.items))
    return found
