"""Where a configuration departs from its promise, asked of the lints that `check` has for it.

The one idea: the lints stay the only ones who compare a promise with settings; here they are asked about one
alert, or about one configuration with another one's promise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import chaoskit.check.lints  # noqa: F401 - fills the registry
from chaoskit.alerting.model import AlertConfig, Promise, Rule
from chaoskit.check.facts import Facts
from chaoskit.check.findings import LINTS, Severity
from chaoskit.errors import Place

TOPIC = "promise"


@dataclass(frozen=True, slots=True)
class Departure:
    """One thing in which settings and promise differ; `broken` where the promise cannot be kept like this."""

    lint: str
    place: Place
    message: str
    broken: bool


def departures(facts: Facts) -> tuple[Departure, ...]:
    """Everything in which this configuration departs from its promise, by place; nothing where none is given."""
    found = [
        Departure(lint.id, said.place, said.message, (said.severity or lint.severity) >= Severity.ERROR)
        for lint in LINTS.values()
        if lint.topic == TOPIC and all(facts.has(part) for part in lint.needs)
        for said in lint.find(facts)
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda each: (each.place, each.lint, each.message)))


def departures_of(config: AlertConfig, rule: Rule, receivers: set[str]) -> tuple[Departure, ...]:
    """Those that concern this rule's alert and these receivers, or the receivers it is promised to."""
    promise = config.promise
    notices = {key: notice for key, notice in promise.notices.items() if key[0] == rule.alert}
    concerned = receivers | {receiver for _, receiver in notices}
    own: Promise = replace(
        promise,
        notices=notices,
        receivers={name: each for name, each in promise.receivers.items() if name in concerned},
        appears_s={},
        clears_s={},
    )
    return departures(Facts(replace(config, rules=(rule,), promise=own)))


def without_places(message: str, files: frozenset[str]) -> str:
    """The message without the places in it: what two configurations say alike though it stands elsewhere."""
    for file in sorted(files, key=len, reverse=True):
        if file in message:
            message = re.sub(re.escape(file) + r"(?::\d+)?", "", message)
    return message
