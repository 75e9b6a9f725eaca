"""The user's own files, shown to the real programs before anything is made of them.

    alertmanager.yml  ->  amtool check-config               the installed generation nearest the user's version:
    prometheus.yml    ->  promtool check config             of an attached system what it says of itself,
    rule files        ->  promtool check rules              else the newest

The servers are started later with rewritten files, which may be valid where these are not. A refusal by a program
that is no older than the user's counts; one by an older program is told, and decides nothing. A rule whose expression
is newer than promtool is set aside, with its words, and its neighbours go on. No message here shows a secret.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from chaoskit.alerting.config_alertmanager import INHIBIT_KEYS, ROUTE_KEYS
from chaoskit.alerting.config_secrets import secrets_of
from chaoskit.alerting.model import REFUSES, AlertConfig, NotUnderstood, of_role
from chaoskit.alerting.promql_syntax import newer_construct
from chaoskit.alerting.rules import rest_of, why_unread
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import write_private
from chaoskit.localize.configuration import Localized
from chaoskit.localize.redirect import CONFIGS, Setting
from chaoskit.stack.binaries import Binaries, Tool, installed, is_older, nearest
from chaoskit.stack.monitoring import check_alertmanager, check_rules, check_syntax
from chaoskit.yaml_source import Node, read

_RULE = re.compile(r'group "(?P<group>.*?)", rule (?P<number>\d+), ".*?": (?P<said>.*)', re.DOTALL)
_EXPRESSION = "could not parse expression: "
_NOT_KNOWN = re.compile(r"unknown function|unexpected|not enabled")
_DOCUMENT = re.compile(r" \(document \d+\)$")
_ROUNDS = 4
"""How often promtool is asked about what is left of rule files in which it found something wrong."""
_CHECKERS = {"prometheus": "promtool", "rules": "promtool", "alertmanager": "amtool"}
_SERVERS = {"amtool": "alertmanager", "promtool": "prometheus"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An objection of promtool, amtool or a server to a file: at the user's place, without secrets."""

    role: str
    problem: Problem
    program: str
    """The name and version of the program that refuses."""
    yours: str = ""
    """The user's version, where it is newer and was not asked: then the refusal decides nothing."""
    exprs: tuple[str, ...] = ()
    """The expressions of the rules that it is about, in a rule file."""

    @property
    def plain(self) -> Problem:
        """The problem as it is told where the refusal counts."""
        return replace(self.problem, message=f"{self.program} refuses it: {self.problem.message}")

    @property
    def told(self) -> str:
        """The words for the refusal where it decides nothing, without its place."""
        return f"refused by {self.program}; your {self.yours} was not asked: {self.problem.message}"

    def __str__(self) -> str:
        place = f"{self.problem.place}: " if self.problem.place else ""
        return f"{place}{self.told}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The programs' words on a configuration as it was given."""

    refusals: tuple[Refusal, ...] = ()
    set_aside: dict[str, str] = field(default_factory=dict)
    """By expression: why no promtool here takes it."""
    notes: tuple[str, ...] = ()
    asked: frozenset[str] = frozenset()
    """The roles of the files that a program has seen."""
    run_with: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Path and version of the programs of another generation to run with, where the own one refuses what was taken."""

    @property
    def refused(self) -> tuple[Problem, ...]:
        """The refusals by a program of the user's version or a newer one."""
        return tuple(each.plain for each in self.refusals if not each.yours)

    @property
    def rows(self) -> tuple[str, ...]:
        """The refusals by programs older than the user's alone, in words: their rows are UNKNOWN."""
        return tuple(str(each) for each in self.refusals if each.yours)

    def unsettled(self, config: AlertConfig, *, rules: bool = False) -> tuple[NotUnderstood, ...]:
        """The places of rule files, or of the other files, that were not understood and no program has seen: they may
        as well be slips of the pen."""
        roles = {key.partition(":")[2]: key.partition(":")[0] for key in config.sources}
        unsure = ((each, _role_of(each.problem, roles)) for each in config.not_understood if not each.newer)
        return tuple(each for each, role in unsure if role not in self.asked and (role == "rules") is rules)

    def settle(self, config: AlertConfig) -> AlertConfig:
        """The configuration with what was set aside left out, and the rules that a program refuses.

        Raises BadInput for any other refusal, and for what this reader does not understand and no program has taken.
        """
        unsure = [each.problem for each in self.unsettled(config)]
        refused = [each for each in self.refusals if not each.yours]
        here = {_file(each.problem) for each in config.not_understood}
        if unsure or not all(each.exprs or (each.role == "rules" and _file(each.problem) in here) for each in refused):
            raise BadInput(dict.fromkeys([*self.refused, *unsure]))
        whole = {_file(each.problem) for each in refused if not each.exprs}
        places = {each.problem.place for each in refused}
        puzzles = (
            replace(p, broken=p.broken or p.problem.place in places or _file(p.problem) in whole)
            for p in config.not_understood
        )
        why = {expr: f"{each.program}{REFUSES}{each.problem.message}" for each in refused for expr in each.exprs}
        return replace(config, not_understood=tuple(puzzles)).without(why | self.set_aside)


