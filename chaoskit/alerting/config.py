"""All of an alert configuration read together, from files or from the texts that a history carries.

Texts are named by role and file: `prometheus:FILE` and `alertmanager:FILE` once each, `rules:FILE` and
`template:FILE` any number of times, `promise:FILE` at most once. Reading files is nothing but collecting
these texts, so a history rebuilds exactly what its run saw. Of a rule file that cannot be opened or is no text the
reason stands in its place, as `unread:FILE`.

A configuration is complete, as a run needs it, or any part of it may be missing: a team that shows only its rule files
gets them read, and `AlertConfig.shows` tells what was not shown.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

from chaoskit.alerting.config_alertmanager import NO_ROUTE, AlertmanagerFile, read_alertmanager
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.config_secrets import marked, unmarked
from chaoskit.alerting.model import LOST_TEMPLATES, AlertConfig, Rule, of_role
from chaoskit.alerting.prometheus_config import ASSUMED_INTERVAL_S, PrometheusFile, read_prometheus
from chaoskit.alerting.promise import NO_PROMISE, Names, read_promise
from chaoskit.alerting.rules import read_rules, rule_texts
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import Node, nearest, read_text

ROLES = ("prometheus", "rules", "alertmanager", "promise", "template", "approved", "unread")

_NAMES = {
    "prometheus": ("prometheus_config.yml", "prometheus.yml", "prometheus_config.yaml", "prometheus.yaml"),
    "alertmanager": ("alertmanager.yml", "alertmanager.yaml"),
    "promise": ("notification_windows.yml", "notification_windows.yaml"),
}
_SAID = {"prometheus": "Prometheus configuration", "alertmanager": "Alertmanager configuration", "promise": "promise"}
_NO_PROMETHEUS = PrometheusFile((), ASSUMED_INTERVAL_S, 0.0, {}, (), ())
_NO_ALERTMANAGER = AlertmanagerFile(NO_ROUTE, {}, (), ())

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """The files that make up a configuration, as a command was told: what `load_config` takes.

    A folder laid out like the shipped one, files that take the place of its own, or files alone; false without any.
    """

    bundle: Path | None = None
    rules: tuple[str, ...] = ()
    alertmanager: Path | None = None
    prometheus: Path | None = None
    promise: Path | None = None
    templates: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """The options that name these files, as words of a command line."""
        single = {each: getattr(self, each) for each in ("bundle", "alertmanager", "prometheus", "promise")}
        several = {"rules": self.rules, "template": self.templates}
        named = [(role, str(file)) for role, file in single.items() if file is not None]
        named += [(role, pattern) for role, patterns in several.items() for pattern in patterns]
        return tuple(word for role, file in named for word in (f"--{role}", file))

    @property
    def approved(self) -> Path:
        """The folder of what was approved: in the bundle, else beside the promise, else here."""
        return (self.bundle or (self.promise.parent if self.promise else Path())) / "approved"

    def load(self, *, complete: bool = False, needs_jobs: bool = True) -> AlertConfig:
        """The configuration that these files make up, as `load_config` reads it; raises BadInput with every problem."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return load_config(**given, complete=complete, needs_jobs=needs_jobs)


