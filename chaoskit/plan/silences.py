"""Silences that a plan makes: their matchers, and the words by which a history tells their ids."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.model import Matcher
from chaoskit.alerting.routing import values_of
from chaoskit.alerting.silences import silence_matchers, written
from chaoskit.errors import Problem
from chaoskit.scenario.model import FaultSpec, Scenario

SILENCE = "alertmanager.silence"
_TOLD = "silence "


def told_id(silence: str) -> str:
    """The words that tell a silence's id, once the silence is seen to be active."""
    return f"{_TOLD}{silence}"


def id_of(told: str) -> str:
    """The silence's id in the words of `told_id`; empty where these tell none."""
    return told.removeprefix(_TOLD) if told.startswith(_TOLD) else ""


def silences(scenario: Scenario, step: str = "") -> Iterator[tuple[str, FaultSpec, tuple[Matcher, ...]]]:
    """Step, fault and matchers of each silence that can be read, of this step or of all."""
    for injected, spec in scenario.faults():
        if spec.kind == SILENCE and step in ("", injected.name):
            try:
                yield injected.name, spec, silence_matchers(str(spec.settings.get("matchers", "")))
            except ValueError:
                continue  # The fault's own settings are checked where its kind is known.


def wrong_silences(scenario: Scenario, attached: bool) -> Iterator[Problem]:
    """Expectations of a step that makes no silence; on a target that others work with also each silence that may mute
    another alert than the one that is expected to be muted by it."""
    for each in scenario.expect:
        if each.silenced_by is not None and not any(silences(scenario, each.silenced_by)):
            message = f"{each.alert} is expected to be silenced by '{each.silenced_by}', which makes no silence"
            yield Problem(each.place, message, f"inject {SILENCE} as {each.silenced_by}, with matchers:")
    for step, spec, matchers in silences(scenario) if attached else ():
        muted = [each for each in scenario.expect if each.silenced_by == step]
        named = {"alertname": [each.alert for each in muted]}
        for label in {label for each in muted for label in each.labels}:
            named[label] = [each.labels.get(label, "") for each in muted]
        loose = [name for name, values in named.items() if not _pinned(matchers, name, values)]
        if loose or not muted:
            message = f"the silence of {written(matchers)} may mute alerts that are not expected to be"
            wanted = f"add {loose[0]}={named[loose[0]][0]} to its matchers" if muted else ""
            yield Problem(spec.place, message, wanted or f"expect an alert with silenced_by: {step}")


def _pinned(matchers: tuple[Matcher, ...], label: str, values: list[str]) -> bool:
    """Whether the matchers let only these values of a label through."""
    found = [values_of(matcher) for matcher in matchers if matcher.label == label]
    return any(each is not None and each <= {*values} for each in found)
