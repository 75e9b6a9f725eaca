"""The texts of all notices as they are now, and what differs from those that a person has approved.

    approved/WorkerUnhealthy/labels.txt                              the labels that its series bring: a person's word
    approved/WorkerUnhealthy/critical-alerts.email.firing.txt        one alert, and a group of three
    approved/receivers.txt                                           where each receiver's notices go, and how

amtool renders every template; what it made of an alert's is remembered under the hash of templates, data and version.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit.alerting.model import AlertConfig, of_role
from chaoskit.check.findings import Violation
from chaoskit.errors import Place
from chaoskit.safety.remembered import keep, key_of, recall
from chaoskit.stack.binaries import Tool
from chaoskit.stack.monitoring import answer_of, package_root
from chaoskit.wording.form import changed_lines
from chaoskit.wording.notices import Notice, notices, receivers_text, series_labels
from chaoskit.yaml_source import read_text

LABELS, RECEIVERS = "labels.txt", "receivers.txt"
TEXTS = "approved-texts"
"""The id of the lint that compares notices with the approved texts."""
UNRENDERED = "cannot be rendered"
"""Said of a text that amtool refuses."""
_KIND = "notices"
_OWN_TEMPLATES = "usr/share/prometheus/alertmanager"
_SEPARATOR = "\n\u241e\n"
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

    def __init__(self, tool: Tool, templates: Sequence[str], some: Iterable[Notice]) -> None:
        self.failed: list[Failed] = []
        ordered = _by_name(some)
        self._left = deque(ordered)
        self._key = _key(tool, templates, ordered)
        kept = recall(_KIND, self._key)
        self._answers = _made(tool, templates, ordered, map) if kept is None else iter(json.loads(kept))
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
    tool: Tool, templates: Sequence[str], some: Sequence[Notice], map_: Callable[..., Iterator[Any]]
) -> Iterator[Mapping[str, str] | str]:
    """Each notice's texts as amtool renders them, by their part, or its complaint; `map_` goes ahead, or does not."""
    if not some or tool.path is None:
        return
    with tempfile.TemporaryDirectory(prefix="chaoskit-approve-") as scratch:
        folder = Path(scratch)
        for number, text in enumerate(templates or [""]):
            (folder / f"{number:03}.tmpl").write_text(text, encoding="utf-8")
        argv = [str(tool.path), "template", "render", f"--template.glob={folder}/*.tmpl"]
        files = [folder / f"{number}.json" for number in range(len(some))]
        for one, file in zip(some, files, strict=True):
            file.write_text(json.dumps(one.data), encoding="utf-8")
        yield from map_(lambda pair: _render(argv, *pair), list(zip(some, files, strict=True)))


def _built_in(amtool: Path | None) -> list[str]:
    """Alertmanager's own templates, where its package keeps them as files: amtool does not look for them there."""
    root = (package_root(amtool) if amtool is not None else None) or Path("/")
    return [file.read_text(encoding="utf-8") for file in sorted((root / _OWN_TEMPLATES).glob("*.tmpl"))]


def _render(argv: list[str], one: Notice, file: Path) -> Mapping[str, str] | str:
    found: dict[str, str] = {}
    for html in (False, True):
        texts = [each for each in one.texts if each.html is html]
        templated = [each for each in texts if "{{" in each.template]
        if templated:
            kind = f"--template.type={'html' if html else 'text'}"
            text = _SEPARATOR.join(each.template for each in templated)
            call = [*argv, kind, f"--template.data={file}", f"--template.text={text}"]
            code, said = answer_of(call)
            parts = said.removesuffix("\n").split(_SEPARATOR)
            if code or len(parts) != len(templated):
                return said.strip().splitlines()[-1] if said.strip() else f"amtool failed with {code}"
            found |= {each.part: part for each, part in zip(templated, parts, strict=True)}
        found |= {each.part: each.template for each in texts if each not in templated}
    return {each.part: found[each.part] for each in one.texts}


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


def first_change(config: AlertConfig, tool: Tool, folder: Path) -> str:
    """The first text that is not as approved, in words; empty where all are. Asks text by text, and stops there."""
    if receivers_text(config) != read_text(folder / RECEIVERS):
        return f"{RECEIVERS} is not as approved"
    templates, words = _templates(config, tool), brought(folder)
    for alert in dict.fromkeys((*(rule.alert for rule in config.rules if rule.alert), *words)):
        now = _OneByOne(tool, templates, notices(config, words, (alert,)))
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
            yield Violation(place, f"the approved notice {name} is no longer sent by any route", _CORRECT_OR_TAKE)
        elif not before:
            yield Violation(place, f"the notice {name} was never approved", "read it, then: chaoskit approve --update")
        else:
            lines = changed_lines(before.splitlines(), after.splitlines())
            more = f" (and {len(lines) - _SHOWN} more lines)" if len(lines) > _SHOWN else ""
            yield Violation(place, f"{name} is not as approved: {' | '.join(lines[:_SHOWN])}{more}", _CORRECT_OR_TAKE)
