"""Kinds that register themselves: every class of a package, one a module, and those of other packages by entry point.

A new kind is one file: nothing imports it by name, and no table lists it. A plugin is checked when it is read, and
every problem is named together with the offending definition.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from chaoskit.errors import BadInput, Problem

T = TypeVar("T")


def kinds_of(base: type[T], package: str, group: str, what: str, key: str = "kind") -> Mapping[str, type[T]]:
    """Every concrete class derived from `base` in a package's modules and an entry point group, by its `key`.

    `what` is the word for one in messages. Raises BadInput with every plugin that cannot be used.
    """
    path = import_module(package).__path__
    modules = [import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(path)]
    classes = [one for module in modules for one in vars(module).values() if _is_kind(one, base, module.__name__, key)]
    kinds: dict[str, Any] = {getattr(one, key): one for one in sorted(classes, key=lambda one: str(getattr(one, key)))}
    problems = []
    for entry in entry_points(group=group):
        if entry.name in kinds:
            continue
        kinds[entry.name], wrong = _load(entry, base, key)
        if wrong:
            problems.append(Problem(None, f"{what} '{entry.name}' ({entry.value}): {wrong}", "mend the plugin"))
    if problems:
        raise BadInput(problems)
    return kinds


def _is_kind(found: Any, base: type, module: str, key: str) -> bool:
    """Whether it is a kind that this module defines: a shared base of several kinds is none."""
    if not (isinstance(found, type) and issubclass(found, base) and found.__module__ == module):
        return False
    return bool(vars(found).get(key)) and not inspect.isabstract(found)


def _load(entry: EntryPoint, base: type, key: str) -> tuple[Any, str]:
    try:
        found: Any = entry.load()
    except Exception as error:
        return None, f"cannot be imported: {error}"
    declared = (name for one in reversed(base.__mro__) for name in inspect.get_annotations(one))
    needed = [name for name in declared if not hasattr(base, name)]
    needed += sorted(getattr(base, "__abstractmethods__", ()))
    if missing := [name for name in needed if not hasattr(found, name)]:
        return None, f"lacks {', '.join(missing)}"
    if not issubclass(found, base):
        return None, f"is not derived from {base.__module__}.{base.__name__}"
    if inspect.isabstract(found):
        return None, f"lacks {', '.join(sorted(found.__abstractmethods__))}"
    if (called := getattr(found, key)) != entry.name:
        return None, f"calls itself '{called}'"
    return found, ""