_ANSWERS: dict[object, Answer] = {}


def checkers(yours: Mapping[str, str] | None = None) -> dict[str, Tool]:
    """The installed promtool and amtool that judge best for a user with these servers; without what is missing."""
    wanted = ((name, (yours or {}).get(server, "")) for name, server in _SERVERS.items())
    return {name: tool for name, version in wanted if (tool := nearest(name, version))}


def ask(
    config: AlertConfig,
    yours: Mapping[str, str] | None = None,
    tools: Mapping[str, Tool] | None = None,
) -> Answer:
    """Asks the installed programs about the files; each is called once for the same files, answers are kept.

    `yours` are the versions that the user has, by server (prometheus, alertmanager).
    `tools` takes the place of looking for the checkers. Raises EquipmentError where a program does not run.
    """
    versions = dict(yours or {})
    tools = checkers(versions) if tools is None else tools
    files = (*config.sources.items(), *config.paths.items())
    key = (files, Path.cwd(), tuple(versions.items()), tuple(tools.values()))
    if key not in _ANSWERS:
        _ANSWERS[key] = _ask(config, versions, tools)
    return _ANSWERS[key]


def understood(config: AlertConfig) -> AlertConfig:
    """The configuration, once the programs have settled what of it is not understood; raises BadInput if they refuse.

    Programs are asked only where something is in doubt.
    """
    return config if all(each.newer for each in config.not_understood) else ask(config).settle(config)


def able(binaries: Binaries, answer: Answer) -> Binaries:
    """The programs to run with: for what these refuse, those of the generation that accepts it."""
    for name, (path, version) in answer.run_with.items():
        binaries = replace(binaries, **{name: Path(path)}, versions={**binaries.versions, name: version})
    return binaries


def _ask(config: AlertConfig, yours: Mapping[str, str], tools: Mapping[str, Tool]) -> Answer:
    aside: dict[str, str] = {}
    roles = [role for role, name in _CHECKERS.items() if name in tools and config.shows(role)]

    def of(role: str) -> list[Refusal]:
        return _of_role(role, config, yours, tools[_CHECKERS[role]], aside)

    with ThreadPoolExecutor(len(_CHECKERS)) as pool:
        refusals = tuple(each for refused in pool.map(of, roles) for each in refused)
    refused = {each.role for each in refusals if not each.yours}
    run_with: dict[str, tuple[str, str]] = {}
    for role in ("alertmanager", "rules"):
        if role in roles and role not in refused:
            run_with |= _instead(role, config, tools[_CHECKERS[role]], aside)
    return Answer(refusals, aside, tuple(_missing_files(config)), frozenset(roles), run_with)


