"""The console's pages as HTML fragments, made here from a run's history: the browser only puts them in their place.

A running drill's page is a set of fragments by key; the whole page and the stream are made of the same ones. Texts
from outside pass the report's own gates: control characters are made visible, and the templates escape.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from chaoskit.console.commands import Drill
from chaoskit.console.stream import Watched
from chaoskit.errors import ExitCode
from chaoskit.events import Invoke, Notice
from chaoskit.plan.model import Plan
from chaoskit.report.html import DAMAGED, NOT_DRAWN, environment
from chaoskit.report.html_causes import causes
from chaoskit.report.html_live import Live
from chaoskit.report.html_notices import told
from chaoskit.report.html_tables import banner
from chaoskit.report.live import PHASES, countdowns, promised_next
from chaoskit.report.load import load_line
from chaoskit.report.notes import Note
from chaoskit.report.terminal import describe, hops_of
from chaoskit.report.text import allowed, clean, real, seconds, shortened
from chaoskit.units import amount

KEYS = ("status", "head", "banner", "controls", "faults", "alerts", "trouble", "timeline", "notices", "notes", "rest")
"""The fragments of a drill's page, in their order."""
QUIET_S = 5.0
"""Real seconds after which a run that says nothing is told to be silent."""
_MOST = 60


@dataclass(frozen=True, slots=True)
class Place:
    """The console's own state, which every page has."""

    token: str
    """The secret that commands must carry."""
    may_start: bool
    """Whether drills are begun here; beside a run of the terminal they are not."""
    ending: bool = False
    """Whether the console is about to end."""


@cache
def templates() -> jinja2.Environment:
    """The Jinja environment with the console's page templates and those of the report."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader("chaoskit.console"), jinja2.PackageLoader("chaoskit.report")])
    found = environment().overlay(loader=loader)
    found.globals.update(hash=_hash, real=real, seconds=seconds, amount=amount, clock=clock)
    return found


def page(template: str, place: Place, nonce: str, **parts: Any) -> str:
    """A whole page of the console as HTML."""
    return templates().get_template(template).render(place=place, nonce=nonce, **parts)


def state_of(drill: Drill, watched: Watched | None, now: float) -> str:
    """Where a drill stands: starting, running, healing, judging, over, not-healed, refused or died."""
    if watched is None or watched.live is None:
        return "starting" if drill.alive else "refused"
    if watched.verdict is not None:
        if watched.verdict.exit_code == ExitCode.NOT_HEALED:
            return "not-healed"
        # One that was begun here is over once its process is: before, no other can begin.
        return "judging" if drill.process is not None and drill.alive else "over"
    if watched.end is not None:
        if not watched.end.healed:
            return "not-healed"
        return "judging" if drill.alive else "over"
    if not drill.alive:
        return "died"
    fold = watched.live.progress.fold
    return "healing" if drill.stopping or fold.interruptions or fold.phase in ("undo", "stopping") else "running"


def fragments(place: Place, drill: Drill, watched: Watched | None, now: float) -> dict[str, str]:
    """Every fragment of a drill's page, by key; one that cannot be drawn says so, and the others are drawn."""
    state = state_of(drill, watched, now)
    live = watched.live if watched else None
    known: dict[str, Any] = {
        "place": place,
        "drill": drill,
        "state": state,
        "watched": watched,
        "live": live,
        "now": now,
        "name": live.plan.scenario.name if live else drill.scenario,
    }
    makers: dict[str, Callable[[], Mapping[str, Any]]] = {
        "status": lambda: {"said": _status(state, live)},
        "head": lambda: _head(live, now),
        "banner": lambda: _banner(watched, drill, state, now),
        "controls": dict,
        "faults": lambda: {"faults": _faults(live, now)},
        "alerts": lambda: {"alerts": _alerts(live, now)},
        "trouble": lambda: {"troubles": live.progress.fold.trouble[-6:] if live else []},
        "timeline": lambda: {"shown": _picture(live, watched.notes if watched else (), now)},
        "notices": lambda: _notices(live, now),
        "notes": lambda: {"notes": watched.notes if watched else []},
        "rest": dict,
    }
    found = {}
    for key in KEYS:
        try:
            found[key] = templates().get_template(f"part-{key}.html").render(**known, **makers[key]()).strip()
        except DAMAGED:
            found[key] = f"<p>{NOT_DRAWN}</p>"
    return found


