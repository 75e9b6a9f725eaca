"""From a history to a verdict: pure. The same file gives the same bytes, on any machine, years later.

The plan is made again from the texts in the history's header, so nothing outside that file is read; no clock, no
network. Each check of `CHECKS` judges strictly, and then `excuse` is asked of every row. A check that throws makes its
rows UNKNOWN, never the verdict green; so does one that leaves out a row that it owes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from chaoskit.events import End, Header, Interruption
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.inputs import read_inputs
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Plan
from chaoskit.units import amount
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.check import Check, Owed, between
from chaoskit.verify.checklist import Checklist, checklist
from chaoskit.verify.checks import CHECKS
from chaoskit.verify.excuses import excuse
from chaoskit.verify.findings import NOTHING_ELSE, notes_of_others, notes_of_strangers
from chaoskit.verify.load import load_notes
from chaoskit.verify.requests import requests_of
from chaoskit.verify.scripted import template_notes
from chaoskit.verify.verdict import Figure, Result, Row, Verdict, exit_code, worst_of
from chaoskit.verify.volume import counted


def plan_of(header: Header) -> Plan:
    """The plan that the run followed, made again from its header."""
    inputs = read_inputs(header.sources, header.scenario, header.profile, header.settings, header.set_aside)
    config, rehearsal = inputs.config, header.rehearsal
    if rehearsal is not None and rehearsal.rules is not None:
        loaded = tuple(rule for rule in config.rules if rule.record or rule.key in rehearsal.rules)
        config = replace(config, rules=loaded)
    plan = make_plan(
        inputs.scenario,
        inputs.profile,
        config,
        {handle: tuple(names) for handle, names in header.targets.items()},
        time_scale=header.time_scale,
        seed=header.seed,
        beside=header.beside,
    )
    owed = [alert.id for alert in plan.alerts] if rehearsal is None else rehearsal.owed
    alerts = tuple(alert if alert.id in owed else replace(alert, unproved=()) for alert in plan.alerts)
    return replace(plan, alerts=alerts)


def verify(history: History, plan: Plan | None = None) -> Verdict:
    """Judges every promise of the scenario on what the history shows; `plan` replaces the one its header implies."""
    return judge_all(history, plan)[0]


def judge_all(history: History, plan: Plan | None = None) -> tuple[Verdict, list[Checklist]]:
    """The verdict, and the documented checklist of each expected instance."""
    return judge_case(Case(history, plan or plan_of(history.header)))


def judge_case(case: Case) -> tuple[Verdict, list[Checklist]]:
    """The verdict of a run whose evidence is in order already."""
    history = case.history
    plan, rows, hidden, owing, checklists = case.plan, list[Row](), list[Row](), list[Owed](), list[Checklist]()
    for checks, subjects in _by_subject(CHECKS, case):
        for subject in subjects:
            owing += _by_receiver(owed for check in checks for owed in check.owes(subject))
            mine = [row for check in checks if case.began or check.always for row in _rows(check, subject, case)]
            rows += [row for row in mine if _is_shown(row, case)]
            hidden += [row for row in mine if not _is_shown(row, case)]
            if case.began and isinstance(subject, Instance):
                checklists.append(checklist(subject, mine))
    rows += _not_judged(owing, [*rows, *hidden], case.began)
    result = worst_of(row.result for row in rows)
    interrupted = any(not event.trouble for event in history.of(Interruption))
    code = exit_code(result, healed=_healed(case), interrupted=interrupted)
    verdict = Verdict(
        run_id=history.header.run_id,
        scenario=plan.scenario.name,
        title=plan.scenario.title,
        time_scale=plan.time_scale,
        result=result,
        exit_code=int(code),
        figures=[figure for one in case.instances for figure in _figures(one)] if case.began else [],
        rows=rows,
        notes=[
            *history.header.notes,
            *plan.warnings,
            *(notes_of_others(plan, case.evidence, case.since, case.until) if case.began else ()),
            *_volume(case),
            *load_notes(history),
            *notes_of_strangers(history),
            *template_notes(case),
            *_later(history),
        ],
        requests=requests_of(history) or msgspec.UNSET,
    )
    return verdict, checklists


def _by_subject(checks: Sequence[Check[Any]], case: Case) -> Iterator[tuple[Sequence[Check[Any]], Sequence[Any]]]:
    """Checks with what they judge: all those of instances together, where the first of them stands."""
    first = next((at for at, check in enumerate(checks) if check.of is Instance), len(checks))
    yield checks[:first], [case]
    yield [check for check in checks if check.of is Instance], case.instances
    yield [check for check in checks[first:] if check.of is Case], [case]


def _rows(check: Check[Any], subject: Any, case: Case) -> list[Row]:
    """The rows of a check after the excuses; one UNKNOWN row where the check itself raises."""
    try:
        return [excuse(one, case) for one in check.judge(subject)]
    except Exception as error:
        reason = f"the check of {check.name} broke: {type(error).__name__}: {error}"
        return [Row(about=check.name, hop=Hop.FINDING, result=Result.UNKNOWN, reason=reason)]


def _is_shown(row: Row, case: Case) -> bool:
    """Whether the verdict shows the row; of hops that scripted series cannot show, only what was not observed."""
    if row.hop.only_failures:
        return row.result is Result.FAIL
    return row.hop.scripted or case.rehearsal is None or (row.result is not Result.PASS and row.observed is None)


def _by_receiver(owed: Iterable[Owed]) -> list[Owed]:
    """The owed rows, each receiver's together."""
    hops, found = list(Hop), list(owed)
    receivers = list(dict.fromkeys(["", *(to for _, _, to in found)]))
    return sorted(found, key=lambda one: (receivers.index(one[2]), hops.index(one[1])))


