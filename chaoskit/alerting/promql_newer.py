"""Words of PromQL that are younger than the parser here: known well enough to be told from a slip of the pen.

rate(x[5m * 2])      x offset (5m + 1m)        lengths that are computed (default syntax since 3.14)
x[5m] anchored       x smoothed                how a range's ends are taken
x + fill(0) y        x / fill_left(1) y        what stands for a side that is missing
"""

from __future__ import annotations

from chaoskit.alerting.promql_durations import CannotScale
from chaoskit.alerting.promql_syntax import Token, words

_ENDS = ("anchored", "smoothed")
_FILLS = ("fill", "fill_left", "fill_right")
_COMPUTED = set("+-*/%^()")


def newer_construct(expr: str) -> str:
    """The first such construct of an expression, in words; empty where there is none."""
    try:
        found = words(expr)
    except CannotScale:
        return ""
    brackets = braces = 0
    for before, here, after in zip([Token("end", "", 0, 0), *found], found, [*found[1:], found[-1]], strict=False):
        word = here.text.lower()
        if here.form == "sign":
            brackets += (word == "[") - (word == "]")
            braces += (word == "{") - (word == "}")
        if braces:
            continue
        if brackets and ((word in _COMPUTED and before.text != "@") or (here.form == "name" and after.text == "(")):
            return "a computed duration"
        if before.text.lower() == "offset" and (word == "(" or (here.form == "name" and after.text == "(")):
            return "a computed offset"
        if here.form == "name" and word in _ENDS and (before.text in ("]", "}", ")") or before.form == "name"):
            return f"the modifier {word}"
        if here.form == "name" and word in _FILLS and after.text == "(" and before.form in ("sign", "name"):
            return f"the modifier {word}()"
    return ""
