"""From a history to a verdict: pure. The same file gives the same bytes, on any machine, years later.

The plan is made again from the texts in the history's header, so nothing outside that file is read; no clock, no
network. A check that throws makes its rows UNKNOWN, never the verdict green.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from chaoskit.alerting.routing import told_by
from chaoskit.alerting.windows import delivery_of
from chaoskit.events import End, Header, Interruption, Steady
from chaoskit.history import History
from chaoskit.inputs import read_inputs
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Inventory, Plan, PlannedAlert
from chaoskit.units import amount
from chaoskit.verify.anchors import anchors_of, assign
from chaoskit.verify.checklist import Checklist, check
from chaoskit.verify.company import Company
from chaoskit.verify.conditions import judge_conditions
from chaoskit.verify.content import unshown, wrong_with
from chaoskit.verify.evidence import Episode, Evidence, gather
from chaoskit.verify.expected import not_judged, owed, unproved_rows
from chaoskit.verify.findings import describe, find
from chaoskit.verify.hops import HopJudge
from chaoskit.verify.judge import between
from chaoskit.verify.load import load_notes
from chaoskit.verify.outside import Mutes, mutes_of, notes_of_others, notes_of_strangers, unwitnessed_rows
from chaoskit.verify.requests import requests_of
from chaoskit.verify.suppressed import judge_suppressed
from chaoskit.verify.verdict import Figure, Result, Row, Verdict, exit_code, worst_of
from chaoskit.verify.volume import counted, judge_notices

_TAIL_SLACK_S = 1.5
"""Real seconds between the last word of any observer and the end of looking on."""


def plan_of(header: Header) -> Plan:
    """The plan that the run followed, made again from its header."""
    inputs = read_inputs(header.sources, header.scenario, header.profile, header.settings, header.set_aside)
    return make_plan(
        inputs.scenario,
        inputs.profile,
        inputs.config,
        Inventory({handle: tuple(names) for handle, names in header.targets.items()}),
        time_scale=header.time_scale,
        seed=header.seed,
        beside=header.beside,
    )


def verify(history: History, plan: Plan | None = None) -> Verdict:
    """Judges every promise of the scenario on what the history shows; `plan` replaces the one its header implies."""
    return judge_all(history, plan)[0]


def judge_all(history: History, plan: Plan | None = None) -> tuple[Verdict, list[Checklist]]:
    """The verdict, and the documented checklist of each expected instance."""
    plan = plan or plan_of(history.header)
    every_s = {rule.alert: rule.interval_s / plan.time_scale for rule in plan.config.rules if rule.alert}
    evidence = gather(history, every_s, plan.witnesses, partial(told_by, plan.config))
    rows: list[Row] = []
    figures: list[Figure] = []
    checklists: list[Checklist] = []
    notes: list[str] = []
    rows += _guarded("configuration", lambda: _configuration(plan, history.header))
    rows += _guarded("conditions", lambda: judge_conditions(plan, history, evidence))
    steady = next(history.of(Steady), None)
    abouts = [(alert, [about for _, about in instances(alert, [])]) for alert in plan.alerts]
    why = "no fault was injected"
    if steady is not None and steady.reached:
        why = "nothing that was recorded stands for it"
        owners = assign(plan, evidence)
        company = company_of(plan, evidence, history)
        until = evidence.phases.get("stopping", history.last_t)
        evidence.whole = _whole(plan, evidence, history, until)
        outside = mutes_of(plan, evidence)
        for number, alert in enumerate(plan.alerts):
            mine = [episode for episode in evidence.episodes if owners.get(id(episode)) is alert]
            abouts[number] = (alert, [about for _, about in instances(alert, mine)])
            judged = partial(_alert, plan, evidence, alert, owners, until, figures, checklists, company, outside)
            rows += _guarded(alert.id, judged)
        rows += unwitnessed_rows(plan)
        since = evidence.phases.get("steps", history.events[0].t)
        notes += notes_of_others(plan, evidence, since, until)
        rows += _guarded("findings", lambda: find(plan, evidence, owners, since, until))
    rows += not_judged([*owed(plan, abouts)], rows, why)
    result = worst_of(row.result for row in rows)
    interrupted = any(not event.trouble for event in history.of(Interruption))
    code = exit_code(result, healed=_healed(history, evidence), interrupted=interrupted)
    verdict = Verdict(
        run_id=history.header.run_id,
        scenario=plan.scenario.name,
        title=plan.scenario.title,
        time_scale=plan.time_scale,
        result=result,
        exit_code=int(code),
        figures=figures,
        rows=rows,
        notes=[
            *history.header.notes,
            *plan.warnings,
            *notes,
            *_volume(plan, evidence),
            *load_notes(history),
            *notes_of_strangers(history),
        ],
        requests=requests_of(history) or msgspec.UNSET,
    )
    return verdict, checklists


def _configuration(plan: Plan, header: Header) -> list[Row]:
    """The parts of the files that could not be read or settled, where something that is expected rests on it."""
    reasons = [(each.of[0] if each.of else "configuration", str(each)) for each in plan.puzzles]
    reasons += [("configuration", each) for each in header.doubts]
    return [Row(about=a, hop="configuration", result=Result.UNKNOWN, reason=reason) for a, reason in reasons]


def company_of(plan: Plan, evidence: Evidence, history: History) -> Company:
    """Who else was in the groups of a run's alerts, what had fired before anybody looked among them."""
    delivery_vs = delivery_of(plan.config, plan.time_scale)
    owed = {(alert.rule.alert, alert.expectation.suppressed_by) for alert in plan.alerts}
    mutes = [
        event
        for event in evidence.suppressions
        if event.state == "suppressed"
        and any((event.labels.get("alertname"), by.get("alertname")) in owed for by in event.inhibited_by)
    ]
    return Company(plan.config, evidence.episodes, plan.time_scale, delivery_vs, history.header.lingering, mutes)


