"""The inputs of a run as texts, and what they mean: the same reading for a run that begins and one judged again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Profile, Scenario
from chaoskit.scenario.profile import load_profile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inputs:
    """A scenario, a profile and an alert configuration, all three read without a problem."""

    scenario: Scenario
    profile: Profile
    config: AlertConfig


def read_inputs(
    sources: Mapping[str, str],
    scenario: str,
    profile: str,
    settings: Sequence[str],
    set_aside: Mapping[str, str] | None = None,
) -> Inputs:
    """Reads `scenario:FILE`, `profile:FILE` and the configuration's roles from texts.

    Rules of the expressions `set_aside` are left out, each with the reason. Raises BadInput with the problems of all
    of them at once.
    """
    problems: list[Problem] = []
    read_scenario = attempt(lambda: load_scenario(_source(sources, "scenario", scenario), scenario, settings), problems)
    read_profile = attempt(lambda: load_profile(_source(sources, "profile", profile), profile, settings), problems)
    configuring = {key: text for key, text in sources.items() if not key.startswith(("scenario:", "profile:"))}
    config = attempt(lambda: load_texts(configuring), problems)
    if read_scenario is None or read_profile is None or config is None:
        raise BadInput(dict.fromkeys(problems))
    return Inputs(read_scenario, read_profile, config.without(set_aside or {}))


def _source(sources: Mapping[str, str], role: str, name: str) -> str:
    key = f"{role}:{name}"
    if key not in sources:
        raise BadInput(Problem(Place(name or role), f"the text of this {role} is not given", f"give {key}"))
    return sources[key]


def attempt(read: Callable[[], T], problems: list[Problem]) -> T | None:
    """The result of `read`; None if it raises BadInput, whose problems are added to `problems`."""
    try:
        return read()
    except BadInput as error:
        problems += error.problems
        return None
