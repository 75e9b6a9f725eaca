"""Changes of where notices go and what they say: receivers, mails, Alertmanager's globals and its templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from chaoskit.mutate.model import operator
from chaoskit.mutate.operators.rules import shorter
from chaoskit.mutate.source import Bundle, Change, Spot, Text
from chaoskit.yaml_source import Node

_NO_RESOLVED = ("email", "slack")
"""Integrations that tell no all-clear unless they are told to."""
_TEMPLATE = re.compile(r'\btemplate\s+"([^"]+)"')


@operator(
    "integration-removed", "alertmanager", "notify",
    "A receiver loses one of its integrations.", "It is told in one way less, or not at all.",
)  # fmt: skip
def integration_removed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each integration."""
    for text, site, members, number in bundle.integrations:
        yield Spot(text, site, text.without_item(members, number))


@operator(
    "send-resolved-flipped", "alertmanager", "all-clear",
    "`send_resolved` of an integration is the contrary.", "People on call hear of no end, or of each.",
)  # fmt: skip
def send_resolved_flipped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each integration."""
    for text, site, members, number in bundle.integrations:
        node = members.items[number].get("send_resolved")
        default = site.rpartition(".")[2] not in _NO_RESOLVED
        new = "false" if (node.raw.lower() == "true" if node is not None else default) else "true"
        holder = members.items[number]
        changes = (text.value(node, new),) if node is not None else text.with_pair(holder, "send_resolved", new)
        yield Spot(text, f"{site}.send_resolved", changes)


@operator(
    "send-resolved-dropped", "alertmanager", "all-clear",
    "`send_resolved` of an integration is left to its default.", "Of mails the default is: no all-clear.",
)  # fmt: skip
def send_resolved_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each integration that says it."""
    return _without("send_resolved", bundle)


def _without(key: str, bundle: Bundle) -> Iterator[Spot]:
    for text, site, members, number in bundle.integrations:
        if members.items[number].get(key) is not None:
            yield Spot(text, f"{site}.{key}", text.without_pair(members.items[number], key))


def _letters(text: Text, node: Node, start: int, end: int, new: str) -> Change:
    return text.letters(node).change(start, end, new)


def _addresses(keys: tuple[str, ...], bundle: Bundle) -> Iterator[Spot]:
    for text, site, members, number in bundle.integrations:
        for key in keys:
            node = members.items[number].get(key)
            if node is not None and node.kind == "scalar" and node.raw and "{{" not in node.raw:
                at = node.raw.find("@") if key == "to" else len(node.raw)
                at = len(node.raw) if at < 0 else at
                yield Spot(text, f"{site}.{key}", (_letters(text, node, at, at, "x"),))


operator(
    "recipient-misspelt", "alertmanager", "content", "A mail goes to another address.", "It is never read."
)(partial(_addresses, ("to",)))  # fmt: skip
operator(
    "url-wrong", "alertmanager", "notify", "A webhook or a chat is called at another address.", "Nothing listens there."
)(partial(_addresses, ("url", "api_url", "webhook_url", "channel")))  # fmt: skip


def _written(bundle: Bundle) -> Iterator[tuple[Text, str, Node, Node, Node]]:
    """Text, site, mapping, key and value of every text with a template in it."""
    for text, site, members, number in bundle.integrations:
        left = [(site, members.items[number])]
        while left:
            at, mapping = left.pop()
            for key, value in mapping.pairs:
                if value.kind == "mapping":
                    left.append((f"{at}.{key.raw}", value))
                elif "{{" in value.raw:
                    yield text, f"{at}.{key.raw}", mapping, key, value


@operator(
    "text-dropped", "alertmanager", "content",
    "Subject, body or another text of a notice is left to its default.", "People get words that they do not know.",
)  # fmt: skip
def text_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each text with a template in it."""
    for text, site, mapping, key, _ in _written(bundle):
        yield Spot(text, site, text.without_pair(mapping, key.raw))


@operator(
    "text-emptied",
    "alertmanager",
    "content",
    "A body or another text of a notice is empty.",
    "The notice says nothing.",
)
def text_emptied(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each text with a template in it, headers of mails left alone."""
    for text, site, _, _, value in _written(bundle):
        if ".headers." not in site:
            yield Spot(text, site, ((value.start, text.end(value), "''"),))


@operator(
    "template-name-misspelt", "alertmanager", "content",
    "A notice names a template that is not there.", "Alertmanager gives up on the notice, every time.",
)  # fmt: skip
def template_name_misspelt(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each name."""
    for text, site, _, _, value in _written(bundle):
        for found in _TEMPLATE.finditer(value.raw):
            yield Spot(text, site, (_letters(text, value, *found.span(1), shorter(found[1])),))


@operator(
    "templates-unloaded",
    "alertmanager",
    "content",
    "`templates` is gone.",
    "Every template that a notice names is lost.",
)
def templates_unloaded(bundle: Bundle) -> Iterator[Spot]:
    """At most one spot."""
    for text in bundle.of("alertmanager"):
        if text.root.get("templates") is not None:
            yield Spot(text, "templates", text.without_pair(text.root, "templates"))


@operator(
    "global-changed", "alertmanager", "check only",
    "Sender, relay or encryption of mails is another.", "No relay takes them.",
)  # fmt: skip
def global_changed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each that is set."""
    for text in bundle.of("alertmanager"):
        top = text.root.get("global")
        for key in ("smtp_from", "smtp_smarthost", "smtp_require_tls"):
            node = top.get(key) if top is not None else None
            if node is not None and node.raw:
                flipped = {"true": "false", "false": "true"}.get(node.raw.lower(), f"x{node.raw}")
                yield Spot(text, f"global.{key}", (text.value(node, flipped),))


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


@operator(
    "template-field-dropped", "template", "content", "A template no longer prints a field.", "The notice lacks it."
)
def template_field_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each action that prints."""
    for text, name, piece in _pieces(bundle):
        if piece["said"] and not _WORD.match(piece["said"]):
            yield Spot(text, f"{name}: {piece['said']}", ((*piece.span(), ""),))


@operator(
    "template-call-dropped", "template", "content",
    "A template no longer calls another one.", "All that the other one prints is missing.",
)  # fmt: skip
def template_call_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each call."""
    for text, name, piece in _pieces(bundle):
        if piece["said"].startswith("template"):
            yield Spot(text, f"{name}: {piece['said']}", ((*piece.span(), ""),))


@operator(
    "template-condition-flipped", "template", "content",
    "`if eq` of a template becomes `if ne`, `if x` becomes `if not x`.", "It says resolved of what fires.",
)  # fmt: skip
def template_condition_flipped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each condition."""
    for text, name, piece in _pieces(bundle):
        if found := _CONDITION.fullmatch(piece["said"]):
            start = piece.start("said") + found.start("said")
            word, _, _ = found["said"].partition(" ")
            end = start + len(word if word in _OPPOSITE else found["said"])
            new = _OPPOSITE.get(word) or f"not ({found['said']})"
            yield Spot(text, f"{name}: {piece['said']}", ((start, end, new),))
