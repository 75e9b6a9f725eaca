"""Further checks of a run on scripted series: templates of its rules that failed, and notices to the wrong receivers.

When a condition shows is the script's doing, and there is no load: neither is judged (`Hop.scripted`). An alert that
never shows says that the script does not move it as it did for promtool: UNKNOWN, never the rule's failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chaoskit.hop import Hop
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Need, Strict, broken, kept
from chaoskit.verify.evidence import Episode, Evidence

UNLIKE = "the scripted series did not make the alert fire as they did for promtool"


def unlike(found: Strict, about: str = "") -> Strict:
    """The row, which no FAIL of the rule is where the series moved otherwise than for promtool."""
    says = f"{about}{UNLIKE}: {found.row.reason}"
    return Strict(found.row, (*found.needs, Need((0.0, 0.0), lambda _: says, known=UNLIKE)))


def _templates(case: Case) -> Iterator[Strict]:
    """A row for each expected alert with broken texts."""
    expected, doubts = {alert.rule.alert for alert in case.plan.alerts}, _doubts(case)
    for rule in case.plan.config.rules:
        if rule.alert in expected and rule.alert in case.templates.alerts and rule.alert not in doubts:
            what = f"a template of the rule fails: {case.templates.alerts[rule.alert]} ({rule.place})"
            yield broken(Hop.CONTENT, rule.alert, f"{rule.alert}: {what}")


def template_notes(case: Case) -> list[str]:
    """The templates that failed for a reason that says nothing of them."""
    doubts = _doubts(case).items()
    return [f"{a}: a template of its rule failed here, but {why}" for a, why in doubts if a in case.templates.alerts]


def _doubts(case: Case) -> dict[str, str]:
    return case.rehearsal.doubts if case.rehearsal else {}


def _astray(case: Case) -> Iterator[Strict]:
    """Receivers that heard of an expected alert though nothing leads it there, and nothing else says so."""
    for alert in case.plan.alerts if case.rehearsal else ():
        lives = [episode for episode in case.lives_of(alert) if episode.firing]
        doors = {notice.sink_key for notice in alert.notices}
        for notice in case.evidence.notices if alert.rule.alert in case.plan.beside else ():
            told = next((episode for episode in lives if episode.is_told(notice, "firing")), None)
            if notice.sink_key in doors or told is None or notice.refused:
                continue
            doors.add(notice.sink_key)
            labels = ", ".join(f"{k}={v}" for k, v in sorted(told.sent.items()))
            ways = f"only {' and '.join(alert.receivers) or 'no receiver'} should"
            to = f"{notice.receiver} ({notice.integration})"
            reason = f"{alert.rule.alert}: {to} heard of the alert, and {ways}; its labels: {labels}"
            yield broken(Hop.NOTIFY, alert.rule.alert, reason, to=to)


def is_restored(episode: Episode, evidence: Evidence) -> bool:
    """Whether the alert has been pending since before the first step, as where Prometheus starts on a past."""
    begun = min((invoke.t for invoke in evidence.faults.invokes.values()), default=0.0)
    return episode.own.get("pending", (0.0, 0.0))[0] < begun


def muted_by(case: Case, episode: Episode) -> list[str]:
    """The alerts that muted this one, by Alertmanager's word; none where none did."""
    return list(
        case.muting(e for e in case.evidence.suppressions if e.state == "suppressed" and episode.is_in(e.labels))
    )


SCRIPTED = (Check("templates", Case, _templates), Check("notices that went astray", Case, _astray))


_NUMBER = re.compile(
    r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:ns|us|µs|ms|[smhdywkMGTPE%])*(?:\s?\d+[smhdw])*",
    re.IGNORECASE,
)
_JITTER_REAL_S = 0.2
_MOST = 160


def _texts(case: Case) -> Iterator[Strict]:
    """A row for each alert whose annotations were told."""
    for each in case.rehearsal.texts if case.rehearsal else ():
        wrong: dict[str, str] = {}
        compared = 0
        for notice in case.evidence.notices:
            for item in notice.alerts:
                if not item.annotations or any(item.labels.get(k) != v for k, v in each.labels.items()):
                    continue
                compared += 1
                for key in sorted(each.annotations.keys() | item.annotations.keys()):
                    said, wanted = item.annotations.get(key, ""), each.annotations.get(key, "")
                    if _words(said) != _words(wanted):
                        wrong[key] = f"{key} says {_short(said)}, the test expects {_short(wanted)}"
        alert = each.labels["alertname"]
        if wrong:
            yield broken(Hop.CONTENT, alert, f"{alert}: {'; '.join(wrong.values())} ({each.place})")
        elif compared:
            yield kept(Hop.CONTENT, alert, f"exp_annotations in {compared} notices")


def _words(text: str) -> str:
    """The text without its numbers, which depend on how often series are scraped, and without its line breaks."""
    return " ".join(_NUMBER.sub("#", text).split())


def _short(text: str) -> str:
    words = " ".join(text.split())
    return f"'{words}'" if len(words) <= _MOST else f"'{words[:_MOST]}…'"


def _quiet(case: Case) -> Iterator[Strict]:
    """A row for each alert that fired when none might."""
    begun = next(iter(case.evidence.faults.effects.values()), None)
    if case.rehearsal is None or begun is None:
        return
    slack_s = case.rehearsal.late_vs / case.scale + _JITTER_REAL_S
    for quiet in case.rehearsal.quiet:
        at = begun[0] + quiet.at_vs / case.scale
        low, high = at - slack_s, at + begun[1] - begun[0] + slack_s
        for episode in case.evidence.episodes:
            if episode.name != quiet.alert or episode.firing is None or episode.firing[1] >= low:
                continue
            if episode.resolved is None or episode.resolved[0] > high:
                since = (at - episode.firing[1]) * case.scale
                what = f"the alert had been firing for {since:.0f} s when the test expects none"
                yield broken(Hop.HOLD, quiet.alert, f"{quiet.alert}: {what} ({quiet.place})")
                break


UNIT_TESTS = (Check("the tests' annotations", Case, _texts), Check("when nothing may fire", Case, _quiet))
