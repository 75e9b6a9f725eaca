"""Put the text of an expression together again: a node around its children's new texts, with or without a factor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from chaoskit.alerting.promql_durations import spell
from chaoskit.alerting.promql_lockstep import Inserted
from chaoskit.alerting.promql_meaning import Kind
from chaoskit.alerting.promql_syntax import NO_LIST, Form, Node

NOTHING = Inserted()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a visit found: the new text, the kind, and where it applies the constant's value.

    `unit` is how many of it make a second (1000 for milliseconds) when that is known of an instant. `inexact` marks a
    value that passed through an inserted factor.
    """

    text: str
    kind: Kind
    value: float = 0.0
    unit: Fraction | None = None
    inserted: Inserted = NOTHING
    inexact: bool = False


class Writing:
    """The source of one expression and its scale."""

    def __init__(self, source: str, k: Fraction) -> None:
        self.source = source
        self.k = k

    def said(self, node: Node) -> str:
        return self.source[node.start : node.end]

    def joined(self, node: Node, parts: list[tuple[int, int, str]]) -> str:
        """The node's own text with the given stretches of it replaced."""
        out, at = "", node.start
        for start, end, text in sorted(parts):
            out += self.source[at:start] + text
            at = end
        return out + self.source[at : node.end]

    def built(self, node: Node, children: list[Seen], kind: Kind, **more: object) -> Seen:
        """The node around its children's new texts, with everything that they inserted."""
        texts = [seen.text for seen in children]
        if node.modifiers[-1:] == (NO_LIST,) and texts[-1].startswith("("):
            texts[-1] = f"() {texts[-1]}"  # else what is in the parentheses would be read as the missing list
        spans = zip(node.children, texts, strict=True)
        return Seen(
            self.joined(node, [(child.start, child.end, text) for child, text in spans]),
            kind,
            inserted=sum((seen.inserted for seen in children), NOTHING),
            inexact=any(seen.inexact for seen in children),
            **more,  # type: ignore[arg-type]
        )

    def factor(self, text: str, by: Fraction, bare: bool) -> str:
        """`text` times `by`, spelt as a division or multiplication by plain decimals."""
        times, over = spell(by), spell(1 / by)
        if by > 1 and times is not None:
            out = f"{text} * {times}"
        elif over is not None:
            out = f"{text} / {over}"
        elif times is not None:
            out = f"{text} * {times}"
        else:
            out = f"{text} * {by.numerator} / {by.denominator}"
        return out if bare else f"({out})"

    def divided(self, seen: Seen, node: Node, bare: bool, inserted: Inserted) -> Seen:
        atomic = node.form in (Form.NUMBER, Form.CALL, Form.PAREN, Form.SELECTOR)
        text = self.factor(seen.text if atomic else f"({seen.text})", 1 / self.k, bare)
        return replace(seen, text=text, inserted=seen.inserted + inserted)

    def multiplied(self, seen: Seen, node: Node, bare: bool) -> Seen:
        text = seen.text if node.form is Form.SELECTOR else f"({seen.text})"
        text = self.factor(text, self.k, bare)
        return replace(seen, text=text, kind=Kind.PLAIN, inserted=seen.inserted + Inserted(distances=1), inexact=True)