def load_config(
    bundle: Path | None = None,
    rules: Sequence[str] = (),
    alertmanager: Path | None = None,
    prometheus: Path | None = None,
    promise: Path | None = None,
    templates: Sequence[str] = (),
    *,
    complete: bool = False,
    needs_jobs: bool = True,
) -> AlertConfig:
    """The configuration that these files make up.

    A file beside `bundle` takes the place of the folder's own; `rules` (files, folders, patterns) replaces the files
    that the Prometheus configuration names, `templates` (the same) those of Alertmanager's. Of a `complete` one files
    are named in `sources` relative to their configuration's folder, else as they can be opened from here. Unless it is
    complete, a promise may speak of alerts and receivers that the configuration lacks; without `needs_jobs` nothing
    need be scraped. A configuration's pattern that leads elsewhere (/etc/prometheus/rules/*.yml) is looked for in its
    folder by its last part. Raises BadInput with every problem, whose places are paths as the reader can open them.
    """
    reading = Reading()
    files = {"prometheus": prometheus, "alertmanager": alertmanager, "promise": promise}
    if bundle is not None:
        files = {role: file or _first(bundle, _NAMES[role]) for role, file in files.items()}
        _check_folder(reading, bundle, [role for role, file in files.items() if file is None], complete, bool(rules))
    elif complete:
        lacking = [role for role in ("prometheus", "alertmanager") if files[role] is None]
        reading.problems += [
            Problem(None, f"no {_SAID[role]} is given", f"add --{role} FILE, or name a folder with --bundle")
            for role in lacking
        ]
    texts = _Texts(reading, complete)
    given = {role: file for role, file in files.items() if file is not None}
    for role, file in given.items():
        texts.take(role, file, file.parent)
    rule_files = _asked(reading, rules, "rules", (".yml", ".yaml"))
    template_files = _asked(reading, templates, "template", (".tmpl",))
    if complete:
        texts.finish()
    taken = tuple(given.values())
    if "prometheus" in given and not rules:
        name, text = texts.only("prometheus")
        patterns = read_prometheus(Reading(), text, name).rule_files
        rule_files = files_named(reading, given["prometheus"].parent, patterns, taken)
    if "alertmanager" in given and not templates:
        name, text = texts.only("alertmanager")
        patterns = _alone(Reading(), read_alertmanager, text, name).templates
        template_files = templates_named(reading, given["alertmanager"].parent, patterns, taken)
    for role, by, found in (("rules", "prometheus", rule_files), ("template", "alertmanager", template_files)):
        for each in found:
            texts.take(role, each, given[by].parent if by in given else Path())
    try:
        config = _read(tuple(texts.found.items()), complete, needs_jobs)
    except BadInput as bad:
        reading.problems.extend(bad.problems)
    texts.finish()
    return replace(
        config,
        rules=tuple(
            rule if (place := texts.whole(rule.place)) == rule.place else replace(rule, place=place)
            for rule in config.rules
        ),
        relabels=tuple(replace(step, place=texts.whole(step.place)) for step in config.relabels),
        not_understood=tuple(replace(each, problem=texts.opened(each.problem)) for each in config.not_understood),
        paths=texts.paths,
    )


def load_texts(sources: Mapping[str, str], *, complete: bool = True) -> AlertConfig:
    """The configuration in these texts, by `role:FILE`; raises BadInput with every problem, parts that are missing
    among them where it is to be complete.

    Without a promise text nothing is promised. The result's `sources` are the texts without their secrets;
    read again they give the same result.
    """
    return _read(tuple(sources.items()), complete, True)


@lru_cache(maxsize=8)
def _read(sources: tuple[tuple[str, str], ...], complete: bool, needs_jobs: bool) -> AlertConfig:
    """The same texts are read for every scenario of a gate, when planning and when judging; nothing changes them."""
    reading = Reading()
    named = _by_role(reading, dict(sources), complete)
    reading.finish()
    prometheus, alertmanager, promise = _NO_PROMETHEUS, _NO_ALERTMANAGER, NO_PROMISE
    for file, text in named["prometheus"].items():
        prometheus = _alone(reading, read_prometheus, text, file, needs_jobs)
    rules: tuple[Rule, ...] = ()
    for file, text in named["rules"].items():
        times = prometheus.evaluation_interval_s, prometheus.query_offset_s
        rules += _alone(reading, read_rules, text, file, *times)
    for file, text in named["unread"].items():
        line, message, hint = (*text.split("\n", 2), "", "")[:3]
        with reading.left_out():  # the other files are read
            reading.say(Place(file, int(line) if line.isdecimal() else 0), message, hint)
    for file, text in named["alertmanager"].items():
        alertmanager = _alone(reading, read_alertmanager, text, file)
    if complete and not any(rule.alert for rule in rules) and not reading.not_understood:
        reading.say(Place(next(iter(named["prometheus"]))), "there is no alerting rule", "name them under rule_files")
    for file, text in named["promise"].items():
        unread = [name for each in reading.not_understood for name in each.of]
        alerts = dict.fromkeys([*(rule.alert for rule in rules if rule.alert), *unread])
        known: Names = {
            "alert": alerts, "receiver": alertmanager.receivers, "job": [job.name for job in prometheus.jobs],
            "group": dict.fromkeys(rule.group for rule in rules), "time interval": alertmanager.intervals,
        }  # fmt: skip
        promise = read_promise(reading, text, file, known) if complete else _alone(reading, read_promise, text, file)
    if complete and not rules and all(each.broken for each in reading.not_understood):
        reading.problems += [each.problem for each in reading.not_understood]
    reading.finish()
    texts = marked(sources)
    return AlertConfig(
        prometheus.jobs,
        prometheus.evaluation_interval_s,
        rules,
        alertmanager.route,
        alertmanager.receivers,
        alertmanager.inhibit_rules,
        promise,
        {key: unmarked(text) for key, text in texts.items()},
        prometheus.external_labels,
        tuple(reading.not_understood),
        prometheus.relabels,
        intervals=alertmanager.intervals,
        marked=texts,
    )


