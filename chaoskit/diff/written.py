"""What a configuration's files say beyond routes and windows: where notices go, in which words, when there is quiet.

The one idea: these settings are compared as values, one by one and by name; order, spelling and comments are lost in
reading. Secrets were taken out before; marks in their place tell only whether they are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property

from chaoskit.alerting.model import AlertConfig, Rule, of_role
from chaoskit.alerting.rules import rule_document
from chaoskit.yaml_source import Node, read

Settings = Mapping[str, str]
_INTERVALS = ("time_intervals", "mute_time_intervals")


class Written:
    """The Alertmanager configuration and its templates, as far as only their texts tell."""

    def __init__(self, config: AlertConfig) -> None:
        texts = of_role(config.told_apart, "alertmanager")
        self._root = read(texts[0][1], texts[0][0], first=True) if texts else None
        self.file = texts[0][0] if texts else ""
        self._sources = config.sources

    @cached_property
    def general(self) -> Settings:
        """The global section: what integrations use where they say nothing of their own."""
        return _settings(self._get("global"))

    @cached_property
    def integrations(self) -> Mapping[tuple[str, str], tuple[Settings, ...]]:
        """By receiver and kind: the settings of each integration, without recipients and send_resolved."""
        found: dict[tuple[str, str], tuple[Settings, ...]] = {}
        for receiver in self._items("receivers"):
            name = receiver.get("name")
            for key, value in receiver.pairs:
                if name is not None and value.kind == "sequence":
                    kind = key.raw.removesuffix("_configs")
                    found[name.raw, kind] = tuple(_settings(each, kind) for each in value.items)
        return found

    @cached_property
    def intervals(self) -> Settings:
        """Time intervals by name, each as one text."""
        found: dict[str, str] = {}
        for key in _INTERVALS:
            for each in self._items(key):
                name = each.get("name")
                if name is not None:
                    found[name.raw] = _text(each.get(_INTERVALS[0]))
        return found

    @cached_property
    def templates(self) -> frozenset[str]:
        """The texts of all templates: their files' names are nobody's business."""
        return frozenset(text for _, text in of_role(self._sources, "template"))

    @cached_property
    def _limits(self) -> Mapping[tuple[str, str], str]:
        """By file and group of rules: how many alerts a rule of it may have."""
        found: dict[tuple[str, str], str] = {}
        for file, text in of_role(self._sources, "rules"):
            document = rule_document(text, file, {})[0] if "limit" in text else {"groups": []}
            for group in document["groups"]:
                if group.get("limit"):
                    found[file, str(group["name"])] = str(group["limit"])
        return found

    def limit(self, rule: Rule) -> str:
        """How many alerts the rule may have before its group takes that for a mistake; `none` where any number."""
        return self._limits.get((rule.place.file, rule.group), "none")

    def _get(self, key: str) -> Node | None:
        return self._root.get(key) if self._root else None

    def _items(self, key: str) -> tuple[Node, ...]:
        found = self._get(key)
        return found.items if found else ()


def _settings(node: Node | None, kind: str = "") -> Settings:
    told_apart = {"send_resolved"} | ({"to"} if kind == "email" else set())
    return {key.raw: _text(value) for key, value in node.pairs if key.raw not in told_apart} if node else {}


def _text(node: Node | None) -> str:
    if node is None:
        return ""
    return node.raw if node.kind == "scalar" else json.dumps(node.plain(), sort_keys=True, ensure_ascii=False)
