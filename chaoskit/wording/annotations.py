"""The templates in annotations and labels as Prometheus renders them, as far as the rule alone tells.

The one idea: `{{ $labels.worker }}` becomes the label's value where the alert carries it and nothing where it does not;
numbers and the results of queries are known at run time only, so their names stand in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chaoskit.wording.form import named

_ACTION = re.compile(r"(?P<before>\s*)\{\{(?P<trim>-)?(?P<inside>(?:`[^`]*`|\"(?:\\.|[^\"\\])*\"|(?!-?\}\}).)*)"
                     r"(?P<tail>-)?\}\}(?P<after>\s*)", re.DOTALL)  # fmt: skip
LABEL = re.compile(r"(?:\$labels|\.Labels)\.(\w+)|index \$labels \"(\w+)\"")
"""A label that a template of a rule reads, by either spelling."""
_VALUE = re.compile(r"\$value\b|\.Value\b")
_BLOCKS = ("range", "if", "with", "define", "block")


def expanded(template: str, labels: Mapping[str, str]) -> str:
    """The text with each action's result, or the name of it."""
    depth = 0
    made, at = "", 0
    for match in _ACTION.finditer(template):
        made += template[at : match.start()] + ("" if match["trim"] else match["before"])
        inside = " ".join(match["inside"].split())
        word = inside.partition(" ")[0]
        if word in _BLOCKS:
            depth += 1
            made += named(inside)
        elif word in ("end", "else"):
            depth -= word == "end"
            made += named(inside)
        elif not inside.startswith("/*") and not re.match(r"\$\w+ :?=", inside):
            made += _result(inside, labels, inner=depth > 0)
        made += "" if match["tail"] else match["after"]
        at = match.end()
    return made + template[at:]


def _result(inside: str, labels: Mapping[str, str], *, inner: bool) -> str:
    more = "".join(f" {each.strip()}" for each in inside.split("|")[1:])
    if (label := LABEL.search(inside)) is not None:
        name = label[1] or label[2]
        if inner and ".Labels" in inside:
            return named(f"{name}{more}")  # of a query's results
        return labels.get(name, "")
    if _VALUE.search(inside):
        return named(f"value{more or ('' if inside.startswith(('$', '.')) else f' {inside}')}")
    return named(inside)
