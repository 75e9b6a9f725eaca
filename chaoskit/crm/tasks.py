"""The kinds of task that workers do, and what makes one impossible.

follow-up     {lead_id}            scores a lead                                    milliseconds
agent-task    {agent, lead_id}     calls the upstream at /v1/background/AGENT       one call, retries included
campaign      {recipients}         sends mails at the provider's rate               1 virtual second a mail
import-record {record: {...}}      stores a lead; a record without an e-mail never can
"""

from __future__ import annotations

from typing import Any

from chaoskit.crm import physics
from chaoskit.crm.queue import Draft


def why_poison(kind: str, payload: dict[str, Any]) -> str:
    """Why no attempt at a task can ever succeed; empty when one can."""
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


def draft(kind: str, payload: dict[str, Any], batch: str = "") -> Draft:
    """A message for this task, with a lease that outlasts its work."""
    work_vs = 0.0
    if not why_poison(kind, payload):
        if kind == "campaign":
            work_vs = payload["recipients"] * physics.MAIL_PACE_VS
        elif kind == "agent-task":
            work_vs = physics.AGENTS[payload["agent"]]
    return Draft(kind, payload, physics.LEASE_VS + work_vs, batch=batch)


def parked_letter(replayable: bool, batch: str = "") -> Draft:
    """A dead letter as it comes from an export: its replay succeeds, or fails, by the same rules as any other's."""
    if replayable:
        return Draft("follow-up", {"lead_id": 1}, dead=True, batch=batch)
    return Draft("import-record", {"record": {"name": "nobody"}}, dead=True, batch=batch)
