"""How much load when: factors of the planned level, as pure functions of the seconds since the load began.

              ramp          spike           step            soak
          1     ____     peak   _       1        __      1    ______
              /             1 _| |__          __|            /      \\
          0  /                                |          0  /        \\

A factor multiplies the rate of an open load or the users of a closed one. These are plans: the load generator counts
the requests that it really made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from chaoskit.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A course over time. Which fields count depends on the kind; times are real seconds.

    * constant: always 1.
    * ramp: from `low` to 1 within `length_s`, then 1.
    * spike: 1, but `peak` from `start_s` for `length_s`.
    * step: `steps` equal stairs, each `length_s` long, the last one is 1 and stays.
    * soak: up within `start_s`, 1 for `length_s`, down to 0 within `start_s`.
    * stages: one after the other, each as long as its first figure, to its second within its third; from 0, and the
      last one stays.
    """

    kind: Literal["constant", "ramp", "spike", "step", "soak", "stages"] = "constant"
    low: float = 0.0
    peak: float = 1.0
    start_s: float = 0.0
    length_s: float = 0.0
    steps: int = 1
    stages: tuple[tuple[float, float, float], ...] = ()

    @property
    def highest(self) -> float:
        """The largest factor that ever occurs."""
        if self.kind == "stages":
            return max((to for _, to, _ in self.stages), default=0.0)
        return max(1.0, self.peak) if self.kind == "spike" else max(1.0, self.low)

    def problems(self) -> list[Problem]:
        """Everything that is wrong with it, as the person who wrote it should read it."""
        found = [
            Problem(None, f"load shape {self.kind}: {name} is {value:g}", "write 0 or more")
            for name, value in (("low", self.low), ("peak", self.peak), ("start_s", self.start_s))
            if not 0 <= value < math.inf
        ]
        if self.kind not in ("constant", "stages") and not 0 < self.length_s < math.inf:
            found.append(
                Problem(None, f"load shape {self.kind}: length_s is {self.length_s:g}", "give it a length above 0")
            )
        if self.steps < 1:
            found.append(Problem(None, f"load shape {self.kind}: steps is {self.steps}", "write 1 or more"))
        return found


def factor(shape: Shape, t_s: float) -> float:
    """The factor `t_s` real seconds after the load began."""
    match shape.kind:
        case "ramp":
            return shape.low + (1 - shape.low) * min(1.0, max(0.0, t_s / shape.length_s))
        case "spike":
            return shape.peak if shape.start_s <= t_s < shape.start_s + shape.length_s else 1.0
        case "step":
            return min(shape.steps, int(max(0.0, t_s) / shape.length_s) + 1) / shape.steps
        case "soak":
            return _soak(shape, t_s)
        case "stages":
            return _staged(shape, t_s)
    return 1.0


def _soak(shape: Shape, t_s: float) -> float:
    if t_s < shape.start_s:
        return max(0.0, t_s / shape.start_s)
    over = t_s - shape.start_s - shape.length_s
    if over <= 0:
        return 1.0
    return max(0.0, 1 - over / shape.start_s) if shape.start_s else 0.0


def _staged(shape: Shape, t_s: float) -> float:
    before = 0.0
    for length_s, to, over_s in shape.stages:
        if t_s < length_s:
            return to if t_s >= over_s else before + (to - before) * max(0.0, t_s) / over_s
        t_s -= length_s
        before = to
    return before
