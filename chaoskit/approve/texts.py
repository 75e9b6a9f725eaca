"""The texts of all notices as they are now, and what differs from those that a person has approved.

    approved/WorkerUnhealthy/labels.txt                              the labels that its series bring: a person's word
    approved/WorkerUnhealthy/critical-alerts.email.firing.txt        one alert, and a group of three
    approved/receivers.txt                                           where each receiver's notices go, and how

amtool renders every template; what it made of an alert's is remembered under the hash of templates, data and version.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chaoskit.alerting.model import AlertConfig, of_role
from chaoskit.check.findings import Violation
from chaoskit.errors import Place
from chaoskit.safety.remembered import keep, key_of, recall
from chaoskit.stack.binaries import Tool
from chaoskit.stack.monitoring import answer_of, package_root
from chaoskit.wording.form import changed_lines
from chaoskit.wording.notices import Notice, Text, notices, receivers_text, series_labels
from chaoskit.yaml_source import read_text

LABELS, RECEIVERS = "labels.txt", "receivers.txt"
TEXTS = "approved-texts"
"""The lint's id."""
UNRENDERED = "cannot be rendered"
"""Said of a text that amtool refuses."""
_KIND = "notices"
_OWN_TEMPLATES = "usr/share/prometheus/alertmanager"
_SEPARATOR = "\n\u241e\n"
_Asked = tuple[bool, tuple[str, ...], str]
"""A call of amtool: whether its texts are HTML, the texts, and the data as JSON."""
_NAMING = re.compile(r"""(\{\{-?\s*(?:define|template|block)\s+["`])([^"`\\]+)""")
"""Where a template's name stands, which Go takes as a constant only."""
_HEADS = {1: "# One alert", 3: "# Three alerts"}
_SHOWN = 6
"""Lines of a difference that a finding shows."""
_CORRECT_OR_TAKE = "correct the texts, or take them as they are now: chaoskit approve --update"


@dataclass(frozen=True, slots=True)
class Failed:
    """A text that could not be rendered, and amtool's reason."""

    name: str
    reason: str


def brought(folder: Path) -> dict[str, tuple[str, ...]]:
    """By alert: the labels that its series bring, as a person wrote them down."""
    found = {}
    for file in sorted(folder.glob(f"*/{LABELS}")):
        lines = (line.partition("#")[0].strip() for line in read_text(file).splitlines())
        found[file.parent.name] = tuple(line for line in lines if line)
    return found


def labels_text(config: AlertConfig, alert: str) -> str:
    """A first `labels.txt` for an alert, to be corrected by a person."""
    names = dict.fromkeys(name for rule in config.alert_rules(alert) for name in series_labels(config, rule))
    head = f"# The labels that the series of {alert} bring, one a line; its rule sets the others.\n"
    return head + "".join(f"{name}\n" for name in names)


def rendered(
    config: AlertConfig, tool: Tool, folder: Path, alerts: Sequence[str] = ()
) -> tuple[dict[str, str], list[Failed]]:
    """The text of every notice by its name, and what could not be rendered; starts amtool for what is not remembered.

    Raises EquipmentError where amtool cannot be run.
    """
    by: dict[str, list[Notice]] = {}
    for each in _by_name(notices(config, brought(folder), alerts)):
        by.setdefault(each.rule.alert, []).append(each)
    templates = _templates(config, tool)
    keys = {alert: _key(tool, templates, some) for alert, some in by.items()}
    known = {alert: kept for alert, key in keys.items() if (kept := recall(_KIND, key)) is not None}
    found: dict[str, str] = {}
    failed: list[Failed] = []
    with ThreadPoolExecutor(4) as pool:
        asked = [each for alert, some in by.items() if alert not in known for each in some]
        made = _made(tool, templates, asked, pool.map)
        for alert, some in by.items():
            answers = json.loads(known[alert]) if alert in known else [next(made) for _ in some]
            for one, answer in zip(some, answers, strict=True):
                if isinstance(answer, str):
                    failed.append(Failed(one.name, answer))
                else:
                    found[one.name] = _with_section(found.get(one.name, ""), one, answer)
            if alert not in known and not any(isinstance(answer, str) for answer in answers):
                keep(_KIND, keys[alert], json.dumps(answers))
    if not alerts:
        found[RECEIVERS] = receivers_text(config)
    return found, failed


