"""What is behind the handles of a local profile: the local target has its parts, and no profile can name others.

    role: {worker: {process: worker}}      the handle's name, and what the profile says is behind it

On a target that runs already, processes are found by a role's `match`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaoskit.errors import Problem
from chaoskit.scenario.handles import HANDLE_KEYS
from chaoskit.scenario.model import Handles, PlainHandle

_BEHIND = {
    "role": {"worker": "worker"},
    "link": {"upstream": "upstream"},
    "queue": {"agent-tasks": "crm"},
    "cache": {"reports": "crm"},
    "database": {"crm": "crm"},
    "slice": {"crm": "crm"},
    "scrape": {"crm": "metrics"},
}
"""By kind and name of a handle: what the local target has behind it."""


def wrong_handles(handles: Handles) -> list[Problem]:
    """The entries of a profile's handles that the local target does not have."""
    problems = []
    for kind, key, name, value in _written(handles):
        place, known = handles.places.get(f"{kind}.{name}"), _BEHIND[kind].get(name)
        if known is None:
            what, hint = f"the local target has no {kind} '{name}'", f"it has: {', '.join(_BEHIND[kind])}"
        elif value != known:
            what = f"the {kind} '{name}' says {key}: {value}, and the local target has no such thing behind it"
            hint = (
                f"write {key}: {known}" if key != "match" else "only a target that runs already is searched by titles"
            )
        else:
            continue
        problems.append(Problem(place, what, hint))
    return problems


def _written(handles: Handles) -> Iterator[tuple[str, str, str, str]]:
    """Every handle's kind, key, name and value."""
    for name, role in handles.role.items():
        yield "role", "match" if role.match else "process", name, role.match or role.process
    yield from (("link", "proxy", name, one.proxy) for name, one in handles.link.items())
    yield from (("queue", "admin", name, one.admin) for name, one in handles.queue.items())
    for kind in ("cache", "database", "slice", "scrape"):
        plain: Mapping[str, PlainHandle] = getattr(handles, kind)
        yield from ((kind, HANDLE_KEYS[kind][0], name, one.at) for name, one in plain.items())
