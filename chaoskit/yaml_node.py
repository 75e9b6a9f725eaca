"""One value of a YAML file, frozen, that knows where it was written; `yaml_source` makes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from chaoskit.errors import Place

_URL_WITH_PASSWORD = re.compile(r"(?<=://)[^/\s@]*@\S*")

Scalar = str | int | float | bool | None
Kind = Literal["scalar", "sequence", "mapping"]


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a YAML file and where it stands.

    `value` is the scalar, or a tuple of nodes (sequence), or a tuple of (key node, value node) pairs
    in the order written (mapping); `raw` is a scalar's text before its type was decided.
    """

    kind: Kind
    value: Scalar | tuple[Node, ...] | tuple[tuple[Node, Node], ...]
    place: Place
    raw: str = ""

    @property
    def items(self) -> tuple[Node, ...]:
        """A sequence's elements; empty for any other kind."""
        return self.value if self.kind == "sequence" else ()  # type: ignore[return-value]

    @property
    def pairs(self) -> tuple[tuple[Node, Node], ...]:
        """A mapping's (key, value) nodes in the order written; empty for any other kind."""
        return self.value if self.kind == "mapping" else ()  # type: ignore[return-value]

    @property
    def keys(self) -> tuple[str, ...]:
        """A mapping's keys in the order written; empty for any other kind."""
        return tuple(str(key.value) for key, _ in self.pairs)

    def get(self, key: str) -> Node | None:
        """The value under this key, or None when it is absent or this is not a mapping."""
        return next((value for name, value in self.pairs if name.value == key), None)

    def plain(self) -> Any:
        """The same as ordinary Python objects: dict, list, str, int, float, bool, None."""
        if self.kind == "mapping":
            return {key.value: value.plain() for key, value in self.pairs}
        if self.kind == "sequence":
            return [item.plain() for item in self.items]
        return self.value

    def described(self) -> str:
        """What was found, for a message: `a list`, `a mapping`, `nothing`, `the text '30'`, `true`."""
        if self.kind != "scalar":
            return "a list" if self.kind == "sequence" else "a mapping"
        if self.value is None:
            return "nothing"
        shown = _URL_WITH_PASSWORD.sub("<secret>", self.raw)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        if isinstance(self.value, str):
            return f"the text {shown!r}"
        return shown if isinstance(self.value, bool) else f"the number {shown}"
