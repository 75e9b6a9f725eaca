"""What healthy customers do: the requests behind each name that a load's mix may use.

The CRM tells these with its addresses, so that whoever puts load on it need not know its routes. Several requests
under one name take turns. What is marked as unusual is asked for only by a mix that names it: reports that nobody
asked for before, and tasks that workers do later.
"""

from __future__ import annotations

from typing import Any

from chaoskit.crm.physics import AGENTS

REQUESTS: dict[str, list[dict[str, Any]]] = {
    "leads": [
        {"method": "GET", "path": "/leads?limit=10"},
        {"method": "POST", "path": "/leads", "json": {"name": "Lead {n}", "email": "lead{n}@example.com"}},
    ],
    "opportunities": [
        {"method": "GET", "path": "/opportunities?limit=10"},
        {"method": "POST", "path": "/opportunities", "json": {"lead_id": 1, "title": "Deal {n}", "amount": 100}},
    ],
    "reports": [{"method": "GET", "path": "/reports/{n%40}"}],
    "agent-requests": [
        {"method": "POST", "path": "/agent-requests", "json": {"agent": agent, "lead_id": 1}} for agent in AGENTS
    ],
    "cold-reports": [{"method": "GET", "path": "/reports/cold-{n}", "unusual": True}],
    "background-tasks": [
        {
            "method": "POST",
            "path": "/agent-requests",
            "json": {"agent": "meeting-planner", "lead_id": 1, "mode": "background"},
            "unusual": True,
        }
    ],
}
