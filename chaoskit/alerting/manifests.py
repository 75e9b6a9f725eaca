"""Rule files as Kubernetes keeps them: a PrometheusRule manifest, read as the rule file that it holds.

The one idea: the groups stay where they stand and everything around them becomes blank, so that every place in
the result is the place in the manifest. A file may hold several documents, or a List of manifests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from chaoskit.errors import BadInput, Place, Problem

_KIND = "PrometheusRule"
_THANOS = "partial_response_strategy"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def rule_texts(text: str, file: str) -> tuple[str, ...]:
    """The rule files in this text: one for each manifest in it, or the text itself where it is no manifest.

    Raises BadInput for manifests of which none holds rules, such as a list of other kinds.
    """
    if _KIND not in text:
        return (text,)
    try:
        documents = list(yaml.compose_all(text, Loader=_LOADER))
    except (yaml.YAMLError, RecursionError):
        return (text,)  # whoever reads it says what is wrong with it, and where
    manifests = [manifest for document in documents for manifest in _manifests(document)]
    if not manifests:
        return (text,)
    found = [groups for manifest in manifests if (groups := _groups(manifest, text)) is not None]
    if not found:
        place = Place(file, manifests[0].start_mark.line + 1)
        raise BadInput(Problem(place, "the PrometheusRule holds no spec.groups", "add them, or leave it out"))
    return tuple(found)


def _manifests(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    if not isinstance(node, yaml.MappingNode):
        return
    kind = _entry(node, "kind")
    name = kind[1].value if kind else ""
    if name == _KIND:
        yield node
    elif name in ("List", f"{_KIND}List") and (items := _entry(node, "items")):
        for item in items[1].value if isinstance(items[1], yaml.SequenceNode) else ():
            yield from _manifests(item)


def _groups(manifest: yaml.MappingNode, text: str) -> str | None:
    spec = _entry(manifest, "spec")
    found = _entry(spec[1], "groups") if spec and isinstance(spec[1], yaml.MappingNode) else None
    if spec is None or not isinstance(spec[1], yaml.MappingNode) or found is None:
        return None
    key, value = found
    begin = key.start_mark
    held = _without_thanos(text[begin.index : value.end_mark.index], value, begin.index)
    lead = "\n" * begin.line
    if spec[1].flow_style:
        return f"{lead}{{{held}}}\n"
    return f"{lead}{' ' * begin.column}{held}\n"


def _without_thanos(held: str, groups: yaml.Node, begin: int) -> str:
    """The operator takes this key out before Prometheus, which refuses it, sees the group."""
    for group in groups.value if isinstance(groups, yaml.SequenceNode) else ():
        found = _entry(group, _THANOS) if isinstance(group, yaml.MappingNode) and not group.flow_style else None
        if found is not None:
            start, end = found[0].start_mark.index - begin, found[1].end_mark.index - begin
            held = held[:start] + " " * (end - start) + held[end:]
    return held


def _entry(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((key, value) for key, value in node.value if key.value == name), None)