class _OneByOne(Mapping[str, str]):
    """The texts of an alert's notices by name, each rendered when it is asked for, best in the order of names; what
    cannot be rendered is added to `failed`."""

    def __init__(
        self, tool: Tool, templates: Sequence[str], some: Iterable[Notice], rendered: Mapping[_Asked, list[str]]
    ) -> None:
        self.failed: list[Failed] = []
        ordered = _by_name(some)
        self._left = deque(ordered)
        self._key = _key(tool, templates, ordered)
        kept = recall(_KIND, self._key)
        self._answers = _made(tool, templates, ordered, map, rendered) if kept is None else iter(json.loads(kept))
        self._new: list[Mapping[str, str] | str] | None = [] if kept is None else None
        self._texts: dict[str, str] = dict.fromkeys((one.name for one in ordered), "")

    def __getitem__(self, name: str) -> str:
        while self._left and self._left[0].name <= name:
            one, answer = self._left.popleft(), next(self._answers)
            if self._new is not None:
                self._new.append(answer)
            if isinstance(answer, str):
                self.failed.append(Failed(one.name, answer))
            else:
                self._texts[one.name] = _with_section(self._texts[one.name], one, answer)
            if self._new and not self._left and not self.failed:
                keep(_KIND, self._key, json.dumps(self._new))
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _by_name(some: Iterable[Notice]) -> list[Notice]:
    return sorted(some, key=lambda one: one.name)


def _templates(config: AlertConfig, tool: Tool) -> list[str]:
    """Of one name the last definition counts, so that a team's own stands behind."""
    return [*_built_in(tool.path), *(text for _, text in sorted(of_role(config.sources, "template")))]


def _key(tool: Tool, templates: Sequence[str], some: Sequence[Notice]) -> str:
    return key_of([tool.version or "", *templates, *map(_asked, some)])


def _asked(one: Notice) -> str:
    texts = [(each.part, each.template, each.html) for each in one.texts]
    return json.dumps([one.name, one.kind, texts, one.to, one.sender, one.data], sort_keys=True)


def _with_section(before: str, one: Notice, answer: Mapping[str, str]) -> str:
    """The text of a file with one more notice: those of one alert and of three are in the same."""
    section = f"{_HEADS[len(one.data['alerts'])]}\n\n{one.form(answer)}\n"
    return f"{before}\n{section}" if before else section


def _made(
    tool: Tool,
    templates: Sequence[str],
    some: Sequence[Notice],
    map_: Callable[..., Iterator[Any]],
    known: Mapping[_Asked, list[str]] = MappingProxyType({}),
) -> Iterator[Mapping[str, str] | str]:
    """Each notice's texts as amtool renders them, by their part, or its complaint; `map_` goes ahead, or does not.

    Texts that are `known` of these templates are not asked for.
    """
    if not some or tool.path is None:
        return
    with tempfile.TemporaryDirectory(prefix="chaoskit-approve-") as scratch:
        argv = _with_templates(tool, templates, Path(scratch))

        def parts(asked: _Asked) -> list[str] | str:
            return known.get(asked) or _answered(argv, asked, Path(scratch))

        yield from map_(lambda one: _render(one, parts), some)


def _with_templates(tool: Tool, templates: Sequence[str], folder: Path) -> list[str]:
    """The words that begin a call of amtool with these templates, which are written into a folder."""
    for number, text in enumerate(templates or [""]):
        (folder / f"{number:03}.tmpl").write_text(text, encoding="utf-8")
    return [str(tool.path), "template", "render", f"--template.glob={folder}/*.tmpl"]


