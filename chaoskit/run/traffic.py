"""From the profile's load and what the target says of its requests to the load generator's own description."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from chaoskit.errors import BadInput, Problem
from chaoskit.load.model import LoadSpec, RequestSpec
from chaoskit.plan.model import Plan
from chaoskit.units import parse_rate

_STARTUP_S = 120.0


def load_spec(plan: Plan, host: str, requests: Mapping[str, list[dict[str, Any]]]) -> LoadSpec:
    """The load of a run; raises BadInput for a mix that the target does not know."""
    load = plan.profile.load
    mix, specs = expand(load.mix, requests)
    return LoadSpec(
        host=host,
        rate=load.rate_per_s,
        users=load.users,
        locustfile=load.locustfile,
        mix={} if load.locustfile else mix,
        requests={} if load.locustfile else specs,
        limit_s=plan.profile.limits.run_s + _STARTUP_S,
        seed=plan.seed,
    )


def changed_spec(spec: LoadSpec, settings: Mapping[str, Any]) -> LoadSpec:
    """The same load with another rate or another number of users; raises BadInput."""
    known = {"rate", "users"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise BadInput(Problem(None, f"load has no setting {', '.join(unknown)}", "it has rate and users"))
    try:
        rate = parse_rate(str(settings["rate"])) if "rate" in settings else spec.rate
    except ValueError as error:
        raise BadInput(str(error)) from None
    return dataclasses.replace(spec, rate=rate, users=settings.get("users", spec.users))


def expand(
    mix: Mapping[str, int], requests: Mapping[str, list[dict[str, Any]]]
) -> tuple[dict[str, int], dict[str, RequestSpec]]:
    """Each name of the mix with its turns as names of their own, weights kept in proportion exactly.

    A name whose requests take turns becomes `name/1`, `name/2` and so on.
    """
    unknown = [name for name in mix if name not in requests]
    if unknown:
        known = ", ".join(sorted(requests))
        raise BadInput([Problem(None, f"load: the target has no request '{n}'", f"it has {known}") for n in unknown])
    together = math.lcm(*(len(requests[name]) for name in mix)) if mix else 1
    weights: dict[str, int] = {}
    specs: dict[str, RequestSpec] = {}
    for name, weight in mix.items():
        turns = requests[name]
        for number, request in enumerate(turns, 1):
            key = name if len(turns) == 1 else f"{name}/{number}"
            weights[key] = weight * together // len(turns)
            specs[key] = RequestSpec(**request)
    return weights, specs