def _alone(reading: Reading, read: Callable[..., T], text: str, file: str, *more: float) -> T:
    """The result of `read` for a text alone: of configurations that differ in one file, the others are read once."""
    found, own = _kept(read, text, file, more)
    reading.add(own)
    return cast(T, found)


@lru_cache(maxsize=256)
def _kept(read: Callable[..., object], text: str, file: str, more: tuple[float, ...]) -> tuple[object, Reading]:
    found, own = _anywhere(read, text, more)
    return placed((found, own), lambda place: Place(file, place.line))


@lru_cache(maxsize=256)
def _anywhere(read: Callable[..., object], text: str, more: tuple[float, ...]) -> tuple[object, Reading]:
    """The result as of a file without a name: two configurations that are compared have most texts in common."""
    own = Reading()
    return read(own, text, "", *more), own


def placed(value: T, at: Callable[[Place], Place]) -> T:
    """The value with another place for each in it."""
    new: object = value
    kind: type = type(value)
    if isinstance(value, (str, float)):
        pass
    elif isinstance(value, Place):
        new = at(value)
    elif isinstance(value, (tuple, list)):
        new = kind([placed(each, at) for each in value])
    elif isinstance(value, dict):
        new = {key: placed(each, at) for key, each in value.items()}
    elif (names := _names_of(kind)) is not None:
        parts = [(name, part, placed(part, at)) for name in names for part in (getattr(value, name),)]
        changed = {name: moved for name, part, moved in parts if moved is not part}
        new = replace(value, **changed) if changed else value  # type: ignore[type-var]
    return cast(T, new)


@lru_cache
def _names_of(kind: type) -> tuple[str, ...] | None:
    return tuple(each.name for each in fields(kind) if each.init) if is_dataclass(kind) else None


def _by_role(reading: Reading, sources: Mapping[str, str], complete: bool) -> dict[str, dict[str, str]]:
    named: dict[str, dict[str, str]] = {role: {} for role in ROLES}
    for key, text in sources.items():
        role, _, file = key.partition(":")
        if role in named and file:
            named[role][file] = text
        else:
            reading.say(Place(key), f"'{role}' is not a role of a file", nearest(role, ROLES))
    for role, needed in (("prometheus", complete), ("alertmanager", complete), ("promise", False)):
        if needed and not named[role]:
            reading.say(Place(role), f"no {role} configuration is given", f"give {role}:FILE")
        for file in list(named[role])[1:]:
            reading.say(Place(file), f"is a second {role} file", "give one")
    return named


def _check_folder(reading: Reading, folder: Path, missing: list[str], complete: bool, rules: bool) -> None:
    """Whether a bundle's folder holds what is needed: all three files, or enough to begin with."""
    place = Place(str(folder))
    if not folder.is_dir():
        reading.say(place, "is not a folder", "give the folder that holds alertmanager.yml")
    elif complete:
        for role in missing:
            reading.say(place, f"holds no {_SAID[role]}", f"it is called {' or '.join(_NAMES[role][:2])}")
    elif not rules and {"prometheus", "alertmanager"} <= set(missing):
        names = f"{_NAMES['prometheus'][0]} and {_NAMES['alertmanager'][0]}"
        message = "holds neither a Prometheus nor an Alertmanager configuration"
        reading.say(place, message, f"the files are called {names}; or name yours with --rules")
    if complete:
        reading.finish()


