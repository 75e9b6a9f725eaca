"""What the workers do: the kinds of task, and which failures are worth another attempt.

    follow-up     {lead_id}            scores a lead                                    milliseconds
    agent-task    {agent, lead_id}     calls the upstream at /v1/background/AGENT       one call, retries included
    campaign      {recipients}         sends mails at the provider's rate               1 virtual second a mail
    import-record {record: {...}}      stores a lead; a record without an e-mail never can

A payload that no attempt can digest is dead at once and not replayable; an upstream that failed for good (its
retries were made by the gateway) is dead but replayable; a locked database is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Any

from chaoskit.crm import physics
from chaoskit.crm.clock import Clock
from chaoskit.crm.database import Database, Measured, add_lead, score_lead
from chaoskit.crm.queue import Draft, Message


class Poison(Exception):
    """No attempt at this payload can ever succeed."""


class GivenUp(Exception):
    """It failed for good now; a replay can succeed when the world has changed."""


CallUpstream = Callable[[str, int], None]
"""(agent, lead id) -> None; raises GivenUp, or Poison when the upstream rejects the request."""


class Tasks:
    """Runs messages by kind."""

    def __init__(
        self, clock: Clock, database: Database, measured: Callable[[str], Measured], call: CallUpstream
    ) -> None:
        self._clock, self._database, self._measured, self._call = clock, database, measured, call
        self._kinds: dict[str, Callable[[dict[str, Any]], None]] = {
            "follow-up": self._follow_up,
            "agent-task": self._agent_task,
            "campaign": self._campaign,
            "import-record": self._import_record,
        }

    def run(self, message: Message) -> None:
        """Do the work; raises Poison, GivenUp, or whatever is worth another attempt."""
        problem = why_poison(message.kind, message.payload)
        if problem:
            raise Poison(problem)
        self._kinds[message.kind](message.payload)

    def _follow_up(self, payload: dict[str, Any]) -> None:
        lead_id = payload["lead_id"]
        with self._measured("update") as measured:
            measured.run(partial(self._database.transact, score_lead(lead_id, float(lead_id * 37 % 100))))

    def _agent_task(self, payload: dict[str, Any]) -> None:
        self._call(payload["agent"], payload["lead_id"])

    def _campaign(self, payload: dict[str, Any]) -> None:
        Event().wait(self._clock.real_s(payload["recipients"] * physics.MAIL_PACE_VS))

    def _import_record(self, payload: dict[str, Any]) -> None:
        record = payload["record"]
        with self._measured("insert") as measured:
            measured.run(partial(self._database.transact, add_lead(record["name"], record["email"])))


def why_poison(kind: str, payload: dict[str, Any]) -> str:
    """What makes a task impossible for ever, or nothing."""
    match kind, payload:
        case "follow-up", {"lead_id": int()}:
            return ""
        case "agent-task", {"agent": str(agent), "lead_id": int()}:
            return "" if agent in physics.AGENTS else f"there is no agent '{agent}'"
        case "campaign", {"recipients": int(count)}:
            return "" if 0 < count <= 1000 else f"a campaign has 1 to 1000 recipients, not {count}"
        case "import-record", {"record": {"name": str(), "email": str()}}:
            return ""
        case "import-record", _:
            return "the record lacks a name or an e-mail address"
    return f"'{kind}' with keys {sorted(payload)} is not a task"


def draft(kind: str, payload: dict[str, Any]) -> Draft:
    """A message for this task, with a lease that outlasts its work."""
    work_vs = 0.0
    if not why_poison(kind, payload):
        if kind == "campaign":
            work_vs = payload["recipients"] * physics.MAIL_PACE_VS
        elif kind == "agent-task":
            work_vs = physics.AGENTS[payload["agent"]]
    return Draft(kind, payload, physics.LEASE_VS + work_vs)


def parked_letter(replayable: bool) -> Draft:
    """A dead letter as it comes from an export: its replay succeeds, or fails, by the same rules as any other's."""
    if replayable:
        return Draft("follow-up", {"lead_id": 1}, dead_reason="parked: its worker was stopped for maintenance")
    payload = {"record": {"name": "nobody"}}
    return Draft("import-record", payload, dead_reason=why_poison("import-record", payload), replayable=False)
