"""Handles: what scenarios call the parts of a target. Each kind of handle is one class in one module here.

Its class says which keys a profile gives it, what the local target has behind it, how its things are found on a
target that runs already, and how faults find them (its address). Readers, the plan, the stacks and `inject` ask the
table that is made from those classes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from chaoskit.handles.base import Handle
from chaoskit.kinds import kinds_of


@functools.cache
def handle_kinds() -> Mapping[str, type[Handle]]:
    """Every kind of handle by name; raises BadInput when a registered plugin is none."""
    return kinds_of(Handle, __name__, __name__, "handle kind")
