"""What a stack runs with, without the settings that only a newer Alertmanager than the one at hand knows.

The user's version may be newer than every installed program. amtool names what it does not know by line; the
configuration is made anew without it, and each such setting is a note. A kind of integration that is not known comes as
a webhook. Nothing is taken out by which it is decided who is told.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from chaoskit.alerting.config_alertmanager import INHIBIT_KEYS, ROUTE_KEYS
from chaoskit.localize.configuration import Localized
from chaoskit.localize.redirect import CONFIGS, Setting
from chaoskit.stack.monitoring import check_alertmanager
from chaoskit.yaml_source import read

_FILE = "alertmanager.yml"
_UNKNOWN = re.compile(r"field (?P<key>\S+) not found in type .*")
_DECIDING = {*ROUTE_KEYS, *INHIBIT_KEYS} - {"labels", "name"}
"""Keys by which it is decided who is told: without one, others would be."""
_ROUNDS = 4
"""Most settings are named at once; a type with a reader of its own is looked at only when the others are right."""


def fitted(make: Callable[[frozenset[Setting]], Localized], amtool: Path) -> Localized:
    """What `make` gives without the settings that amtool does not know; it is called again while there are any.

    Whatever else amtool refuses stays as it is, and is found when Alertmanager is started. Raises EquipmentError where
    amtool does not run.
    """
    unknown: frozenset[Setting] = frozenset()
    localized = make(unknown)
    for _ in range(_ROUNDS):
        more = _unknown_to(amtool, localized.files[_FILE]) - unknown
        if not more:
            break
        unknown |= more
        localized = make(unknown)
    return localized


def _unknown_to(amtool: Path, text: str) -> frozenset[Setting]:
    with tempfile.TemporaryDirectory(prefix="chaoskit-fit-") as folder:
        file = Path(folder) / _FILE
        file.touch(mode=0o600)  # the doors' words are in it
        file.write_text(text, encoding="utf-8")
        problems = check_alertmanager(amtool, file)
    named = {(p.place.line, m["key"]) for p in problems if p.place and (m := _UNKNOWN.fullmatch(p.message))}
    keys = ((key.place.line, path) for path, key, _ in read(text, _FILE).walk())
    return frozenset(s for line, path in keys if path and (line, path[-1]) in named and (s := _setting(path)))


def _setting(path: tuple[str, ...]) -> Setting | None:
    """The kind of integration and its setting (empty for the kind itself), else the section and the key."""
    top, *below = path
    if top != "receivers":
        return (top, below[-1]) if below and below[-1] not in _DECIDING else None
    kind, *setting = below
    return (kind.removesuffix(CONFIGS), setting[0] if setting else "") if kind.endswith(CONFIGS) else None
