"""Handles: what scenarios call the parts of a target. Each kind of handle is one class in one module here.

Its class says which keys a profile gives it, what the local target has behind it, how its things are found on a
target that runs already, and how faults find them (its address). Readers, the plan, the stacks and `inject` ask the
table that is made from those classes. A profile says by which way a handle is reached (`via:`); each way is an
adapter, a class of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module

from chaoskit.handles.base import Handle
from chaoskit.kinds import kinds_of


@functools.cache
def handle_kinds() -> Mapping[str, type[Handle]]:
    """Every kind of handle by name; raises BadInput when a registered plugin is none."""
    return kinds_of(Handle, __name__, __name__, "handle kind")  # type: ignore[type-abstract]  # it looks for what is not


_ADAPTERS = "chaoskit.adapters"


@functools.cache
def ways() -> Mapping[str, type[Handle]]:
    """Every way by which a handle is reached, as `via:` names it; raises BadInput when a registered plugin is none."""
    # Adapters bring their faults along, so they lie above; they are asked for here by name, as plugins are.
    base: type[Handle] = import_module(f"{_ADAPTERS}.base").Adapter
    own = {kind.via: kind for kind in handle_kinds().values() if kind.via}
    return {**own, **kinds_of(base, _ADAPTERS, _ADAPTERS, "adapter", "via")}


def ways_of(kind: str) -> dict[str, type[Handle]]:
    """The ways by which handles of one kind are reached."""
    return {via: way for via, way in ways().items() if way.kind == kind}