def _status(state: str, live: Live | None) -> str:
    """One sentence for those who listen rather than look."""
    if live is None:
        return {"starting": "the drill is starting", "refused": "the drill did not begin"}.get(state, state)
    fold = live.progress.fold
    standing = ", ".join(f"{one.kind} on {', '.join(one.targets) or 'the target'}" for one in _in_force(live))
    firing = ", ".join(dict.fromkeys(one.name for one in fold.live if one.state == "firing"))
    words = [_PHASES.get(state) or PHASES[fold.phase]]
    words += [f"in force: {standing}"] if standing else []
    words += [f"firing: {firing}"] if firing else []
    return "; ".join(words)


_PHASES = {
    "healing": "undoing what is in force",
    "judging": "judging what was seen",
    "over": "the drill is over",
    "not-healed": "NOT HEALED: something may still be broken",
    "died": "the run has died",
}


def _head(live: Live | None, now: float) -> dict[str, Any]:
    if live is None:
        return {"title": "", "phase": "", "step": "", "virtual": 0.0, "took_s": 0.0, "left_s": None}
    fold, plan = live.progress.fold, live.plan
    running = fold.step
    found = next(((n, p.step) for n, p in enumerate(plan.steps, 1) if p.step.name == running), None)
    step = f"step {found[0]} of {len(plan.steps)}: {describe(found[1])}" if found else ""
    begun = "steps" in fold.phases
    until = live.last_t if fold.phase == "stopping" else now
    return {
        "title": plan.scenario.title,
        "phase": PHASES[fold.phase],
        "step": step,
        "virtual": max(0.0, (until - live.zero) * plan.time_scale) if begun else 0.0,
        "took_s": max(0.0, until - live.header.t),
        "left_s": max(0.0, live.axis(now).end - now) if fold.phase != "stopping" else None,
    }


def _banner(watched: Watched | None, drill: Drill, state: str, now: float) -> dict[str, Any]:
    """The banner above everything: verdict, refusal, faults that are not healed, observers that are silent."""
    blind: list[str] = []
    if watched is not None and watched.live is not None and state in ("running", "healing"):
        fold = watched.live.progress.fold
        blind = [f"{one.equipment}: {one.detail}" for one in (*fold.outages, *fold.unanswered) if one.end is None]
        silent_s = now - max(watched.heard, drill.began)
        if silent_s > QUIET_S:
            blind.append(f"the run has written nothing for {silent_s:.0f} s")
    verdict = watched.verdict if watched else None
    return {
        "shown": banner(verdict, (), causes(verdict.rows)) if verdict else None,
        "blind": list(dict.fromkeys(blind)),
        "said": drill.said() if state in ("refused", "died") else "",
        "wrong": watched.trouble if watched else "",
        "left": watched.end.left if watched and watched.end else [],
    }


def _in_force(live: Live) -> list[Invoke]:
    faults = live.progress.fold.faults
    return [one for name, one in faults.standing.items() if name in faults.effects]


def _faults(live: Live | None, now: float) -> list[dict[str, Any]]:
    """Each fault that stands, and by when it is undone at the latest."""
    if live is None:
        return []
    faults = live.progress.fold.faults
    return [
        {
            "name": name,
            "what": f"{one.kind} on {', '.join(one.targets)}" if one.targets else one.kind,
            "in_force": name in faults.effects,
            "undoing": name in faults.undo_begun,
            "left_s": max(0.0, one.t + one.max_s - now),
        }
        for name, one in list(faults.standing.items())[:_MOST]
    ]


def _alerts(live: Live | None, now: float) -> list[dict[str, Any]]:
    """Each expected instance: its state, and which hop is awaited next, at which receiver, for how long."""
    if live is None:
        return []
    found = []
    for alert in live.plan.alerts:
        episodes = live.progress.episodes_of(alert)
        for episode in episodes:
            name = " ".join([alert.rule.alert, episode.labels.get(alert.label, "") if alert.label else ""]).strip()
            next_ = countdowns(alert, episode, live.plan.time_scale, now)
            found.append({"name": name, "state": episode.state, "next": next_, "heard": _heard(alert, episode)})
        for _ in range(max(0, alert.count - len(episodes))):
            name = " ".join([alert.rule.alert, *(alert.names if alert.count == 1 else ())])
            coming = promised_next(live.progress, alert, now)
            found.append({"name": name, "state": "inactive", "next": coming, "heard": []})
    return found[:_MOST]


def _heard(alert: Any, episode: Any) -> list[str]:
    told_ = [f"{n.to}: told" for n in alert.notices if n.sink_key in episode.told and n.sink_key not in episode.cleared]
    return [*told_, *(f"{n.to}: all-clear" for n in alert.notices if n.sink_key in episode.cleared)]


