"""The metrics that a live Prometheus has, with their types, labels and jobs, for the lints that know metrics by file.

Seen within the last week, since a counter may not be there until something happens. A metric that was renamed leaves
its alert asleep: the selector finds nothing, and no error says so.
"""

from __future__ import annotations

import re
import time

import msgspec

from chaoskit.alerting.expression import expression, selectors
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.metrics import Metrics, read_metrics
from chaoskit.errors import BadInput, Problem
from chaoskit.examine.endpoint import Endpoint, NoAnswer
from chaoskit.scenario.catalog import find_profile
from chaoskit.scenario.model import Attached
from chaoskit.scenario.profile import load_profile_file

_SEEN_S = 7 * 86400
_PLAIN = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
"""Other names may be in quotes in a selector, and their type is not looked up."""


class _Kind(msgspec.Struct):
    type: str = ""


def live_metrics(where: str, config: AlertConfig) -> Metrics:
    """The metrics of a Prometheus, as far as a configuration reads them: at a URL, or of an attached profile.

    Raises BadInput where it gives no answer.
    """
    target = Attached(where.rstrip("/"), "", "", "")
    if not where.startswith(("http://", "https://")):
        found = load_profile_file(find_profile(where)).target
        if not isinstance(found, Attached):
            raise BadInput(Problem(None, f"--prometheus-url {where}: that profile's target is local", "write a URL"))
        target = found
    wanted = {
        one.name
        for rule in config.rules
        for one in selectors(expression(rule.expr))
        if one.name and one.name not in config.recorded
    }
    since = f"{time.time() - _SEEN_S:.0f}"
    try:
        asked = Endpoint(target, "prometheus")
        names, _ = asked.data("/api/v1/label/__name__/values", list[str], start=since)
        kinds, _ = asked.data("/api/v1/metadata", dict[str, list[_Kind]])
        here = sorted(wanted & set(names))
        labels = {one: frozenset(_values(asked, "labels", one, since)) for one in here}
        jobs = {one: frozenset(_values(asked, "label/job/values", one, since)) for one in here}
    except NoAnswer as error:
        said = error.checked
        raise BadInput(Problem(None, f"--prometheus-url: {said.detail}", said.mend)) from None
    if not names:
        raise BadInput(Problem(None, f"--prometheus-url: {target.prometheus} has no metrics", "is it the right one?"))
    plain = ((name, kind[0].type) for name, kind in kinds.items() if kind and _PLAIN.fullmatch(name))
    typed = [f"{name} {kind}" for name, kind in plain if kind]
    types = read_metrics("\n".join(typed), target.prometheus).types if typed else {}
    present = {name: types.get(name, "") for name in names}
    return Metrics(present, (), target.prometheus, {}, labels, jobs)


def _values(asked: Endpoint, path: str, metric: str, since: str) -> list[str]:
    return asked.data(f"/api/v1/{path}", list[str], **{"match[]": metric, "start": since})[0]
