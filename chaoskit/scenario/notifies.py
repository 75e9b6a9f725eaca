"""`notifies`: who must hear of an alert, who must not, and within which bounds of the scenario's own."""

from __future__ import annotations

from chaoskit.scenario.fields import Fields, Problems, choice, texts_by_key, unique_texts
from chaoskit.scenario.model import Notify
from chaoskit.scenario.quantities import bounds, duration, duration_or_zero
from chaoskit.yaml_source import Node, nearest

MODES = ("promised", "never")
KEYS = ("within", "not_before", "notices", "contains")
CONTAINS = ("subject", "runbook")

_LIST = "[critical-alerts]"
_FORMS = "write promised, never, or a mapping such as {within: 3m}"


def notifies(node: Node, what: str, problems: Problems) -> dict[str, Notify] | None:
    """By receiver: a list promises exactly these; a mapping says for each what it must hear."""
    if node.kind == "sequence" and not node.items:
        problems.say(node.place, f"{what} is an empty list", "for nobody write a mapping: {RECEIVER: never}")
        return None
    if node.kind != "mapping":
        names = unique_texts(_LIST)(node, what, problems)
        return None if names is None else {receiver: Notify("promised") for receiver in names}
    if not node.pairs:
        problems.say(node.place, f"{what} is an empty mapping", "name the receivers, or remove the key")
        return None
    found = {str(key.value): _notify(value, f"{what} for '{key.value}'", problems) for key, value in node.pairs}
    return {receiver: notify for receiver, notify in found.items() if notify is not None}


def _notify(node: Node, what: str, problems: Problems) -> Notify | None:
    if node.kind == "scalar":
        match choice(*MODES)(node, what, problems):
            case "promised":
                return Notify("promised")
            case "never":
                return Notify("never")
            case _:
                return None
    fields = Fields(node, what, KEYS, problems, hint=_FORMS)
    if node.kind == "mapping" and not node.pairs:
        problems.say(node.place, f"{what} is an empty mapping", _FORMS)
    within = fields.take("within", duration, None)
    not_before = fields.take("not_before", duration_or_zero, None)
    if within is not None and not_before is not None and not_before >= within:
        problems.say(node.place, f"{what}: 'not_before' is not earlier than 'within'", "swap or widen them")
    notices = fields.take("notices", bounds, None)
    if notices is not None and notices[1] == 0:
        problems.say(node.place, f"{what}: no notice at all", f"write never instead of {{notices: {notices[1]}}}")
    contains = fields.take("contains", texts_by_key, {})
    written = fields.node.get("contains")
    for key, _ in written.pairs if written else ():
        if key.value not in CONTAINS:
            hint = nearest(str(key.value), CONTAINS) or f"known: {', '.join(CONTAINS)}"
            problems.say(key.place, f"'{key.value}' is not a key of 'contains'", hint)
        elif contains and not contains.get(str(key.value), "-").strip():
            problems.say(key.place, f"{what}: contains an empty {key.value}, which every notice does", "write the text")
    bounded = fields.has("within") or fields.has("not_before")
    return Notify("bounded" if bounded else "promised", within, not_before, notices, contains)
