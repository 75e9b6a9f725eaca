"""No key is read and then forgotten: something acts on whatever a scenario, a profile, a promise or a fault may say.

A field counts as used where its attribute is loaded in a module that can hold such an object: one that imports a
model, or something that carries one. Readers only make the objects, and `diff` only compares them, so neither counts;
what a model's own methods use does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from chaoskit.handles import handle_kinds

ROOT = Path(__file__).parents[2] / "chaoskit"
HANDLES = tuple(f"handles/{file.name}" for file in sorted((ROOT / "handles").glob("*.py")))
MODELS = ("scenario/model.py", "scenario/shape.py", "alerting/model.py", *HANDLES)
READERS = (
    "scenario/", "alerting/config", "alerting/promise.py", "alerting/rules.py", "alerting/prometheus_config.py",
    "diff/",
)  # fmt: skip
CARRIERS = frozenset(
    f"chaoskit.{name}"
    for name in ("scenario.model", "scenario.shape", "alerting.model", "plan.model", "inputs", "check.lint_context",
                 "check.alerts", "run.track", "explain.recipients", "explain.alert", "verify.hops", "verify.case",
                 "faults.base")
)  # fmt: skip
FIRST_KEYS = {f"{kind.__name__}.{kind.key_names()[0]}" for kind in handle_kinds().values() if kind.key_names()}
"""`Handle.said` reads the first key of every kind, whatever it is called."""


@cache
def sources() -> dict[str, str]:
    """Every module's text by its path below chaoskit."""
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in sorted(ROOT.rglob("*.py"))}


@dataclass(frozen=True)
class Module:
    """What a module says: attributes it loads, modules it imports, fields by class, strings, and listed keys."""

    loaded: frozenset[str]
    imported: frozenset[str]
    fields: tuple[tuple[str, str, str], ...]
    """Class, its bases, field."""
    strings: frozenset[str]
    keys: frozenset[str]


@cache
def parsed(text: str) -> Module:
    """The module of a text."""
    nodes = list(ast.walk(ast.parse(text)))
    whole = {ast.unparse(one.iter) for one in nodes if isinstance(one, ast.For)}
    lists = [one.value for one in nodes if isinstance(one, ast.Assign) and _is_keys(one, whole)]
    lists += [key for record in _records(nodes) for key in record.keys if key is not None]
    listed = {id(each): each.value for value in lists for each in ast.walk(value) if isinstance(each, ast.Constant)}
    return Module(
        frozenset(one.attr for one in nodes if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Load)),
        frozenset(str(one.module) for one in nodes if isinstance(one, ast.ImportFrom)),
        tuple(
            (one.name, " ".join(map(ast.unparse, one.bases)), field.target.id)
            for one in nodes
            if isinstance(one, ast.ClassDef)
            for field in one.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if not ast.unparse(field.annotation).startswith("ClassVar")  # of the kind, which nobody writes
        ),
        frozenset(str(one.value) for one in nodes if isinstance(one, ast.Constant) and id(one) not in listed),
        frozenset(value for value in listed.values() if isinstance(value, str)),
    )


def unused(texts: Mapping[str, str]) -> list[str]:
    """Fields of the models and of faults' settings that nothing acts on, as Class.field."""
    modules = {name: parsed(text) for name, text in texts.items()}
    acting = [m for n, m in modules.items() if n in MODELS or (not n.startswith(READERS) and m.imported & CARRIERS)]
    used = frozenset[str]().union(*(module.loaded for module in acting))
    found = [f"{cls}.{field}" for name in MODELS for cls, _, field in modules[name].fields if field not in used]
    faults = {
        f"chaoskit.{n.removesuffix('.py').replace('/', '.')}": m
        for n, m in modules.items()
        if n.startswith(("faults/", "adapters/"))
    }
    for name, module in faults.items():
        near = [other for at, other in faults.items() if at in module.imported or name in other.imported]
        mine = module.loaded.union(*(other.loaded for other in near))
        found += [f"{cls}.{f}" for cls, bases, f in module.fields if bases.endswith("Settings") and f not in mine]
    return sorted(set(found) - FIRST_KEYS)


def unread(texts: Mapping[str, str]) -> list[str]:
    """Keys in a reader's list of known ones that no reader takes, as file: key."""
    readers = {name: parsed(text) for name, text in texts.items() if name.startswith(("scenario/", "alerting/promise"))}
    said = frozenset[str]().union(*(each.strings for each in readers.values()))
    return [f"{n}: {key}" for n, each in readers.items() for key in sorted(each.keys) if not _taken(key, said)]


def _taken(key: str, said: frozenset[str]) -> bool:
    """By its name, or by its parts: `password_file` is where `password` is kept."""
    return key in said or all(part in said for part in re.split("(?<=[a-z])(?=_file|_env)", key))


def _is_keys(node: ast.Assign, whole: Collection[str]) -> bool:
    """A list of keys that are taken one by one; one that is gone through as a whole is read as a whole."""
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return any(name.endswith("KEYS") and name not in whole for name in names)


def _records(nodes: list[ast.AST]) -> list[ast.Dict]:
    """The forms by key of the records that no function reads whole, by `all`."""
    functions = [ast.unparse(one) for one in nodes if isinstance(one, ast.FunctionDef)]
    whole = " ".join(text for text in functions if ".all(" in text)
    return [
        one.value.args[1]
        for one in nodes
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call) and ast.unparse(one.value.func) == "Record"
        if isinstance(one.value.args[1], ast.Dict) and not re.search(rf"\b{ast.unparse(one.targets[0])}\b", whole)
    ]


def test_whatever_can_be_written_is_acted_on() -> None:
    assert unused(sources()) == []


def test_whatever_a_reader_knows_it_reads() -> None:
    assert unread(sources()) == []


@pytest.mark.parametrize(("module", "after", "planted", "name"), [
    ("scenario/model.py", "class Notify:\n", "    planted_vs: float\n", "Notify.planted_vs"),
    ("alerting/model.py", "class PromisedReceiver:\n", "    planted: str\n", "PromisedReceiver.planted"),
    ("handles/role.py", "class Role(Handle):\n", "    planted: str\n", "Role.planted"),
    ("faults/slice.py", "Settings):\n", "    planted: float\n", ".planted"),
])  # fmt: skip
def test_a_planted_key_is_found(module: str, after: str, planted: str, name: str) -> None:
    """Also where its reader and `diff` speak of it."""
    texts = dict(sources())
    texts[module] = texts[module].replace(after, f"{after}{planted}", 1)
    texts["scenario/expectations.py"] += "\n\ndef f(x): return x.planted_vs, x.planted\n"
    texts["diff/compare.py"] += "\n\ndef f(x): return x.planted_vs, x.planted\n"
    [found] = unused(texts)
    assert found.endswith(name)


@pytest.mark.parametrize(("module", "more"), [
    ("scenario/expectations.py", 'MORE = Record("", {"planted": text, "within": text})\n'),
    ("alerting/promise.py", 'MORE_KEYS = ("planted", "within", "for")\n'),
])  # fmt: skip
def test_a_key_that_is_listed_and_never_taken_is_found(module: str, more: str) -> None:
    texts = dict(sources())
    texts[module] += f"\n\n{more}"
    assert unread(texts) == [f"{module}: planted"]


def test_a_record_that_is_read_whole_leaves_no_key_out() -> None:
    texts = dict(sources())
    texts["scenario/load.py"] += '\n\nMORE = Record("", {"planted": text})\ndef f(n): return Fields(n, MORE, p).all()\n'
    assert unread(texts) == []
