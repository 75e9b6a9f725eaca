"""The scenarios that exercise what a mutant changes: if any notices it, it is one of these.

The one idea: a scenario exercises the alerts, routes, receivers and inhibitions that it expects, and the alerts that it
expects to be silent just below their thresholds; a change about none of them (templates, a mail's relay, scraping) is
exercised by every delivery.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from chaoskit.alerting.model import AlertConfig
from chaoskit.check.lint_context import LintContext
from chaoskit.diff.expressions import behind
from chaoskit.mutate.model import Mutant
from chaoskit.scenario.model import Scenario

_ROUTE = re.compile(r"route ([\d.]+\d|\d)")
_INHIBITION = re.compile(r"inhibition (\d+)")


class Exercised:
    """The parts of a configuration that each scenario exercises."""

    def __init__(self, config: AlertConfig, scenarios: Sequence[Scenario]) -> None:
        self._config = config
        # The fewer it expects, the shorter it is, and the plainer what it says.
        by_size = sorted(scenarios, key=lambda each: (len(each.expect), len(each.steps), each.name))
        self._by_scenario = {each.name: LintContext(config, [each]).exercised for each in by_size}
        self._quiet = {each.name: {control.alert for control in each.controls} for each in by_size}

    def by(self, mutant: Mutant) -> tuple[str, ...]:
        """Names of scenarios: the one that expects least first, those that expect its silence last; empty where none
        exercises it."""
        kind, wanted = self._part(mutant)
        found = [name for name, done in self._by_scenario.items() if done[kind] & wanted]
        found += [name for name, quiet in self._quiet.items() if kind == "alerts" and quiet & wanted]
        return tuple(dict.fromkeys(found))

    def _part(self, mutant: Mutant) -> tuple[str, Set[object]]:
        alerts = [rule for rule in self._config.rules if rule.alert]
        if mutant.about:
            readers = (rule.alert for rule in alerts if mutant.about in behind(self._config, rule))
            return "alerts", {mutant.about, *readers}
        if mutant.site.startswith("group "):
            group = mutant.site.removeprefix("group ").removesuffix(".labels")
            return "alerts", {rule.alert for rule in alerts if group == rule.group}
        if found := _ROUTE.match(mutant.site):
            path = tuple(int(number) - 1 for number in found[1].split("."))
            return "routes", {path}
        if found := _INHIBITION.match(mutant.site):
            return "inhibitions", {int(found[1]) - 1}
        receiver = next((name for name in self._config.receivers if mutant.site.startswith(f"{name}.")), None)
        return "receivers", {receiver} if receiver else set(self._config.receivers)