def _picture(live: Live | None, notes: Sequence[Note], now: float) -> dict[str, Any] | None:
    if live is None or "steps" not in live.progress.fold.phases:
        return None
    return live.picture(live.progress.fold.phases.get("stopping", now), notes)


def _notices(live: Live | None, now: float) -> dict[str, Any]:
    """Those that arrived, the newest first."""
    if live is None:
        return {"notices": [], "left_out": 0}
    notices: Sequence[Notice] = live.progress.fold.notices
    newest = list(reversed(notices))[:_MOST]
    return {"notices": told(newest, live.axis(now))[0], "left_out": len(notices) - len(newest)}


def preview(plan: Plan) -> dict[str, Any]:
    """A plan as the page before a drill shows it: targets, steps, windows, warnings."""
    steps = [
        {
            "name": planned.step.name,
            "what": describe(planned.step),
            "targets": "; ".join(f"{f.handle}: {', '.join(f.targets)}" for f in planned.faults if f.handle),
            "most": seconds(planned.at_most_vs) if planned.at_most_vs else "",
        }
        for planned in plan.steps
    ]
    windows = [
        {
            "about": " ".join([alert.rule.alert, *alert.names]) if not number else "",
            "hop": window.hop,
            "to": to,
            "since": window.hop.since,
            "allowed": allowed((window.lo_vs, window.hi_vs)),
            "setting": shortened(window.setting),
        }
        for alert in plan.alerts
        for number, (to, window) in enumerate(hops_of(alert))
    ]
    return {
        "plan": plan,
        "steps": steps,
        "windows": windows,
        "load": load_line(plan.profile.load),
        "longest": real(plan.longest_real_s),
        "tail": seconds(plan.tail_vs),
    }


def bands(live: Live | None, now: float) -> list[dict[str, Any]]:
    """The bands behind the lines of Locust's charts: faults in force and alerts firing, begin to end (epoch, s)."""
    if live is None:
        return []
    fold = live.progress.fold
    until = fold.phases.get("stopping", now)
    found = [
        {
            "kind": "fault",
            "name": f"{invoke.kind} on {', '.join(invoke.targets)}" if invoke.targets else invoke.kind,
            "from": fold.faults.effects[name][0],
            "to": fold.faults.gone[name][1] if name in fold.faults.gone else until,
        }
        for name, invoke in fold.faults.invokes.items()
        if name in fold.faults.effects
    ]
    found += [
        {
            "kind": "alert",
            "name": one.name,
            "from": one.firing[0],
            "to": one.resolved[1] if one.resolved is not None else until,
        }
        for one in fold.episodes
        if one.firing is not None
    ]
    return found[:_MOST]


def chaos_rows(live: Live | None, now: float) -> list[dict[str, str]]:
    """The table of Locust's Chaos tab, in which all cells are texts and rows are sorted by `name`."""
    if live is None:
        return []
    fold = live.progress.fold
    rows = [("step", f"{name}", "runs" if runs else "done", "") for name, runs in fold.steps.items()]
    for name, invoke in fold.faults.invokes.items():
        standing = name in fold.faults.standing
        state = "undone" if not standing else "in force" if name in fold.faults.effects else "about to take effect"
        most = f"undone at the latest in {real(max(0.0, invoke.t + invoke.max_s - now))} (real)" if standing else ""
        rows.append(("fault", f"{invoke.kind} {', '.join(invoke.targets)}", state, most))
    rows += [
        ("alert", one["name"], one["state"], "; ".join([*one["heard"], *one["next"]])) for one in _alerts(live, now)
    ]
    rows += [
        ("notice", f"{one.receiver} ({one.integration}) {live.axis(now).at(one.sent[1])}", one.status, one.subject)
        for one in fold.notices[-_MOST:]
    ]
    order = {"step": 1, "fault": 2, "alert": 3, "notice": 4}
    return [
        {
            "name": clean(f"{order[kind]}.{number:02d} {name}"),
            "kind": kind,
            "state": state,
            "next": clean(shortened(next_)),
        }
        for number, (kind, name, state, next_) in enumerate(rows[: 3 * _MOST], 1)
    ]


def clock(instant: float) -> str:
    """An instant as people's clocks show it."""
    return time.strftime("%H:%M:%S", time.localtime(instant))


def _hash(value: object) -> str:
    """Tells one content from another, so that what is unchanged is left as it is on the page."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()[:16]
