"""The price of a drill on a running system, in shares of the month's budgets, said before it begins; --max-budget."""

from __future__ import annotations

import time
from pathlib import Path

import click

from chaoskit.cli.console import say
from chaoskit.cli.numbers import share
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.plan.model import Plan
from chaoskit.scenario.model import Attached
from chaoskit.sla.targets import TARGETS, Targets, load_targets

MAX_BUDGET = click.option(
    "--max-budget",
    type=share,
    metavar="PERCENT",
    help="Refuse a drill on a running system that may cost more of a month's budget (sla/targets.yml).",
)


def exposed_s(plan: Plan) -> float:
    """Real seconds for which the plan's faults may be in force at most: as its steps, and its limits, let them."""
    begun = next((number for number, step in enumerate(plan.steps) if step.faults), None)
    if begun is None:
        return 0.0
    steps_s = (sum(step.at_most_vs for step in plan.steps[begun:]) + plan.end_vs) / plan.time_scale
    faults_s = sum(bool(step.faults) for step in plan.steps) * plan.profile.limits.fault_s
    return min(steps_s, faults_s, plan.profile.limits.run_s)


def told(plan: Plan, most: float | None) -> None:
    """Says the price of a drill on a running system; raises BadInput where it is more than `most`, or than is left."""
    if not isinstance(plan.profile.target, Attached):
        return
    if not TARGETS.is_file():
        if most is not None:
            hint = "write them with `chaoskit sla init`"
            raise BadInput(Problem(Place(str(TARGETS)), "--max-budget needs targets, and there are none", hint))
        return
    from chaoskit.sla.against import watched
    from chaoskit.sla.cost import price

    targets = load_targets(TARGETS)
    left = _left(targets, plan.profile.target.environment)
    refused = []
    for level in watched(targets):
        one = price(level, exposed_s(plan), left.get(level.name))
        say(f"price of {one}")
        if most is not None and (one.share > most or (one.left is not None and one.share > one.left)):
            refused.append(Problem(level.place, f"the drill may cost too much: {one}", f"allow more than {most:.0%}"))
    if refused:
        raise BadInput(refused)


def _left(targets: Targets, environment: str) -> dict[str, float]:
    """By level, the share of the running month's budget that is left; of what was recorded of this environment."""
    from chaoskit.sla.compute import compliance
    from chaoskit.sla.store import DEFAULT_DB, open_store
    from chaoskit.sla.windows import month_of

    if not Path(DEFAULT_DB).is_file():
        return {}
    now = int(time.time())
    with open_store(DEFAULT_DB, create=False) as store:
        if environment not in store.environments():
            return {}
        results = compliance(store, targets, month_of(now, targets.zone), now=now, environments=[environment])
    return {one.level: one.budget_left / one.budget for one in results if one.basis == "contract" and one.budget > 0}
