"""The shipped configuration made ready to deploy: its optional parts turned on, its addresses replaced, in a folder.

The optional parts are in the files themselves, on lines that begin with `#PART `. Rendering takes that mark away
where the part is wanted and the line where it is not; everything else, comments included, stays as it is written.
`#source ` marks what is about these marks. The result is read once more, as any team's configuration would be,
before it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from chaoskit.alerting.config import load_config
from chaoskit.bundle import folder
from chaoskit.bundle.render_folder import put_in_place, refuse_unless_ours
from chaoskit.bundle.render_settings import ALERTMANAGER, apply, parse_settings
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import nearest, read

PARTS = ("monitoring", "sla")
"""The optional parts: each has its rules in `PART_alerts.yml` and lines marked `#PART `."""

_MARKS = (*PARTS, "environment", "source")
_MARKED = re.compile(rf"#(?P<mark>{'|'.join(_MARKS)})(?: (?P<line>.*))?")


def render(
    out: Path,
    parts: Sequence[str] = (),
    options: Iterable[str] = (),
    *,
    force: bool = False,
    check: Callable[[Path], None] = lambda folder: None,
) -> tuple[Path, ...]:
    """Writes the configuration to the folder `out`, all of it or nothing, and gives the files relative to it.

    `options` are `key=value` settings. `check` is given the folder before it gets its name and may raise. A folder
    that holds something already is replaced only with `force`, and only where nothing in it is foreign. Raises
    BadInput with every problem; then `out` is what it was before.
    """
    problems = [
        Problem(Place(f"--with {part}"), f"there is no part '{part}'", nearest(part, PARTS) or ", ".join(PARTS))
        for part in parts
        if part not in PARTS
    ]
    settings: dict[str, str] = {}
    try:
        settings = parse_settings(options, parts, mailing_receivers())
    except BadInput as error:
        problems += error.problems
    try:
        refuse_unless_ours(out, possible_files(), force=force)
    except BadInput as error:
        problems += error.problems
    if problems:
        raise BadInput(problems)
    texts = rendered(parts, settings)

    def checked(folder: Path) -> None:
        load_config(folder, complete=True)
        check(folder)

    put_in_place(out, texts, checked)
    return tuple(sorted(Path(name) for name in texts))


def rendered(parts: Iterable[str], settings: dict[str, str]) -> dict[str, str]:
    """The texts by file name: what is shipped, with these parts turned on and these settings applied."""
    on = {*parts, *({"environment"} & settings.keys())}
    chosen = {name: _turned_on(text, on) for name, text in _shipped(on).items()}
    return apply(settings, chosen)


def possible_files() -> frozenset[str]:
    """Every file that some rendering writes."""
    return frozenset(_shipped(set(PARTS)))


def mailing_receivers() -> tuple[str, ...]:
    """The shipped receivers that mail, in the order written."""
    root = read((folder() / ALERTMANAGER).read_text(encoding="utf-8"), ALERTMANAGER)
    return tuple(name.raw for one in root.listed("receivers") if one.get("email_configs") and (name := one.get("name")))


def _shipped(on: set[str]) -> dict[str, str]:
    root = folder()
    off = {f"{part}_alerts.yml" for part in PARTS if part not in on}
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {
        name: (root / name).read_text(encoding="utf-8")
        for name in names
        if name.endswith((".yml", ".tmpl", ".json", ".md")) and name not in off
    }


def _turned_on(text: str, on: set[str]) -> str:
    lines = []
    for line in text.split("\n"):
        marked = _MARKED.fullmatch(line)
        if marked is None:
            lines.append(line)
        elif marked["mark"] in on:
            lines.append(marked["line"] or "")
    return "\n".join(lines)