def _answered(argv: list[str], asked: _Asked, folder: Path) -> list[str] | str:
    """Each text as amtool renders it, or its complaint."""
    html, texts, data = asked
    argv = [*argv, f"--template.type={'html' if html else 'text'}", f"--template.text={_SEPARATOR.join(texts)}"]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, suffix=".json") as file:
        file.write(data)
        file.flush()
        code, said = answer_of([*argv, f"--template.data={file.name}"])
    parts = said.removesuffix("\n").split(_SEPARATOR)
    if code or len(parts) != len(texts):
        return said.strip().splitlines()[-1] if said.strip() else f"amtool failed with {code}"
    return parts


def _questions(one: Notice) -> dict[_Asked, list[Text]]:
    """The question to amtool about a notice, with the texts that are rendered so."""
    data = json.dumps(one.data)
    found = {}
    for html in (False, True):
        if texts := [each for each in one.texts if each.html is html and "{{" in each.template]:
            found[html, tuple(each.template for each in texts), data] = texts
    return found


def _built_in(amtool: Path | None) -> list[str]:
    """Alertmanager's own templates, where its package keeps them as files: amtool does not look for them there."""
    root = (package_root(amtool) if amtool is not None else None) or Path("/")
    return [file.read_text(encoding="utf-8") for file in sorted((root / _OWN_TEMPLATES).glob("*.tmpl"))]


def _render(one: Notice, parts: Callable[[_Asked], list[str] | str]) -> Mapping[str, str] | str:
    known: dict[_Asked, list[str]] = {}
    for asked in _questions(one):
        said = parts(asked)
        if isinstance(said, str):
            return said
        known[asked] = said
    return _parts(one, known)


def _parts(one: Notice, known: Mapping[_Asked, list[str]]) -> dict[str, str]:
    """The texts of a notice by their part, of what amtool made of them."""
    found = {each.part: each.template for each in one.texts}
    for asked, texts in _questions(one).items():
        found |= {each.part: part for each, part in zip(texts, known[asked], strict=True)}
    return found


