"""Silences as Alertmanager takes them: matchers that must all match, of which one at least asks for a label."""

from __future__ import annotations

from chaoskit.alerting.config_matchers import parse_matchers
from chaoskit.alerting.model import Matcher
from chaoskit.alerting.routing import matches_all


def silence_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of `severity=warning,team=~"db|web"`; raises ValueError where Alertmanager would refuse them."""
    found = parse_matchers(text)
    if all(matches_all((matcher,), {}) for matcher in found):
        raise ValueError(f"a silence of '{text}' also mutes alerts that have none of its labels: name a label's value")
    return found


def written(matchers: tuple[Matcher, ...]) -> str:
    """The matchers as people read them: `severity="warning", team=~"db|web"`."""
    return ", ".join(map(str, matchers))
