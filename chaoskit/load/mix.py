"""Which request of a mix comes next, what exactly it sends, and when it is due in an open load; nothing is drawn.

The order is a smooth weighted round robin: after any whole cycle (the sum of the weights) each name has had exactly
its weight, and the names are spread over the cycle instead of coming in blocks.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

_STEP_S = 0.01
_PLACE = re.compile(r"\{n(?:%(\d+))?\}")


class Mix:
    """The order of requests. `first` and `stride` let several processes share one count without repeating it."""

    def __init__(self, weights: Mapping[str, int], first: int = 0, stride: int = 1) -> None:
        self._counts: dict[str, int] = {}
        self._first = first
        self._stride = stride
        self.change(weights)

    def change(self, weights: Mapping[str, int]) -> None:
        """Takes other weights from now on; the counters of the request names go on."""
        self._weights = dict(weights)
        self._credit = dict.fromkeys(weights, 0)
        self._order: list[str] = []
        """The cycle so far. Once it is whole it is only walked, which costs less than choosing anew."""
        self._whole = False
        self._place = 0

    def next(self) -> tuple[str, int]:
        """The name of the next request and its own counter, which starts at 0."""
        if self._whole:
            name = self._order[self._place]
            self._place = (self._place + 1) % len(self._order)
        else:
            name = self._choose()
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return name, self._first + count * self._stride

    def _choose(self) -> str:
        credit = self._credit
        for name, weight in self._weights.items():
            credit[name] += weight
        name = max(credit, key=credit.__getitem__)
        credit[name] -= sum(self._weights.values())
        self._order.append(name)
        self._whole = not any(credit.values())  # as it began: from here on everything comes again
        return name


def render(text: str, n: int) -> str:
    """The text with `{n}` and `{n%50}` filled in; every other brace stays as it is."""
    template, moduli = _template(text)
    return template % tuple([n % modulus if modulus else n for modulus in moduli]) if moduli else text


@functools.lru_cache(1024)
def _template(text: str) -> tuple[str, tuple[int, ...]]:
    """The text with `%d` in each place, and what each is taken modulo; 0: as it is."""
    found = _PLACE.split(text)
    return "%d".join(part.replace("%", "%%") for part in found[::2]), tuple(int(one or 0) for one in found[1::2])


def render_json(value: Any, n: int) -> Any:
    """A JSON value with its strings rendered; a string that is nothing but a placeholder becomes a number."""
    if isinstance(value, str):
        whole = _PLACE.fullmatch(value)
        return int(render(value, n)) if whole else render(value, n)
    if isinstance(value, Mapping):
        return {key: render_json(item, n) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [render_json(item, n) for item in value]
    return value


class Arrivals:
    """The instants at which requests are due, answered or not. Arrivals are where the integral of the rate passes
    whole numbers: evenly spaced at a constant rate, without a gap or a burst where the rate changes. Only
    ever asked about the near future, so that a change takes effect at once."""

    def __init__(self, rate: Callable[[float], float], start_s: float, phase: float = 0.0) -> None:
        """`rate` maps an instant (same clock as `start_s`) to arrivals per second; `phase` in [0, 1) is the part
        of an arrival already due at the start, by which several processes interleave."""
        self.rate = rate
        self._t = start_s
        self._due = phase

    def until(self, end_s: float) -> list[float]:
        """The arrivals after everything asked so far, up to `end_s`."""
        found: list[float] = []
        while self._t < end_s:
            step_s = min(_STEP_S, end_s - self._t)
            rate = self.rate(self._t + step_s / 2)
            due = self._due + rate * step_s
            found += [self._t + (k - self._due) / rate for k in range(1, int(due) + 1)]
            self._due = due - int(due)
            self._t += step_s
        return found
