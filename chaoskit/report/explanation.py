"""An alert explained on a terminal: first from fault to phone, then who hears of it, how, and what is in the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chaoskit.alerting.alert import Answer
from chaoskit.alerting.model import ALWAYS, PromisedAlert, Route
from chaoskit.alerting.silences import written
from chaoskit.errors import Place
from chaoskit.explain.alert import Explanation, MutedBy, first_to_hear
from chaoskit.explain.recipients import Delivery, quiet, span, way
from chaoskit.explain.when import Silence, Told
from chaoskit.report.table import table
from chaoskit.report.text import clean
from chaoskit.units import amount, format_duration

_MOST = 12
_ASSUMED = {
    "prometheus": "no Prometheus configuration was given: scrape and evaluation every 15s are assumed",
    "alertmanager": "no Alertmanager configuration was given: who hears of it cannot be said",
    "promise": "no promise was given: how long the service itself takes to show the fault is not counted",
}


def explanation_view(explanations: Iterable[Explanation], silence: Silence | None = None) -> RenderableType:
    """The explanations of alerts, and what a silence would mute, ready to print."""
    parts: list[RenderableType] = []
    for each in explanations:
        parts += [Text("")] if parts else []
        parts += _alert(each)
    if silence is not None:
        parts += [Text("")] if parts else []
        parts += _silence(silence)
    return Group(*parts)


def _silence(silence: Silence) -> Iterator[RenderableType]:
    found, said = silence.mutes, clean(written(silence.matchers))
    if not found:
        yield Text(f"A silence of {said} would mute none of {amount(silence.alerts, 'alerts')}", style="yellow")
        return
    yield Text(f"A silence of {said} would mute {len(found)} of {amount(silence.alerts, 'alerts')}", style="bold")
    for each in found:
        line = Text(clean(each.subject.rule.alert), style="bold")
        perhaps = f"  perhaps: {clean(', '.join(each.open))} of its series decides" if each.open else ""
        line.append(perhaps, style="yellow not bold")
        told = ", ".join(each.receivers)
        line.append(f"  {f'not told: {clean(told)}' if told else 'no receiver'}", style="not bold")
        line.append(f"  {each.subject.rule.place}", style="dim not bold")
        yield Padding(line, (0, 0, 0, 2))


def _when(at: datetime) -> str:
    return f"{at:%a %Y-%m-%d %H:%M} {at.tzname() or ''}".rstrip()


def _told(told: Told, route: Route) -> str:
    """Whether the alert is told over the route at an instant, and until when."""
    if told.tells:
        return f"told, until {_when(told.until)}" if told.until else "told, at any time"
    if told.until is None:
        return "silent, and not told in the 28 years after"
    tick = format_duration(route.group_interval_s)
    return f"silent; told from {_when(told.until)} on if it still fires, within {tick}: at its group's next tick"


def _alert(explanation: Explanation) -> Iterator[RenderableType]:
    reach = explanation.reach
    rule, alert = reach.subject.rule, reach.subject.alert
    head = Text(clean(rule.alert), style="bold")
    head.append(f"  {clean(alert.labels.get('severity', 'no severity'))}", style="not bold")
    head.append(f"  {rule.place}", style="dim not bold")
    yield head
    first = first_to_hear(reach.heard)
    when = span(first) if first else "labels of the series decide" if reach.heard else "never, no receiver"
    yield Text(f"From fault to phone: {when}", style="bold green" if first else "yellow")
    if explanation.at is not None:
        hear = dict.fromkeys(each.receiver for each in reach.heard if explanation.told[each.route.path].tells)
        yield Text(f"At {_when(explanation.at)}: {clean(', '.join(hear)) or 'no receiver'} would be told", style="bold")
    yield Text("")
    yield _facts(explanation)
    for title, body in (
        ("Receivers", _receivers(explanation)),
        ("Hop by hop", [_hops(explanation)]),
        ("Muted by", _mutes(explanation)),
        ("Promise", _promise(explanation)),
        ("Proved by", _proofs(explanation)),
        ("Assumed", _assumptions(explanation)),
    ):
        lines = list(body)
        if lines:
            yield Text("")
            yield Text(title, style="bold")
            for line in lines:
                yield Padding(line, (0, 0, 0, 2))


def _pairs() -> Table:
    """An empty table of names and what they are."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _facts(explanation: Explanation) -> RenderableType:
    reach = explanation.reach
    rule, alert = reach.subject.rule, reach.subject.alert
    table = _pairs()
    table.add_row("expression", clean(" ".join(rule.expr.split())))
    held = f"for {format_duration(rule.for_s)}" if rule.for_s else "at once (no for)"
    held += f", kept for {format_duration(rule.keep_firing_for_s)} longer" if rule.keep_firing_for_s else ""
    table.add_row("fires", f"{held}: {span(reach.firing_s)} after the fault; evaluated every {rule.interval_s:g} s")
    table.add_row("resolves", f"{span(reach.resolved_s)} after the undo")
    labels = ", ".join(f"{k}={v}" for k, v in sorted(alert.labels.items()) if k != "alertname" and v)
    table.add_row("labels", clean(labels or "none of its own"))
    for name in ("summary", "runbook", "runbook_url"):
        if name in rule.annotations:
            table.add_row(name, clean(" ".join(rule.annotations[name].split())))
    return table


