"""All of an alert configuration read together, from files or from the texts that a history carries.

Texts are named by role and file: `prometheus:FILE` and `alertmanager:FILE` once each, `rules:FILE` and
`template:FILE` any number of times, `promise:FILE` at most once. Reading files is nothing but collecting
these texts, so a history rebuilds exactly what its run saw. Of a rule file that cannot be opened or is no text the
reason stands in its place, as `unread:FILE`.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from chaoskit.alerting.config_alertmanager import read_alertmanager
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.config_secrets import marked, unmarked
from chaoskit.alerting.model import LOST_TEMPLATES, AlertConfig, Promise, Rule
from chaoskit.alerting.prometheus_config import read_prometheus
from chaoskit.alerting.promise import NO_PROMISE, read_promise
from chaoskit.alerting.rules import read_rules
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import Node, nearest, read_text

ROLES = ("prometheus", "rules", "alertmanager", "promise", "template", "unread")

PROMETHEUS_NAMES = ("prometheus_config.yml", "prometheus.yml", "prometheus_config.yaml", "prometheus.yaml")
ALERTMANAGER_NAMES = ("alertmanager.yml", "alertmanager.yaml")
PROMISE_NAMES = ("notification_windows.yml", "notification_windows.yaml")


def load_folder(path: Path) -> AlertConfig:
    """The configuration in a folder laid out like the shipped one; raises BadInput with every problem.

    Rule files and templates are those that the two configurations name, by patterns relative to the folder;
    of a pattern that leads elsewhere (/etc/prometheus/rules/*.yml) the last part is looked for in the folder.
    """
    if not path.is_dir():
        raise BadInput(Problem(Place(str(path)), "is not a folder", "give the folder that holds alertmanager.yml"))
    problems: list[Problem] = []
    found: list[Path] = []
    for what, names in (
        ("Prometheus configuration", PROMETHEUS_NAMES),
        ("Alertmanager configuration", ALERTMANAGER_NAMES),
        ("promise", PROMISE_NAMES),
    ):
        file = next((path / name for name in names if (path / name).is_file()), None)
        if file is None:
            problems.append(Problem(Place(str(path)), f"holds no {what}", f"it is called {' or '.join(names[:2])}"))
        else:
            found.append(file)
    if problems:
        raise BadInput(problems)
    return load_files(found[0], found[1], found[2])


def load_files(
    prometheus: Path, alertmanager: Path, promise: Path | None = None, rules: Sequence[Path] = ()
) -> AlertConfig:
    """The configuration in these files; `rules` replaces the rule files that `prometheus` names.

    Files are named in `sources` relative to their configuration's folder. Raises BadInput with every
    problem, whose places are paths as the reader can open them.
    """
    reading = Reading()
    paths: dict[str, Path] = {}
    texts: dict[str, str] = {}

    def take(role: str, file: Path, folder: Path) -> None:
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()
        if paths.get(name, file) != file:  # two folders, one name: places must stay unambiguous
            name = file.as_posix()
        try:
            texts[f"{role}:{name}"] = read_text(file, any_bytes=role == "template")
        except BadInput as bad:
            if role in ("rules", "template"):
                texts[f"unread:{name}"] = unread_text(bad, role)
            else:
                reading.problems.extend(bad.problems)
        paths[name] = file

    for role, file in (("prometheus", prometheus), ("alertmanager", alertmanager), ("promise", promise)):
        if file is not None:
            take(role, file, file.parent)
    reading.finish()
    configurations = tuple(paths.values())
    for file in rules or _rule_files(reading, texts, prometheus.parent, configurations):
        take("rules", file, prometheus.parent)
    for file in _templates(reading, texts, alertmanager.parent, configurations):
        take("template", file, alertmanager.parent)
    try:
        config = load_texts(texts)
    except BadInput as bad:
        reading.problems.extend(bad.problems)
    reading.problems[:] = dict.fromkeys(_opened(problem, paths) for problem in reading.problems)
    reading.finish()
    puzzles = (replace(each, problem=_opened(each.problem, paths)) for each in config.not_understood)
    return replace(config, not_understood=tuple(puzzles))


def load_texts(sources: Mapping[str, str]) -> AlertConfig:
    """The configuration in these texts, by `role:FILE`; raises BadInput with every problem.

    Without a promise text nothing is promised. The result's `sources` are the texts without their secrets;
    read again they give the same result.
    """
    return _read(tuple(sources.items()))


@lru_cache(maxsize=8)
def _read(sources: tuple[tuple[str, str], ...]) -> AlertConfig:
    """The same texts are read for every scenario of a gate, when planning and when judging; nothing changes them."""
    reading = Reading()
    named = _by_role(reading, dict(sources))
    reading.finish()
    prometheus = read_prometheus(reading, *_only(named, "prometheus"))
    rules: tuple[Rule, ...] = ()
    for file, text in named["rules"].items():
        rules += read_rules(reading, text, file, prometheus)
    for file, text in named["unread"].items():
        leave_unread(reading, text, file)
    alertmanager = read_alertmanager(reading, *_only(named, "alertmanager"))
    if not any(rule.alert for rule in rules) and not reading.not_understood:
        reading.say(Place(_only(named, "prometheus")[1]), "there is no alerting rule", "name them under rule_files")
    promise: Promise = NO_PROMISE
    for file, text in named["promise"].items():
        unread = [name for each in reading.not_understood for name in each.of]
        alerts = dict.fromkeys([*(rule.alert for rule in rules if rule.alert), *unread])
        promise = read_promise(reading, text, file, alerts, alertmanager.receivers)
    if not rules and all(each.broken for each in reading.not_understood):
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
        marked=texts,
    )


def unread_text(bad: BadInput, role: str) -> str:
    """What stands for a file of rules or templates that cannot be read: line, message and hint of what is wrong."""
    first = bad.problems[0]
    lost = f"; {LOST_TEMPLATES}" if role == "template" else ""
    return f"{first.place.line if first.place else 0}\n{first.message}{lost}\n{first.hint}"


def leave_unread(reading: Reading, text: str, file: str) -> None:
    """Leaves the file out for which this text stands: whatever is in it, the other files are read."""
    line, message, hint = (*text.split("\n", 2), "", "")[:3]
    with reading.left_out():
        reading.say(Place(file, int(line) if line.isdecimal() else 0), message, hint)


def _by_role(reading: Reading, sources: Mapping[str, str]) -> dict[str, dict[str, str]]:
    named: dict[str, dict[str, str]] = {role: {} for role in ROLES}
    for key, text in sources.items():
        role, _, file = key.partition(":")
        if role in named and file:
            named[role][file] = text
        else:
            reading.say(Place(key), f"'{role}' is not a role of a file", nearest(role, ROLES))
    for role, needed in (("prometheus", True), ("alertmanager", True), ("promise", False)):
        if needed and not named[role]:
            reading.say(Place(role), f"no {role} configuration is given", f"give {role}:FILE")
        for file in list(named[role])[1:]:
            reading.say(Place(file), f"is a second {role} file", "give one")
    return named


def _only(named: Mapping[str, Mapping[str, str]], role: str) -> tuple[str, str]:
    file, text = next(iter(named[role].items()))
    return text, file


def _rule_files(reading: Reading, texts: Mapping[str, str], folder: Path, taken: Collection[Path]) -> list[Path]:
    file, text = _text_of(texts, "prometheus")
    return files_named(reading, folder, read_prometheus(Reading(), text, file).rule_files, taken) if text else []


def _templates(reading: Reading, texts: Mapping[str, str], folder: Path, taken: Collection[Path]) -> list[Path]:
    file, text = _text_of(texts, "alertmanager")
    return templates_named(reading, folder, read_alertmanager(Reading(), text, file).templates, taken) if text else []


def _text_of(texts: Mapping[str, str], role: str) -> tuple[str, str]:
    """Name and text of the role's file, for a first look: load_texts reads it again and reports what is wrong in it."""
    return next(((key.partition(":")[2], text) for key, text in texts.items() if key.startswith(f"{role}:")), ("", ""))


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
    """The same for templates, whose texts are kept: they must lie below the folder, links resolved.

    Else anybody's configuration could have any file copied that its reader may read.
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
    hint = f"looked in {folder}; what a pattern does not find is silently missing in production"
    reading.say(pattern.place, f"'{pattern.raw}' leads to no file", hint)


def matching(folder: Path, pattern: str, taken: Collection[Path]) -> list[Path]:
    """What Go's filepath.Glob finds in `folder`, sorted; an absolute pattern that finds nothing is tried in the folder.

    `taken` are files that such a second try must not find: the configurations themselves.
    """
    for tried in (pattern, Path(pattern).name) if Path(pattern).is_absolute() else (pattern,):
        names = glob.glob(tried, root_dir=folder, include_hidden=True)  # noqa: PTH207 - Path.glob takes no absolute one
        files = [folder / name for name in sorted(names)]
        if found := [file for file in files if not file.is_dir() and (tried == pattern or file not in taken)]:
            return found
    return []


def _opened(problem: Problem, paths: Mapping[str, Path]) -> Problem:
    """The same problem with its place as a path that can be opened from here."""
    place = problem.place
    if place is None or place.file not in paths:
        return problem
    return Problem(Place(str(paths[place.file]), place.line), problem.message, problem.hint)