def _instead(role: str, config: AlertConfig, tool: Tool, aside: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The asked generation's programs, where the own one refuses what they take."""
    own = installed(tool.name)[0]
    servers = [each for each in installed(_SERVERS[tool.name]) if _path(each).parent == _path(tool).parent]
    if own.path == tool.path or not servers:
        return {}
    theirs: dict[str, str] = {}
    if not _of_role(role, config, {}, own, theirs) and theirs.keys() <= aside.keys():
        return {}
    return {each.name: (str(each.path), each.version or "") for each in (tool, servers[0])}


def _of_role(
    role: str,
    config: AlertConfig,
    yours: Mapping[str, str],
    tool: Tool,
    aside: dict[str, str],
) -> list[Refusal]:
    version, mine = tool.version or "", yours.get(_SERVERS[tool.name], "")
    program = f"{tool.name} {version}".strip()
    unasked = mine if mine and is_older(version, mine) else ""
    problems = _rules(config, tool) if role == "rules" else _configuration(role, config, tool)
    found = []
    for problem, expr, exprs in problems:
        if expr and (unasked or _is_newer(expr, problem.message)):
            who = f"refused by {program}; your {mine} was not asked" if unasked else f"{program} refuses it"
            aside[expr] = f"{who}: {problem.message}"
        else:
            found.append(Refusal(role, problem, program, unasked, exprs))
    return found


def _is_newer(expr: str, said: str) -> bool:
    """Whether what promtool does not take is newer than it, or none of its default: not a slip of the pen."""
    known_here = not why_unread(expr)[0]
    return bool(newer_construct(expr)) or "not enabled" in said or (known_here and bool(_NOT_KNOWN.search(said)))


_Refused = tuple[Problem, str, tuple[str, ...]]
"""A problem, the expression that it is about, and those of the rules that it concerns."""


def _configuration(role: str, config: AlertConfig, tool: Tool) -> Iterator[_Refused]:
    check = check_alertmanager if role == "alertmanager" else check_syntax
    for name, _ in of_role(config.sources, role):
        path = asked = config.path(name)
        text = path.read_text(encoding="utf-8", errors="replace")
        secrets = secrets_of(text, role)
        with tempfile.TemporaryDirectory(prefix="chaoskit-check-") as where:
            if role == "alertmanager" and config.lost_templates:
                # amtool would open it, and say nothing else, or wait for ever.
                asked = Path(where) / path.name
                asked.write_text(
                    yaml.safe_dump({**read(text, name, first=True).plain(), "templates": []}), encoding="utf-8"
                )
            for problem in check(_path(tool), asked):
                place = problem.place if problem.place and asked == path else Place(str(path))
                yield Problem(place, secrets.mask(problem.message), problem.hint), "", ()


def _rules(config: AlertConfig, tool: Tool) -> Iterator[_Refused]:
    """Each problem with the expressions that it is about; the rule files as they were read, manifests included.

    Of a file in which something is wrong promtool may tell no more than that: so it is asked again without it.
    """
    without: set[str] = set()
    for _ in range(_ROUNDS):
        found = list(_asked(config, tool, without))
        yield from (each for each in found if not without or not without.issuperset(each[2]))
        more = {expr for _, _, exprs in found for expr in exprs} - without
        if not more:
            return
        without |= more


def _asked(config: AlertConfig, tool: Tool, without: Collection[str]) -> Iterator[_Refused]:
    wrong = {_file(each.problem) for each in config.not_understood if each.broken}
    with tempfile.TemporaryDirectory(prefix="chaoskit-check-") as where:
        names: dict[str, tuple[str, str]] = {}
        for number, (name, text) in enumerate(of_role(config.sources, "rules")):
            copy = Path(where) / f"{number}.yml"
            if without or str(config.path(_DOCUMENT.sub("", name))) in wrong:
                text = rest_of(text, name, without)
            copy.write_text(text, encoding="utf-8")
            names[str(copy)] = name, text
        for problem in check_rules(_path(tool), list(map(Path, names))):
            place, message = problem.place or Place(""), problem.message
            part, text = names.get(place.file, (place.file, ""))
            for file, (name, _) in names.items():
                message = message.replace(file, _DOCUMENT.sub("", name))
            line, expr = place.line, ""
            groups = _groups_of(text, part)
            if match := _RULE.match(message):
                rule = _rule_at(groups, match["group"], int(match["number"]))
                line = line or (rule.place.line if rule else 0)
                concerned = [rule] if rule else []
                if rule and match["said"].startswith(_EXPRESSION):
                    expr, message = "".join(_exprs(concerned)), match["said"].removeprefix(_EXPRESSION)
            else:
                concerned = _rules_at(groups, line)
            shown = Place(str(config.path(_DOCUMENT.sub("", part))), line)
            yield Problem(shown, message, problem.hint), expr, _exprs(concerned)


def _groups_of(text: str, name: str) -> tuple[Node, ...]:
    try:
        return read(text, name, first=True).listed("groups") if text else ()
    except BadInput:
        return ()


def _rule_at(groups: tuple[Node, ...], group: str, number: int) -> Node | None:
    for each in groups:
        called, rules = each.get("name"), each.listed("rules")
        if called and called.raw == group and 0 < number <= len(rules):
            return rules[number - 1]
    return None


def _rules_at(groups: tuple[Node, ...], line: int) -> list[Node]:
    """The rule in which this line stands; all of its group's, or the file's, where it is in none."""
    near = [each for each in groups if each.place.line <= line][-1:]
    members = [rule for group in near or groups for rule in group.listed("rules")]
    return [rule for rule in members if near and rule.place.line <= line][-1:] or members


def _exprs(rules: list[Node]) -> tuple[str, ...]:
    return tuple(written.raw for rule in rules if (written := rule.get("expr")))


def _missing_files(config: AlertConfig) -> Iterator[str]:
    """Files of tokens and certificates that only the user's own machine has: promtool would mind, and need not."""
    for name, _ in of_role(config.sources, "prometheus"):
        path = config.path(name)
        for _, key, value in read(path.read_text(encoding="utf-8-sig"), name, first=True).walk():
            named = value.raw if key is not value and key.raw.endswith("_file") and value.kind == "scalar" else ""
            if named and not path.parent.joinpath(named).is_file():
                yield f"{path}:{value.place.line}: {key.raw} names a file that is not on this machine"


def _file(problem: Problem) -> str:
    return problem.place.file if problem.place else ""


def _path(tool: Tool) -> Path:
    assert tool.path is not None  # only programs that run here are asked
    return tool.path


def _role_of(problem: Problem, roles: Mapping[str, str]) -> str:
    """The role of the file that a problem is in, by its name or the end of its path."""
    file = problem.place.file if problem.place else ""
    near = (role for name, role in roles.items() if file == name or file.endswith(f"/{_DOCUMENT.sub('', name)}"))
    return next(near, "")


_FILE = "alertmanager.yml"
_UNKNOWN = re.compile(r"field (?P<key>\S+) not found in type .*")
_DECIDING = {*ROUTE_KEYS, *INHIBIT_KEYS} - {"labels", "name"}
"""Keys by which it is decided who is told: without one, others would be."""
_FITTINGS = 4
"""Most settings are named at once; a type with a reader of its own is looked at only when the others are right."""


def fitted(make: Callable[[frozenset[Setting]], Localized], amtool: Path) -> Localized:
    """The result of `make` without the settings that amtool does not know; it is called again while there are any.

    The user's version may be newer than every installed program. A kind of integration that is not known comes as a
    webhook; nothing is taken out by which it is decided who is told.

    Other things that amtool refuses stay as they are, and are found when Alertmanager is started. Raises
    EquipmentError where amtool does not run.
    """
    unknown: frozenset[Setting] = frozenset()
    localized = make(unknown)
    for _ in range(_FITTINGS):
        more = _unknown_to(amtool, localized.files[_FILE]) - unknown
        if not more:
            break
        unknown |= more
        localized = make(unknown)
    return localized


def _unknown_to(amtool: Path, text: str) -> frozenset[Setting]:
    with tempfile.TemporaryDirectory(prefix="chaoskit-fit-") as folder:
        file = Path(folder) / _FILE
        write_private(file, text.encode())  # the sinks' words are in it
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
