"""The steady state before the first step: without it nobody could tell what a fault did.

Targets up, Alertmanager discovered, load flowing, and nothing pending or firing, all of it for as long as the
expected rules' ranges need. Alerts that the profile calls standing do not count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from chaoskit.errors import EquipmentError
from chaoskit.plan.model import Plan
from chaoskit.run.progress import Progress

_DISCOVERY_S = 30.0
_PATIENCE_REAL_S = 20.0
_PATIENCE_VS = 300.0
_LOOK_S = 0.1


def await_steady(
    plans: Sequence[Plan],
    progress: Progress,
    discover: Callable[[float], None],
    interrupted: threading.Event,
    hopeless: Callable[[], str] = lambda: "",
) -> list[str]:
    """Waits, bounded, for the steady state; what was still missing when patience ended, empty when it was reached.

    `discover` returns, within so many seconds, once Prometheus knows whom to scrape and whom to tell. The steady
    state is the same for all plans that begin together; the longest range among them counts. `hopeless` says why it
    can never be reached; empty while it may.
    """
    try:
        discover(_DISCOVERY_S)
    except EquipmentError as error:
        return [str(error)]
    plan = plans[0]
    quiet_vs = max(*(each.steady_vs for each in plans), 2 * (_scrape_s(plan) + plan.config.evaluation_interval_s))
    end = time.monotonic() + _PATIENCE_REAL_S + (_PATIENCE_VS + quiet_vs) / plan.time_scale
    quiet_since = time.monotonic()
    while not interrupted.is_set():
        if why := hopeless():
            return [why]
        missing = _missing(progress, plan.profile.load.given)
        now = time.monotonic()
        if missing:
            quiet_since = now
        elif now - quiet_since >= quiet_vs / plan.time_scale:
            return []
        if now > end:
            return [*missing, *_standing(missing)] or ["quiet has not lasted long enough"]
        with progress.news:
            progress.news.wait(_LOOK_S)
    return ["the run was interrupted"]


def _missing(progress: Progress, loaded: bool) -> list[str]:
    windows = progress.fold.windows
    missing = progress.active() + progress.fold.trouble
    if loaded and not (windows and windows[-1].finished):
        missing.append("no load is flowing; see load.log")
    return missing


def _standing(missing: list[str]) -> list[str]:
    """What to do about alerts that fire in health, such as a watchdog."""
    firing = ", ".join(sorted({one.partition(" ")[0] for one in missing if one.endswith(" is firing")}))
    if not firing:
        return []
    return [f"an alert that always fires is named in the profile, standing: [{firing}] (--set 'standing=[{firing}]')"]


def _scrape_s(plan: Plan) -> float:
    return max((job.interval_s for job in plan.config.jobs), default=15.0)