def _alert(
    plan: Plan,
    evidence: Evidence,
    alert: PlannedAlert,
    owners: dict[int, PlannedAlert],
    until: float,
    figures: list[Figure],
    checklists: list[Checklist],
    company: Company,
    mutes: Mutes,
) -> list[Row]:
    mine = [episode for episode in evidence.episodes if owners.get(id(episode)) is alert]
    rows: list[Row] = []
    for episode, about in instances(alert, mine):
        anchors = anchors_of(plan, evidence, alert, episode)
        strays = [e for e in evidence.episodes if id(e) not in owners and alert.matches(e.labels)]
        if alert.names:
            strays = [e for e in strays if _named(alert, e.labels.get(alert.label)) == about]
        judged = HopJudge(evidence, alert, plan.time_scale, about, anchors, until, company, mutes, tuple(strays))
        mine_rows = judged.rows(episode)
        mine_rows += unproved_rows(alert, about)
        mine_rows += _content(plan, judged, alert, episode)
        mine_rows += [row for planned in alert.notices for row in judge_notices(judged, planned, episode)]
        mine_rows += judge_suppressed(plan, evidence, alert, episode, about, until)
        checklist, failures = check(plan, judged, episode, mine_rows)
        rows += [*mine_rows, *failures]
        checklists.append(checklist)
        figures += _figures(judged, alert, episode)
    return rows


def instances(alert: PlannedAlert, mine: list[Episode]) -> list[tuple[Episode | None, str]]:
    """Every instance that an expectation asks for, with its name in rows; None for one that never showed."""
    static = {**alert.rule.labels, **alert.expectation.labels}
    if alert.names:
        by_name = {episode.labels.get(alert.label): episode for episode in mine}
        return [(by_name.get(name), _named(alert, name)) for name in alert.names]
    missing: list[tuple[Episode | None, str]] = [(None, alert.rule.alert)] * (alert.count - len(mine))
    return [(episode, describe(episode.labels, static)) for episode in mine] + missing


