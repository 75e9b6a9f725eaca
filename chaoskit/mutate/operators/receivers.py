"""Changes of where notices go and what they say: receivers, mails, Alertmanager's globals and its templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from chaoskit.alerting.integrations import SEND_RESOLVED
from chaoskit.mutate.model import operator
from chaoskit.mutate.operators.rules import shorter
from chaoskit.mutate.source import Bundle, Part, Spot, Text, of_each
from chaoskit.yaml_source import TRUE, Node

_TEMPLATE = re.compile(r'\btemplate\s+"([^"]+)"')


def _integrations(bundle: Bundle) -> list[Part]:
    return bundle.integrations


operator(
    "integration-removed", "alertmanager", "notify",
    "A receiver loses one of its integrations.", "It is told in one way less, or not at all.",
)(of_each(_integrations, Part.removed))  # fmt: skip


@operator(
    "send-resolved-flipped", "alertmanager", "all-clear",
    "`send_resolved` of an integration is the contrary.", "People on call hear of no end, or of each.",
)  # fmt: skip
def send_resolved_flipped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each integration's send_resolved."""
    for each in bundle.integrations:
        told, _ = _resolved(each)
        yield each.spot("send_resolved", *each.saying("send_resolved", "false" if told else "true"))


@operator(
    "send-resolved-dropped", "alertmanager", "all-clear",
    "`send_resolved` of an integration is left to its default.", "Of mails the default is: no all-clear.",
)  # fmt: skip
def send_resolved_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each integration that says otherwise than its default."""
    for each in bundle.integrations:
        told, default = _resolved(each)
        if told != default:
            yield from each.without("send_resolved")


def _resolved(each: Part) -> tuple[bool, bool]:
    """Whether the integration is told of the end, and whether it would be by default."""
    node, default = each.node.get("send_resolved"), SEND_RESOLVED.get(each.site.rpartition(".")[2], True)
    return node.raw.lower() in TRUE if node is not None else default, default


def _addresses(keys: tuple[str, ...], bundle: Bundle) -> Iterator[Spot]:
    for each in bundle.integrations:
        for key in keys:
            node = each.node.get(key)
            if node is not None and node.kind == "scalar" and node.raw and "{{" not in node.raw:
                at = node.raw.find("@") if key == "to" else len(node.raw)
                at = len(node.raw) if at < 0 else at
                yield each.spot(key, each.text.letters(node).change(at, at, "x"))


operator(
    "recipient-misspelt", "alertmanager", "content", "A mail goes to another address.", "It is never read."
)(partial(_addresses, ("to",)))  # fmt: skip
operator(
    "url-wrong", "alertmanager", "notify", "A webhook or a chat is called at another address.", "Nothing listens there."
)(partial(_addresses, ("url", "api_url", "webhook_url", "channel")))  # fmt: skip


def _written(bundle: Bundle) -> Iterator[tuple[Part, Node, Node]]:
    """Mapping, key and value of every text with a template in it."""
    for each in bundle.integrations:
        left = [each]
        while left:
            part = left.pop()
            for key, value in part.node.pairs:
                if value.kind == "mapping":
                    left += part.below(key.raw)
                elif "{{" in value.raw:
                    yield part, key, value


@operator(
    "text-dropped", "alertmanager", "content",
    "Subject, body or another text of a notice is left to its default.", "People get words that they do not know.",
)  # fmt: skip
def text_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each text with a template in it."""
    for part, key, _ in _written(bundle):
        yield part.spot(key.raw, *part.text.without_pair(part.node, key.raw))


@operator(
    "text-emptied", "alertmanager", "content",
    "A body or another text of a notice is empty.", "The notice says nothing.",
)  # fmt: skip
def text_emptied(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each text with a template in it, headers of mails left alone."""
    for part, key, value in _written(bundle):
        if not part.site.endswith(".headers"):
            yield part.spot(key.raw, (value.start, part.text.end(value), "''"))


@operator(
    "template-name-misspelt", "alertmanager", "content",
    "A notice names a template that is not there.", "Alertmanager gives up on the notice, every time.",
)  # fmt: skip
def template_name_misspelt(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each name of a template in a notice's texts."""
    for part, key, value in _written(bundle):
        for found in _TEMPLATE.finditer(value.raw):
            yield part.spot(key.raw, part.text.letters(value).change(*found.span(1), shorter(found[1])))


operator(
    "templates-unloaded", "alertmanager", "content",
    "`templates` is gone.", "Every template that a notice names is lost.",
)(of_each(lambda bundle: bundle.roots("alertmanager"), partial(Part.without, key="templates")))  # fmt: skip


@operator(
    "global-changed", "alertmanager", "check only",
    "Sender, relay or encryption of mails is another.", "No relay takes them.",
)  # fmt: skip
def global_changed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each global setting of mails that is written."""
    for top in (top for root in bundle.roots("alertmanager") for top in root.below("global")):
        for key in ("smtp_from", "smtp_smarthost", "smtp_require_tls"):
            node = top.node.get(key)
            if node is not None and node.raw:
                flipped = {"true": "false", "false": "true"}.get(node.raw.lower(), f"x{node.raw}")
                yield top.spot(key, top.text.value(node, flipped))


_PIECE = re.compile(r"\{\{-?\s*(?P<said>/\*.*?\*/|(?:`[^`]*`|\"(?:\\.|[^\"\\])*\"|[^}`\"])*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r"(if|else|range|with|end|define|block|template|break|continue)\b|/\*|\$\w*\s*(:=|=|,)")
_CONDITION = re.compile(r"(?:else\s+)?if\s+(?P<said>.*)", re.DOTALL)
_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


def _pieces(bundle: Bundle) -> Iterator[tuple[Text, str, re.Match[str]]]:
    """Every action of every template, with the name of what it defines."""
    for text in bundle.of("template"):
        name = text.file.rpartition("/")[2]
        for piece in _PIECE.finditer(text.text):
            if defined := re.match(r'(?:define|block)\s+"([^"]+)"', piece["said"]):
                name = defined[1]
            yield text, name, piece


def _unprinted(calls: bool, bundle: Bundle) -> Iterator[Spot]:
    for text, name, piece in _pieces(bundle):
        said = piece["said"]
        if said.startswith("template") if calls else said and not _WORD.match(said):
            yield Spot(text, f"{name}: {said}", ((*piece.span(), ""),))


operator(
    "template-field-dropped", "template", "content", "A template no longer prints a field.", "The notice lacks it."
)(partial(_unprinted, False))  # fmt: skip
operator(
    "template-call-dropped", "template", "content",
    "A template no longer calls another one.", "All that the other one prints is missing.",
)(partial(_unprinted, True))  # fmt: skip


@operator(
    "template-condition-flipped", "template", "content",
    "`if eq` of a template becomes `if ne`, `if x` becomes `if not x`.", "It says resolved of what fires.",
)  # fmt: skip
def template_condition_flipped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each condition in a template."""
    for text, name, piece in _pieces(bundle):
        if found := _CONDITION.fullmatch(piece["said"]):
            start = piece.start("said") + found.start("said")
            word, _, _ = found["said"].partition(" ")
            end = start + len(word if word in _OPPOSITE else found["said"])
            new = _OPPOSITE.get(word) or f"not ({found['said']})"
            yield Spot(text, f"{name}: {piece['said']}", ((start, end, new),))
