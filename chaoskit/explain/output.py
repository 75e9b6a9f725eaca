"""An explanation as JSON: the same facts as the text, in seconds, with files and lines apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from chaoskit.alerting.model import PromisedTime
from chaoskit.alerting.silences import written
from chaoskit.alerting.windows import Window
from chaoskit.explain.alert import Explanation, MutedBy, first_to_hear
from chaoskit.explain.recipients import Delivery
from chaoskit.explain.when import Silence


def to_json(explanations: Iterable[Explanation], silence: Silence | None = None) -> str:
    """One JSON object with a list `alerts`, one for each rule of the name; all durations in seconds.

    Where a silence is asked about, `silence` lists what it would mute.
    """
    found: dict[str, Any] = {"alerts": [_alert(each) for each in explanations]}
    if silence is not None:
        found["silence"] = {
            "matchers": [written((each,)) for each in silence.matchers],
            "of_alerts": silence.alerts,
            "mutes": [
                {
                    "alert": each.subject.rule.alert,
                    "place": asdict(each.subject.rule.place),
                    "certain": not each.open,
                    "open": list(each.open),
                    "receivers": list(each.receivers),
                }
                for each in silence.mutes
            ],
        }
    return json.dumps(found, indent=2, ensure_ascii=False)


def _alert(explanation: Explanation) -> dict[str, Any]:
    reach = explanation.reach
    rule, alert, beside = reach.subject.rule, reach.subject.alert, explanation.beside
    return {
        "alert": rule.alert,
        "place": asdict(rule.place),
        "fault_to_phone_s": first_to_hear(reach.heard),
        "fault_to_firing_s": reach.firing_s,
        "undo_to_resolved_s": reach.resolved_s,
        "expression": rule.expr,
        "for_s": rule.for_s,
        "keep_firing_for_s": rule.keep_firing_for_s,
        "group": rule.group,
        "sent": alert.sent.name.lower(),
        "labels": {
            "known": dict(alert.labels),
            "given": dict(reach.subject.given),
            "assumed": dict(reach.subject.assumed),
            "open": list(explanation.open_labels),
        },
        "annotations": dict(rule.annotations),
        "hops": [_window(each) for each in (reach.detect, reach.hold, reach.clear) if each is not None],
        "receivers": [_heard(explanation, each) for each in reach.heard],
        "muted_by": [_muted(each) for each in explanation.muted_by],
        "promised": [
            {key: value for key, value in asdict(each).items() if key != "alert"} for each in explanation.promised
        ],
        "promised_beside": {
            "labels": dict(beside.labels),
            "levels": {"quiet": beside.levels.quiet, "fires": beside.levels.fires} if beside.levels else None,
            "muted_by": None if beside.muted_by is None else list(beside.muted_by),
            "hours": beside.hours or None,
        },
        "departures": [
            {"id": each.id, "place": asdict(each.place), "message": each.message, "broken": each.broken}
            for each in explanation.departures
        ],
        "proved_by": [
            {"scenario": one.name, "place": asdict(each.place), "suppressed_by": each.suppressed_by}
            for one, each in explanation.proofs
        ],
        "not_given": list(explanation.missing),
    }


def _heard(explanation: Explanation, heard: Delivery) -> dict[str, Any]:
    return {
        "receiver": heard.receiver,
        "certain": heard.certain,
        "fault_to_phone_s": heard.phone_s,
        "fault_to_phone_live_s": heard.phone_live_s,
        "undo_to_all_clear_s": heard.all_clear_s,
        "promised_phone_s": _bound(explanation.beside.phone, heard),
        "promised_all_clear_s": _bound(explanation.beside.all_clear, heard),
        "repeat_s": heard.repeat_s,
        "group_key": heard.group_key,
        "notify": _window(heard.notify),
        "routes": [
            {
                "path": [index + 1 for index in route.path],
                "place": asdict(route.place),
                "matchers": [written((each,)) for each in route.matchers],
                "continue": route.continues,
            }
            for route in explanation.passed[heard.route.path]
        ],
        "mute_time_intervals": list(heard.route.muted_in),
        "active_time_intervals": list(heard.route.active_in),
        "at": _told(explanation, heard),
        "integrations": [
            {"kind": each.kind, "to": list(each.to), "send_resolved": each.send_resolved} for each in heard.integrations
        ],
    }


def _told(explanation: Explanation, heard: Delivery) -> dict[str, Any] | None:
    """Whether it is told at the instant that is asked about; None where none is."""
    told = explanation.told.get(heard.route.path)
    if told is None or explanation.at is None:
        return None
    until = told.until.isoformat() if told.until else None
    return {"instant": explanation.at.isoformat(), "tells": told.tells, "until": until}


def _bound(bounds: Mapping[str, PromisedTime], heard: Delivery) -> float | None:
    bound = bounds.get(heard.receiver)
    return bound.seconds if bound else None


def _muted(muted: MutedBy) -> dict[str, Any]:
    return {
        "by": muted.mute.source.name,
        "place": asdict(muted.mute.rule.place),
        "conditions": list(muted.mute.conditions),
        "source_fault_to_firing_s": muted.firing_s,
        "source_undo_to_resolved_s": muted.resolved_s,
        "too_late_for_the_first_notice": muted.too_late,
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "hop": window.hop,
        "from_s": window.lo_vs,
        "to_s": window.hi_vs,
        "setting": window.setting,
        "place": asdict(window.place) if window.place else None,
    }