def _named(alert: PlannedAlert, name: str | None) -> str:
    return f"{alert.rule.alert} {name}"


def _content(plan: Plan, judged: HopJudge, alert: PlannedAlert, episode: Episode | None) -> list[Row]:
    rows = []
    for planned in alert.notices:
        if planned.ask.mode == "never":
            continue
        due = ("firing", "resolved") if planned.all_clear is not None else ("firing",)
        came = {status: judged.heard(planned, episode, status) for status in ("firing", "resolved")}
        heard = [notice for notice in came.values() if notice is not None]
        wrong = list(dict.fromkeys(w for one in heard for w in wrong_with(one, planned, alert, plan.config.promise)))
        unseen = [f"no {status} notice was seen" for status in due if came[status] is None]
        unseen += unshown(planned, alert)
        who, result, reason = f"{judged.about} -> {planned.to}", Result.PASS, ""
        if wrong:
            result, reason = Result.FAIL, f"{who}: the notice came, but {'; '.join(wrong)}"
        elif unseen:
            result, reason = Result.UNKNOWN, f"not judged: {who}: {'; '.join(unseen)}"
        seen = amount(len(heard), "notices") if result is Result.PASS else ""
        rows.append(Row(about=judged.about, hop="content", to=planned.to, result=result, reason=reason, rests_on=seen))
    return rows


def _figures(judged: HopJudge, alert: PlannedAlert, episode: Episode | None) -> list[Figure]:
    figures = []
    for planned in alert.notices:
        if planned.ask.mode == "never":
            continue
        fault, undo = judged.anchors.fault, judged.anchors.undo
        fired, resolved = (judged.heard(planned, episode, status) for status in ("firing", "resolved"))
        low = alert.detect.lo_vs + alert.hold.lo_vs + planned.notify.lo_vs
        high = alert.detect.hi_vs + alert.hold.hi_vs + planned.notify.hi_vs
        clear = planned.all_clear
        figures.append(
            Figure(
                about=judged.about,
                to=planned.to,
                fault_to_notice=between(fired.sent, fault, judged.scale) if fired and fault else None,
                allowed=(low, high),
                undo_to_all_clear=between(resolved.sent, undo, judged.scale) if resolved and undo and clear else None,
                allowed_all_clear=(alert.clear.lo_vs, alert.clear.hi_vs + clear.hi_vs) if clear else None,
            )
        )
    return figures


def _whole(plan: Plan, evidence: Evidence, history: History, until: float) -> bool:
    """Whether the run looked on as long as it was to, so that what did not happen can be said not to happen."""
    tail = evidence.phases.get("tail")
    if tail is None or next(history.of(Interruption), None) is not None:
        return False
    return until >= tail + plan.tail_vs / plan.time_scale - _TAIL_SLACK_S


def _healed(history: History, evidence: Evidence) -> bool:
    end = next(history.of(End), None)
    return end.healed if end is not None else all(fault in evidence.gone for fault in evidence.invokes)


def _guarded(what: str, check: Callable[[], list[Row]]) -> list[Row]:
    try:
        return check()
    except Exception as error:
        reason = f"the check of {what} broke: {type(error).__name__}: {error}"
        return [Row(about=what, hop="finding", result=Result.UNKNOWN, reason=reason)]


def _volume(plan: Plan, evidence: Evidence) -> list[str]:
    """How many notices told people of how many alerts: what grouping and inhibition saved them."""
    since, until = evidence.phases.get("steps"), evidence.phases.get("stopping", float("inf"))
    if since is None:
        return []
    fired = [e for e in evidence.episodes if e.firing is not None and since <= e.firing[1] <= until]
    fired = [episode for episode in fired if not plan.only_beside(episode.labels)]
    if not fired:
        return []
    told, names = len(counted(plan, evidence, since, until)), len({episode.name for episode in fired})
    alerts, rules = amount(len(fired), "alerts"), amount(names, "rules")
    return [f"notices: {told} in all, the all-clears included, for {alerts} that fired ({rules})"]
