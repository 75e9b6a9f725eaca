"""Settings of a configuration beyond routes and windows: where notices go, in which words, when there is quiet.

The one idea: these settings are compared as values, one by one and by name; order, spelling and comments are lost in
reading. Secrets were taken out before; marks in their place tell only whether they are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from chaoskit.alerting.config_fields import root_of
from chaoskit.alerting.config_secrets import becoming
from chaoskit.alerting.model import AlertConfig, Integration, Receiver, Rule, of_role
from chaoskit.alerting.rules import rule_document
from chaoskit.diff.model import Change
from chaoskit.errors import Place
from chaoskit.yaml_source import Node

Settings = Mapping[str, str]
_INTERVALS = ("time_intervals", "mute_time_intervals")


class Written:
    """The Alertmanager configuration and its templates, as far as only their texts tell."""

    def __init__(self, config: AlertConfig) -> None:
        self._root = root_of(config.told_apart, "alertmanager")
        self.file = self._root.place.file
        self._sources = config.sources

    @cached_property
    def general(self) -> Settings:
        """The global section: what integrations use where they say nothing of their own."""
        return _settings(self._root.get("global"))

    @cached_property
    def integrations(self) -> Mapping[tuple[str, str], tuple[Settings, ...]]:
        """By receiver and kind: the settings of each integration, without recipients and send_resolved."""
        found: dict[tuple[str, str], tuple[Settings, ...]] = {}
        for receiver in self._root.listed("receivers"):
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
            for each in self._root.listed(key):
                name = each.get("name")
                if name is not None:
                    found[name.raw] = text_of(each.get(_INTERVALS[0]))
        return found

    @cached_property
    def templates(self) -> frozenset[str]:
        """The texts of all templates; their files' names are not compared."""
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


def _settings(node: Node | None, kind: str = "") -> Settings:
    told_apart = {"send_resolved"} | ({"to"} if kind == "email" else set())
    return {key.raw: text_of(value) for key, value in node.pairs if key.raw not in told_apart} if node else {}


def text_of(node: Node | None) -> str:
    """A setting as one text; empty without it."""
    if node is None:
        return ""
    return node.raw if node.kind == "scalar" else json.dumps(node.plain(), sort_keys=True, ensure_ascii=False)


def receiver_changes(
    old: AlertConfig, new: AlertConfig, written: tuple[Written, Written], heard: set[str]
) -> Iterator[Change]:
    """Differences in the settings of the receivers in `heard`, and in the settings that all receivers share."""
    for name in new.receivers:
        if name in heard and name in old.receivers:
            yield from _receiver(old.receivers[name], new.receivers[name], written)
    place = Place(written[1].file or written[0].file)
    for key, was, is_ in _differing(written[0].general, written[1].general):
        yield Change("receiver", "", "", f"every receiver, global {key}", was, is_, "", place)
    for name, was, is_ in _differing(written[0].intervals, written[1].intervals):
        yield Change("quiet", "", "", f"time interval {name}", was, is_, "", place)
    if written[0].templates != written[1].templates:
        counts = [f"{len(each)} template files" for each in (w.templates for w in written)]
        why = "templates decide what mails and messages look like"
        yield Change("text", "", "", "the templates' texts", counts[0], f"{counts[1]}, other texts", why, place)


def _receiver(old: Receiver, new: Receiver, written: tuple[Written, Written]) -> Iterator[Change]:
    kinds = dict.fromkeys(each.kind for each in (*old.integrations, *new.integrations))
    for kind in kinds:
        was, is_ = (tuple(e for e in receiver.integrations if e.kind == kind) for receiver in (old, new))
        if not was or not is_ or len(was) != len(is_):
            yield _change(new, kind, f"{len(was) or 'none'}", f"{len(is_) or 'none'}")
        texts = _recipients(was), _recipients(is_)
        if texts[0] != texts[1] and was and is_:
            yield _change(new, "mails go to" if kind == "email" else f"{kind} goes to", *texts)
        if was and is_ and _resolved(was) != _resolved(is_):
            yield _change(new, f"{kind} tells the all-clear", _resolved(was), _resolved(is_))
        settings = [each.integrations.get((new.name, kind), ()) for each in written]
        yield from _settings_of(new, kind, settings[0], settings[1])


def _settings_of(receiver: Receiver, kind: str, was: Sequence[Settings], is_: Sequence[Settings]) -> Iterator[Change]:
    left = list(is_)
    before = []
    for each in was:
        if each in left:
            left.remove(each)
        else:
            before.append(each)
    for one, other in zip(before, left, strict=False):
        for key, old, new in _differing(one, other):
            yield _change(receiver, f"{kind} {key}", old, new)


def _recipients(integrations: Sequence[Integration]) -> str:
    return ", ".join(dict.fromkeys(sorted(to for each in integrations for to in each.to))) or "no address"


def _resolved(integrations: Sequence[Integration]) -> str:
    said = sorted({"yes" if each.send_resolved else "no" for each in integrations})
    return " and ".join(said)


def _differing(old: Settings, new: Settings) -> Iterator[tuple[str, str, str]]:
    for key in sorted(old.keys() | new.keys()):
        was, is_ = old.get(key, ""), new.get(key, "")
        if was != is_:
            yield key, *becoming(was or "nothing", is_ or "nothing")


def _change(receiver: Receiver, what: str, old: str, new: str) -> Change:
    return Change("receiver", "", receiver.name, what, old, new, "", receiver.place)