def _not_judged(owing: Sequence[Owed], rows: Sequence[Row], began: bool) -> Iterator[Row]:
    """An UNKNOWN row for each that is owed and missing. A finding stands for "nothing else"."""
    why = "the history holds no event that shows it" if began else "no fault was injected"
    there = Counter((row.about, row.hop, row.to) for row in rows)
    there[NOTHING_ELSE, Hop.FINDING, ""] += any(row.hop is Hop.FINDING for row in rows)
    for (about, hop, to), times in (Counter(owing) - there).items():
        reason = f"not judged: {about}, {hop}{to and f' at {to}'}: {why}"
        yield from [Row(about=about, hop=hop, to=to, result=Result.UNKNOWN, reason=reason)] * times


def _figures(one: Instance) -> Iterator[Figure]:
    alert, fault, undo, scale = one.alert, one.anchors.fault, one.anchors.undo, one.case.scale
    for planned in alert.notices:
        if planned.ask.mode == "never":
            continue
        fired, resolved = one.heard(planned, "firing"), one.heard(planned, "resolved")
        low = alert.detect.lo_vs + alert.hold.lo_vs + planned.notify.lo_vs
        high = alert.detect.hi_vs + alert.hold.hi_vs + planned.notify.hi_vs
        clear = planned.all_clear
        yield Figure(
            about=one.about,
            to=planned.to,
            fault_to_notice=between(fired.sent, fault, scale) if fired and fault else None,
            allowed=(low, high),
            undo_to_all_clear=between(resolved.sent, undo, scale) if resolved and undo and clear else None,
            allowed_all_clear=(alert.clear.lo_vs, alert.clear.hi_vs + clear.hi_vs) if clear else None,
        )


def _later(history: History) -> list[str]:
    """That the history holds what this chaoskit cannot read; nothing where it reads all."""
    later = history.later
    return [f"a later chaoskit wrote this history; not read here: {', '.join(later)}"] if later else []


def _healed(case: Case) -> bool:
    end, faults = next(case.history.of(End), None), case.evidence.faults
    return end.healed if end is not None else faults.invokes.keys() <= faults.gone.keys()


def _volume(case: Case) -> list[str]:
    """How many notices told people of how many alerts: what grouping and inhibition saved them."""
    if "steps" not in case.evidence.phases:
        return []
    fired = [e for e in case.evidence.episodes if e.firing is not None and case.since <= e.firing[1] <= case.until]
    fired = [episode for episode in fired if not case.plan.only_beside(episode.labels)]
    if not fired:
        return []
    told, names = len(counted(case)), len({episode.name for episode in fired})
    alerts, rules = amount(len(fired), "alerts"), amount(names, "rules")
    return [f"notices: {told} in all, the all-clears included, for {alerts} that fired ({rules})"]


def volume_of(verdict: Verdict) -> tuple[int, int] | None:
    """The notices and the alerts of `_volume`; None where the verdict does not tell."""
    found = (
        re.match(r"notices: (\d+) in all, the all-clears included, for (\d+) alert", note) for note in verdict.notes
    )
    return next(((int(one[1]), int(one[2])) for one in found if one), None)
