"""Whether an effect shows in the metrics: a PromQL query to the Prometheus of the run, as data in an undo token.

A Prometheus that gives no answer says neither.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import requests
from pydantic import AfterValidator, Field

from chaoskit import identity, waiting
from chaoskit.access import session_at, trouble
from chaoskit.alerting.promql import at_scale, says_yes
from chaoskit.errors import BadInput
from chaoskit.faults import processes
from chaoskit.faults.base import FaultError, Settings, Target
from chaoskit.faults.quantities import Duration
from chaoskit.scenario.model import Access

_ANSWER_S = 4.0
_EVERY_S = 0.1


def _parsed(query: str) -> str:
    at_scale(query, 1)
    return query


class Query(Settings):
    """A question to Prometheus and how long its answer may take."""

    query: Annotated[str, Field(min_length=1), AfterValidator(_parsed)]
    """PromQL that has a result while the effect is there, and none before and after."""
    within: Annotated[Duration, Field(gt=0, le=3600)] = 30.0
    """Virtual time in which the answer must come true after the start, and false after the stop."""


def asked(target: Target, settings: Query) -> dict[str, Any]:
    """The question as data; raises FaultError where no Prometheus is known or the scale cannot be applied to it."""
    given = target.address.prometheus
    if not given:
        raise FaultError("no Prometheus is known to ask 'seen' of; by hand: --at prometheus=URL")
    at: dict[str, Any] = {"url": given} if isinstance(given, str) else dict(given)
    if "owner" in at:
        at["owner"] = processes.token(at["owner"], "its owner")
    try:
        scaled = at_scale(settings.query, target.address.time_scale)
    except ValueError as error:
        raise FaultError(f"'{settings.query}' cannot be asked at this time scale: {error}") from None
    return {"query": scaled, "within_s": settings.within / target.address.time_scale, "at": at}


def holds(question: dict[str, Any]) -> bool:
    """The answer now; raises FaultError where Prometheus gives none."""
    at = question["at"]
    url = f"{at['url'].rstrip('/')}/api/v1/query"
    try:
        with session_at(at["url"], msgspec.convert(at.get("access"), Access | None)) as session:
            answer = session.get(url, params={"query": question["query"]}, timeout=_ANSWER_S)
        found = answer.json()
        if found["status"] != "success":
            raise FaultError(f"{url}: '{question['query']}': {found.get('error', 'no success')}"[:400])
        return says_yes(found["data"])
    except requests.RequestException as error:
        raise FaultError(f"{url} gives no answer: {trouble(error)}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise FaultError(f"{url} answers {answer.status_code}, and not as Prometheus does") from None
    except (BadInput, msgspec.ValidationError) as error:
        raise FaultError(f"{url} cannot be asked: {error}") from None


def becomes(question: dict[str, Any], there: bool) -> bool:
    """Waits for an answer within the question's time; whether it came. Raises FaultError where none was to be had."""
    silent: list[FaultError] = []

    def looked() -> bool:
        silent.clear()
        try:
            return holds(question) is there
        except FaultError as error:
            silent.append(error)
            return False

    if waiting.await_true(looked, question["within_s"], min(_EVERY_S, question["within_s"] / 10)):
        return True
    if silent:
        raise silent[0]
    return False


def orphaned(question: dict[str, Any]) -> bool:
    """Whether the Prometheus that could tell is known to have ended with the run that it belonged to."""
    owner = question["at"].get("owner")
    return owner is not None and identity.fate(owner) is identity.Fate.ENDED