def _receivers(explanation: Explanation) -> Iterator[RenderableType]:
    for heard in explanation.reach.heard:
        head = Text(clean(heard.receiver), style="bold cyan")
        head.append(f"  {_by(heard)}", style="not bold default")
        if not heard.certain:
            head.append("  perhaps: a label decides", style="yellow not bold")
        yield head
        table = _pairs()
        bounds = (explanation.beside.phone.get(heard.receiver), explanation.beside.all_clear.get(heard.receiver))
        phone, end = (f", promised within {format_duration(bound.seconds)}" if bound else "" for bound in bounds)
        table.add_row("fault to phone", Text(f"{span(heard.phone_s)}{phone}", style="bold"))
        table.add_row("  group has told before", f"{span(heard.phone_live_s)}, at its next tick")
        ends = span(heard.all_clear_s) if heard.all_clear_s else "never: no integration sends resolved notices"
        table.add_row("undo to all-clear", f"{ends}{end}")
        tick = f", often a tick ({format_duration(heard.route.group_interval_s)}) later" * (
            heard.repeat_s == heard.route.repeat_interval_s  # as long ago as the notice, which was out after its tick
        )
        table.add_row("again", f"every {format_duration(heard.repeat_s)} while it fires{tick}")
        passed = explanation.passed[heard.route.path]
        table.add_row("route", "\n".join(map(clean, way(passed))) + ("" if passed else f"  {heard.route.place}"))
        table.add_row("group", clean(heard.group_key))
        if when := quiet(heard.route):
            table.add_row("quiet times", clean(when))
        if explanation.at is not None:
            table.add_row(_when(explanation.at), _told(explanation.told[heard.route.path], heard.route))
        yield Padding(table, (0, 0, 0, 2))


def _by(heard: Delivery) -> str:
    said = []
    for each in heard.integrations:
        to = f" to {', '.join(each.to)}" if each.to else ""
        said.append(f"{each.kind}{clean(to)}" + ("" if each.send_resolved else ", no resolved notices"))
    return "; ".join(said) or "has no integration: Alertmanager drops it"


def _hops(explanation: Explanation) -> RenderableType:
    reach = explanation.reach
    shown = table("hop", "to", "takes", "governed by")
    rows = [("", reach.detect)]
    rows += [("", reach.hold)] if reach.hold else []
    rows += [(heard.receiver, heard.notify) for heard in reach.heard]
    rows.append(("", reach.clear))
    rows += [(heard.receiver, heard.all_clear) for heard in reach.heard if heard.all_clear]
    for to, window in rows:
        where = f"{clean(window.setting)}  {window.place}" if window.place else clean(window.setting)
        shown.add_row(window.hop, clean(to), span((window.lo_vs, window.hi_vs)), where)
    return shown