def rendered_together(
    config: AlertConfig, others: Sequence[AlertConfig], tool: Tool, folder: Path
) -> list[dict[_Asked, list[str]]]:
    """For each of the other configurations, which differ from this one in templates alone, what amtool makes of its
    texts in the order of `first_change`, up to the first notice that does not read as here.

    One call renders a text by the templates of all, whose names are told apart. Before and behind them stands the text
    as it is here: were a page left open, the second would not read as the first.
    """
    here = len(others)
    found: list[dict[_Asked, list[str]]] = [{} for _ in (*others, config)]
    built_in, words = _built_in(tool.path), brought(folder)
    own = [[text for _, text in sorted(of_role(each.sources, "template"))] for each in (*others, config)]
    names = {name for texts in own for text in texts for _, name in _NAMING.findall(text)}
    if not others or tool.path is None or any(n in names for text in built_in for _, n in _NAMING.findall(text)):
        return found[:-1]
    with tempfile.TemporaryDirectory(prefix="chaoskit-approve-") as scratch:
        renamed = [_told_apart(text, names, at) for at, texts in enumerate(own) for text in texts]
        argv = _with_templates(tool, [*built_in, *renamed], Path(scratch))

        def ask(asked: _Asked, some: Sequence[int]) -> None:
            """Asks about these; where one of them fails or leaves a page open, about each half by itself."""
            html, texts, data = asked
            each = [_told_apart(text, names, at) for at in (here, *some, here) for text in texts]
            said = _answered(argv, (html, tuple(each), data), Path(scratch))
            count = len(texts)
            groups = [said[at : at + count] for at in range(0, len(said), count)] if not isinstance(said, str) else []
            for group in groups:
                group[-1] = group[-1].removesuffix("\n")  # as at the end of a call
            if groups and groups[0] == groups[-1]:
                for at, group in zip((here, *some), groups[:-1], strict=True):
                    found[at][asked] = group
            elif len(some) > 1:
                ask(asked, some[: len(some) // 2])
                ask(asked, some[len(some) // 2 :])

        left = list(range(here))
        for one in (one for alert in _alerts(config, words) for one in _by_name(notices(config, words, (alert,)))):
            for asked in _questions(one) if left else ():
                ask(asked, left)
            read = {at: _read(one, found[at]) for at in (here, *left)}
            left = [at for at in left if read[at] is not None and read[at] == read[here]]
    return found[:-1]


def _read(one: Notice, known: Mapping[_Asked, list[str]]) -> str | None:
    """The notice as a person reads it; None where not all of its texts are known."""
    return one.form(_parts(one, known)) if known.keys() >= _questions(one).keys() else None


def _told_apart(text: str, names: Collection[str], number: int) -> str:
    """The text with this number behind each of these names of templates."""
    return _NAMING.sub(lambda m: f"{m[1]}{m[2]} {number}" if m[2] in names else m[0], text)


def _alerts(config: AlertConfig, words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*(rule.alert for rule in config.rules if rule.alert), *words)))


def is_approved(folder: Path) -> bool:
    """Whether any notice's text was approved there."""
    return (folder / RECEIVERS).is_file()


def changes(folder: Path, now: Mapping[str, str], alerts: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Name, approved text and text as it is now of each that differs, of these alerts or of all; empty where one of
    the two is not there."""
    there = {
        str(file.relative_to(folder))
        for pattern in ("*/*.firing.txt", "*/*.resolved.txt", RECEIVERS)
        for file in folder.glob(pattern)
        if not alerts or file.parent.name in alerts
    }
    for name in sorted(there | now.keys()):
        before = read_text(folder / name) if name in there else ""
        if before != now.get(name, ""):
            yield name, before, now.get(name, "")


def first_change(
    config: AlertConfig, tool: Tool, folder: Path, known: Mapping[_Asked, list[str]] = MappingProxyType({})
) -> str:
    """The first text that is not as approved, in words; empty where all are. Asks text by text, and stops there; what
    is `known` is not asked."""
    if receivers_text(config) != read_text(folder / RECEIVERS):
        return f"{RECEIVERS} is not as approved"
    templates, words = _templates(config, tool), brought(folder)
    for alert in _alerts(config, words):
        now = _OneByOne(tool, templates, notices(config, words, (alert,)), known)
        for said in compared(config, folder, now, now.failed, (alert,)):
            return said.message
    return ""


def compared(
    config: AlertConfig, folder: Path, now: Mapping[str, str], failed: Sequence[Failed], alerts: Sequence[str] = ()
) -> Iterator[Violation]:
    """A finding for each text that is not as approved; a notice that none approved is one too."""
    places = {rule.alert: rule.place for rule in reversed(config.rules)}
    for name, before, after in changes(folder, now, alerts):
        lost = {each.name: each.reason for each in failed}  # they may grow from name to name
        alert = name.partition("/")[0]
        place = places.get(alert) or Place(str(folder / name), 1)
        if name in lost:
            yield Violation(place, f"{name} {UNRENDERED}: {lost[name]}", "correct the template")
        elif not after:
            yield Violation(place, f"{name} was approved, and no such notice is sent any more", _CORRECT_OR_TAKE)
        elif not before:
            yield Violation(place, f"{name} is a notice that was not approved", "read it: chaoskit approve")
        else:
            lines = changed_lines(before.splitlines(), after.splitlines())
            more = f" (and {len(lines) - _SHOWN} more lines)" if len(lines) > _SHOWN else ""
            yield Violation(place, f"{name} is not as approved: {' | '.join(lines[:_SHOWN])}{more}", _CORRECT_OR_TAKE)