class _Texts:
    """The texts by `role:NAME`, and for names in places the paths as they can be opened from here."""

    def __init__(self, reading: Reading, complete: bool) -> None:
        self.found: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        """The file behind each further document of one."""
        self.paths: dict[str, Path] = {}
        """Where the files lie that are named relative to another."""
        self._reading, self._complete = reading, complete

    def take(self, role: str, file: Path, folder: Path) -> None:
        """Keeps the file's text under its role and name; what keeps it from being read is a problem of its place."""
        name = _from_here(file)
        if self._complete:
            name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()
            if self.paths.get(name, file) != file:  # two folders, one name: places must stay unambiguous
                name = file.as_posix()
            self.paths[name] = file
        try:
            text = read_text(file, any_bytes=role == "template")
            texts = rule_texts(text, name) if role == "rules" else (text,)
        except BadInput as bad:
            # Rules and templates that cannot be read are left out; without any other file there is nothing to go by.
            first = bad.problems[0]
            if role in ("rules", "template"):
                lost = f"; {LOST_TEMPLATES}" if role == "template" else ""
                line = first.place.line if first.place else 0
                self.found[f"unread:{name}"] = f"{line}\n{first.message}{lost}\n{first.hint}"
                return
            for each in bad.problems:
                self._reading.say(Place(name, each.place.line if each.place else 0), each.message, each.hint)
            return
        for number, each_text in enumerate(texts, 1):
            part = name if number == 1 else f"{name} (document {number})"
            self.found[f"{role}:{part}"] = each_text
            self._parts[part] = name

    def only(self, role: str) -> tuple[str, str]:
        """Name and text of the role's first file, empty without one; the full reading reports its problems."""
        return next(iter(of_role(self.found, role)), ("", ""))

    def finish(self) -> None:
        """Raises BadInput with the problems so far, if there are any, at places that can be opened from here."""
        self._reading.problems[:] = dict.fromkeys(map(self.opened, self._reading.problems))
        self._reading.finish()

    def whole(self, place: Place) -> Place:
        """The place in the whole file, of a place in one of its documents."""
        return Place(self._parts.get(place.file, place.file), place.line)

    def opened(self, problem: Problem) -> Problem:
        """The problem with its place as a path relative to the working folder."""
        if problem.place is None:
            return problem
        place = self.whole(problem.place)
        return replace(problem, place=Place(str(self.paths.get(place.file, place.file)), place.line))


def _from_here(file: Path) -> str:
    here = Path.cwd()
    full = file if file.is_absolute() else here / file
    return full.relative_to(here).as_posix() if full.is_relative_to(here) else file.as_posix()


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _asked(reading: Reading, patterns: Iterable[str], option: str, endings: Collection[str]) -> list[Path]:
    """The files that an option asks for, each once: a file, a folder's of these endings, or a pattern with ** and *."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix in endings and not each.is_dir())
        elif path.exists():
            files = [path]
        else:
            names = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = sorted(each for each in map(Path, names) if not each.is_dir())
        if not files:
            reading.say(Place(pattern), f"--{option} leads to no file", "correct the path; put quotes around a pattern")
        found.update(dict.fromkeys(files))
    return list(found)


def files_named(reading: Reading, folder: Path, patterns: Iterable[Node], taken: Collection[Path]) -> list[Path]:
    """The files that the patterns of a configuration lead to, each once, in the order Prometheus reads them."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = matching(folder, pattern.raw, taken)
        if not matches:
            _say_missing(reading, folder, pattern)
        found.update(dict.fromkeys(matches))
    return list(found)


def templates_named(reading: Reading, folder: Path, patterns: Iterable[Node], taken: Collection[Path]) -> list[Path]:
    """The files of template patterns; they must lie below the folder, links resolved, since their texts are kept.

    Otherwise a configuration could make chaoskit copy any file that its user may read.
    """
    found: dict[Path, None] = {}
    home = folder.resolve()
    for pattern in patterns:
        matches = matching(folder, pattern.raw, taken)
        inside = [file for file in matches if file.resolve().is_relative_to(home)]
        if not inside and Path(pattern.raw).is_absolute():
            near = matching(folder, Path(pattern.raw).name, taken)
            inside = [file for file in near if file.resolve().is_relative_to(home)]
        elif len(inside) < len(matches):
            inside = []
        if matches and not inside:
            hint = f"only templates below {folder} are read: put them there"
            reading.say(pattern.place, f"'{pattern.raw}' leads out of the configuration's folder", hint)
        elif not inside:
            _say_missing(reading, folder, pattern)
        found.update(dict.fromkeys(inside))
    return list(found)


def _say_missing(reading: Reading, folder: Path, pattern: Node) -> None:
    hint = f"looked in {folder}; Prometheus and Alertmanager skip such a pattern silently: correct it"
    reading.say(pattern.place, f"'{pattern.raw}' leads to no file", hint)


def matching(folder: Path, pattern: str, taken: Collection[Path]) -> list[Path]:
    """The files that Go's filepath.Glob finds in `folder`, sorted; an absolute one without a match is tried by name.

    `taken` are files that such a second try must not find: the configurations themselves.
    """
    for tried in (pattern, Path(pattern).name) if Path(pattern).is_absolute() else (pattern,):
        names = glob.glob(tried, root_dir=folder, include_hidden=True)  # noqa: PTH207 - Path.glob takes no absolute one
        files = [folder / name for name in sorted(names)]
        if found := [file for file in files if not file.is_dir() and (tried == pattern or file not in taken)]:
            return found
    return []