def _mutes(explanation: Explanation) -> Iterator[RenderableType]:
    found = explanation.muted_by
    if not found and "alertmanager" not in explanation.missing:
        yield Text("nothing: no inhibition applies to it")
    for muted in found[:_MOST]:
        yield _muted(muted)
    if len(found) > _MOST:
        yield Text(f"and {len(found) - _MOST} more")


def _muted(muted: MutedBy) -> Text:
    mute = muted.mute
    line = Text(clean(mute.source.name), style="bold")
    if_ = f", if {clean('; '.join(mute.conditions))}" if mute.conditions else ""
    line.append(f"{if_}  {mute.rule.place}", style="not bold")
    line.append(f"\n  from {span(muted.firing_s)} after its own fault until {span(muted.resolved_s)} after its undo")
    line.stylize("not bold dim", len(line.plain) - len(line.plain.rpartition("\n")[2]))
    if muted.too_late:
        line.append(
            "\n  too late if both begin together: the first notice is sent before it fires", style="yellow not bold"
        )
    return line


def _promise(explanation: Explanation) -> Iterator[RenderableType]:
    name = explanation.reach.subject.rule.alert
    for each in explanation.promised:
        said = ", ".join(
            f"{what} {format_duration(s)}"
            for what, s in (
                ("for", each.for_s), ("group_wait", each.group_wait_s), ("group_interval", each.group_interval_s),
                ("repeat", each.repeat_s),
            )
            if s is not None
        )  # fmt: skip
        said += "" if each.grouped_by is None else f", grouped by {', '.join(each.grouped_by) or 'nothing'}"
        yield Text(f"{clean(each.receiver)}: {clean(said)}  {each.place}")
    yield from (Text(f"{clean(said)}  {place}") for said, place in _beside(explanation.beside))
    if not explanation.promised and "promise" not in explanation.missing:
        yield Text(f"nothing is promised for {clean(name)}", style="yellow")
    for departure in explanation.departures:
        yield Text(
            f"departs: {clean(departure.message)}  {departure.place}", style="red" if departure.broken else "yellow"
        )
    if explanation.promised and not explanation.departures:
        yield Text("the configuration keeps to it", style="green")


def _beside(promised: PromisedAlert) -> Iterator[tuple[str, Place]]:
    """The promises for the alert itself as texts, each with its place."""
    if promised.labels:
        yield ", ".join(f"{k}={v}" for k, v in promised.labels.items()), promised.at("labels")
    if promised.levels:
        levels = promised.levels
        yield f"quiet at {levels.quiet:g}, fires at {levels.fires:g}", levels.place
    if promised.muted_by is not None:
        yield f"muted by {', '.join(promised.muted_by) or 'no other alert'}", promised.at("muted_by")
    if promised.hours:
        yield f"told {promised.hours if promised.hours == ALWAYS else f'in {promised.hours}'}", promised.at("hours")


def _proofs(explanation: Explanation) -> Iterator[RenderableType]:
    for scenario, each in explanation.proofs:
        how = f"suppressed by {each.suppressed_by}" if each.suppressed_by else scenario.title
        yield Text(f"{clean(scenario.name)}: {clean(how)}  {each.place}")
    if not explanation.proofs:
        yield Text("no scenario: nothing proves that it works", style="yellow")


def _assumptions(explanation: Explanation) -> Iterator[RenderableType]:
    subject = explanation.reach.subject
    for name, value in subject.assumed.items():
        yield Text(f"{clean(name)}={clean(value)} from external_labels, since its series bring no {clean(name)}")
    if subject.alert.sent is not Answer.YES:
        verb = "drop it" if subject.alert.sent is Answer.NO else "may drop it: labels of its series decide"
        yield Text(f"alert_relabel_configs {verb} ({subject.alert.steps[0].place})", style="yellow")
    if explanation.open_labels:
        names = ", ".join(explanation.open_labels)
        example = f"{explanation.open_labels[0]}=..."
        yield Text(f"not known without the series: {clean(names)}. Give {clean(example)} to fix one")
    if explanation.others:
        yield Text(f"{explanation.others} other rule(s) of this name cannot carry the labels given")
    for part in explanation.missing:
        yield Text(_ASSUMED[part], style="yellow")
