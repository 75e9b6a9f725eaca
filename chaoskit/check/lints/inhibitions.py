"""Does each inhibition mute the alerts that it should, and never one that no other alert stands in for?"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.alert import Alert, Answer
from chaoskit.alerting.expression import expression, walk
from chaoskit.alerting.model import InhibitRule, Matcher
from chaoskit.alerting.windows_expression import recorded_by, selectors
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext, Sides

_NEEDS = ("alertmanager", "rules")
_LARGEST_CIRCLE = 300
_SCRAPED = ("job", "instance")


@lint("inhibition-never-equal", Severity.WARNING, "inhibitions", _NEEDS)
def never_equal(context: LintContext) -> Iterator[Violation]:
    """`equal` names a label that the alerts on one side never carry, or whose values never agree.

    A missing label equals only a missing one, so that nothing, or almost nothing, is muted.
    """
    for sides in context.inhibitions:
        for label in sides.rule.equal if sides.sources and sides.targets else ():
            sources, targets = ([a.value(label) for a, _ in side] for side in (sides.sources, sides.targets))
            place = context.at(sides.rule.place, "equal")
            if (lacking := _lacking(sources, targets)) is not None:
                message = f"equal lists {label}, which {lacking} of this inhibition never carry, and the others may"
                todo = "leave the label out of equal, or keep the label in the expression"
                both = (alert for alert, _ in (*sides.sources, *sides.targets) if alert.value(label) is None)
                sure = Severity.ERROR if label in _SCRAPED and all(_of_scraped(context, a) for a in both) else None
                yield Violation(place, message, todo, Severity.INFO if is_general(sides.rule) else sure)
            elif None not in sources and None not in targets and not set(sources) & set(targets):
                values = f"{_some(sources)} on one side, {_some(targets)} on the other"
                if is_general(sides.rule):
                    message = f"no two alerts of these rules agree in {label}, which equal lists: {values}"
                    yield Violation(place, message, "correct equal, unless it is for other rules", Severity.INFO)
                else:
                    message = f"equal lists {label}, and its values never agree: {values}"
                    yield Violation(place, message, "leave it out of equal", Severity.ERROR)


def _of_scraped(context: LintContext, alert: Alert) -> bool:
    """Whether its series come from a scrape alone, so that they surely carry what every scrape adds."""
    expr = alert.rule.expr
    read = selectors(expr)
    made = any(each.name in ("or", "absent", "absent_over_time", "vector") for each in walk(expression(expr)))
    return bool(read) and not made and not any(recorded_by(context.config, each) for each in read)


def is_general(rule: InhibitRule) -> bool:
    """Whether an inhibition is written for rules that come from many places: it names no alert on either side."""
    return not any(matcher.label == "alertname" for matcher in (*rule.source, *rule.target))


def _lacking(sources: list[str | None], targets: list[str | None]) -> str | None:
    source, target = (any(value != "" for value in side) for side in (sources, targets))
    if source == target:
        return None
    return "the targets" if source else "the sources"


def _some(values: list[str | None]) -> str:
    return " or ".join(sorted({value or "nothing" for value in values})[:3])


@lint("inhibition-without-alert", Severity.WARNING, "inhibitions", _NEEDS)
def without_alert(context: LintContext) -> Iterator[Violation]:
    """No alerting rule can stand on one side of an inhibition.

    It mutes nothing, so the notices that it should hold back are sent.
    """
    for sides in context.inhibitions:
        empty = [what for what, side in (("source", sides.sources), ("target", sides.targets)) if not side]
        if empty:
            message = f"no rule's alert can be the {' or the '.join(empty)} of this inhibition"
            severity = Severity.INFO if is_general(sides.rule) else None
            yield Violation(sides.rule.place, message, "correct the matchers, or remove the inhibition", severity)


@lint("inhibition-of-itself", Severity.WARNING, "inhibitions", _NEEDS)
def of_itself(context: LintContext) -> Iterator[Violation]:
    """Every alert that an inhibition could mute is also one of its sources.

    An alert that matches both sides is never muted by one that does too: the inhibition does nothing.
    """
    for sides in context.inhibitions:
        sources = {id(alert) for alert, found in sides.sources if found is Answer.YES}
        both = [a for a, found in sides.targets if found is Answer.YES and id(a) in sources]
        only_sources = len(sides.sources) - len(both)
        if both and len(both) == len(sides.targets) and only_sources == 0:
            message = f"sources and targets of this inhibition are the same alerts, such as {both[0].name}"
            yield Violation(
                sides.rule.place, message, "narrow the source matchers, or exclude the sources from the target matchers"
            )


@lint("inhibition-circle", Severity.ERROR, "inhibitions", _NEEDS)
def circle(context: LintContext) -> Iterator[Violation]:
    """Alerts mute each other, directly or in a circle.

    While all of them fire, each is muted by another, and no notice is sent.
    """
    rules = [(sides, _certain(sides.sources), _certain(sides.targets)) for sides in context.inhibitions]
    alerts = {id(alert): alert for _, sources, targets in rules for alert in (*sources, *targets)}
    # Only what is a target here and a source there can be part of a circle.
    both = {id(a) for _, s, _ in rules for a in s} & {id(a) for _, _, t in rules for a in t}
    if not 0 < len(both) <= _LARGEST_CIRCLE:
        return
    both -= {each for each in both if _is_helper(context, alerts[each])}
    edges: dict[int, dict[int, Sides]] = {}
    for sides, sources, targets in rules:
        for source in (a for a in sources if id(a) in both):
            for target in (a for a in targets if id(a) in both):
                if _surely_mutes(sides, source, target):
                    edges.setdefault(id(source), {}).setdefault(id(target), sides)
    for found in _circles(edges):
        names = [alerts[each].name for each in found]
        places = ", ".join(str(edges[a][b].rule.place) for a, b in zip(found, [*found[1:], found[0]], strict=True))
        message = f"{' mutes '.join([*names, names[0]])} (inhibitions at {places})"
        yield Violation(edges[found[0]][found[1]].rule.place, message, "remove one of these inhibitions, or narrow it")


def _is_helper(context: LintContext, alert: Alert) -> bool:
    """Whether the alert only mutes others and is not meant to be notified: a circle through it loses no notice.

    It is mute by itself (no receiver that it reaches has an integration), every other alert mutes it, or it is made of
    nothing but other alerts and calls its own severity none.
    """
    known = context.config.receivers
    receivers = [known[each.route.receiver] for each in context.reached(alert) if each.route.receiver in known]
    if receivers and not any(each.integrations for each in receivers):
        return True
    mutes = (s.rule for s in context.inhibitions if any(a is alert and found is Answer.YES for a, found in s.targets))
    if any(not rule.equal and all(_excepts(each, alert) for each in rule.source) for rule in mutes):
        return True
    read = {each.name for each in walk(expression(alert.rule.expr)) if each.kind == "selector"}
    return read == {"ALERTS"} and alert.value("severity") == "none"


def _excepts(matcher: Matcher, alert: Alert) -> bool:
    """Whether the matcher lets everything through, or everything but this alert."""
    return matcher == Matcher("alertname", "!=", alert.name) or (matcher.op == "=~" and matcher.value in (".*", ".+"))


def _certain(side: tuple[tuple[Alert, Answer], ...]) -> list[Alert]:
    return [alert for alert, found in side if found is Answer.YES]


def _surely_mutes(sides: Sides, source: Alert, target: Alert) -> bool:
    # What one of them never carries and the other may, agrees only by chance.
    lacking = any((source.value(label) == "") != (target.value(label) == "") for label in sides.rule.equal)
    return source is not target and not lacking and sides.may_mute(source, target)


def _circles(edges: dict[int, dict[int, Sides]]) -> Iterator[list[int]]:
    """One shortest circle for each alert that is in any, none twice."""
    told: set[frozenset[int]] = set()
    for start in edges:
        ways, seen = [[start]], {start}
        for way in ways:
            following = edges.get(way[-1], {})
            if start in following:
                if frozenset(way) not in told:
                    told.add(frozenset(way))
                    yield way
                break
            ways += [[*way, each] for each in following if each not in seen]
            seen |= following.keys()


@lint("inhibition-equal-absent", Severity.WARNING, "inhibitions", _NEEDS)
def equal_absent(context: LintContext) -> Iterator[Violation]:
    """`equal` names a label that no alert on either side carries.

    Two missing labels are equal, so the inhibition mutes wherever it applies and tells nothing apart by the label.
    """
    for sides in context.inhibitions:
        alerts = [alert for side in (sides.sources, sides.targets) for alert, _ in side]
        for label in sides.rule.equal if sides.sources and sides.targets else ():
            if not any(alert.may_have(label) for alert in alerts):
                place = context.at(sides.rule.place, "equal")
                message = f"equal lists {label}, which neither the sources nor the targets of this inhibition carry"
                todo = "keep the label in the expressions, correct its name, or leave it out"
                yield Violation(place, message, todo, Severity.INFO if is_general(sides.rule) else None)
