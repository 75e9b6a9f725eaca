"""Locust's command line, made of the profile's `load`: options of the locustfile's own, tags, classes, numbers.

Mistakes are found before the target starts: a value that is missing, a class without a task, a name that the file does
not know. Raises BadInput with all of one kind.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import locust
from locust import TaskSet, User
from locust.argument_parser import get_empty_argument_parser, get_parser, setup_parser_arguments
from locust.env import Environment

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.load.model import LoadSpec
from chaoskit.units import format_duration
from chaoskit.yaml_source import nearest

_SAID_BY = {
    "num_users": "users: 20", "spawn_rate": "spawn_rate: 2/s", "tags": "tags: [read]", "processes": "processes: 2",
    "exclude_tags": "exclude_tags: [slow]", "user_classes": "classes: [Reader]", "stop_timeout": "drain: 10s",
}  # fmt: skip
"""Locust's own options that keys of `load` replace, with the key to write."""
_LONGEST_S = 7200
_MOST_STAGES = 20

_parsed: dict[str, Any] = {}


def options_of(spec: LoadSpec, users: int | None) -> Any:
    """The options that a locustfile finds in `parsed_options`; `users` are those of all processes together."""
    path = str(spec.locustfile)
    if path not in _parsed:
        _parsed[path] = _parse(spec, Place(path))
    options = _parsed[path]
    options.host, options.num_users = spec.host, users
    options.spawn_rate = float(users or 1) if spec.spawn_rate is None else spec.spawn_rate
    options.run_time = math.ceil(spec.limit_s)
    options.tags, options.exclude_tags = list(spec.tags) or None, list(spec.exclude_tags) or None
    options.user_classes = list(spec.classes)
    return options


def chosen(spec: LoadSpec, classes: Mapping[str, type[Any]]) -> list[type[Any]]:
    """The user classes that are asked for; all of them where none is named."""
    known = f"it has {', '.join(classes)}"
    unknown = [name for name in spec.classes if name not in classes]
    if unknown:
        place = Place(str(spec.locustfile))
        raise BadInput(Problem(place, f"has no user class '{one}'", nearest(one, classes) or known) for one in unknown)
    return [classes[name] for name in spec.classes or classes]


def check_tasks(spec: LoadSpec, classes: list[type[Any]], options: Any) -> None:
    """Whether Locust can make users of these, each with something to do."""
    place = Place(str(spec.locustfile))
    before = {tag for one in classes for task in one.tasks for tag in _tags(task)}
    try:
        environment = Environment(user_classes=list(classes), events=locust.events, parsed_options=options)
    except ValueError as error:
        hint = "give one a weight above 0" if "weight" in str(error) else ""
        raise BadInput(Problem(place, str(error).rstrip("."), hint)) from error
    most = sum(one.fixed_count for one in classes)
    if all(one.fixed_count for one in classes) and most < (options.num_users or 0) / 2:  # the load would not be there
        hint = f"write users: {most}, or take fixed_count from a class"
        said = f"each of its classes has a fixed_count, {most} together, and {options.num_users} users are asked for"
        raise BadInput(Problem(place, said, hint))
    environment._filter_tasks_by_tags()
    if problems := [
        _never_runs(task, place)
        for one in classes
        for task in dict.fromkeys(_functions(one.tasks))
        if inspect.iscoroutinefunction(task) or inspect.isgeneratorfunction(task)
    ]:
        raise BadInput(problems)
    idle = [one for one in environment.user_classes if _has_no_task(one)]
    if not idle:
        return
    hint = "mark a method with @task, or say abstract = True"
    if spec.tags or spec.exclude_tags:
        hint = f"none is left of what tags and exclude_tags say; its tags are {', '.join(sorted(before)) or 'none'}"
    raise BadInput(Problem(_place_of(one, place), f"the user class {one.__name__} has no tasks", hint) for one in idle)


def said_as_shape(shape: Any) -> str:
    """The `shape:` that says what a LoadTestShape does, sampled every second; empty where it depends on more than the
    time."""
    levels: list[tuple[int, float]] = []
    now_s = 0
    try:
        shape.get_run_time = lambda: float(now_s)
        while now_s < _LONGEST_S and (tick := shape.tick()) is not None:
            levels.append((int(tick[0]), float(tick[1])))
            now_s += 1
    except Exception:  # it is the locustfile's code
        return ""
    highest = max((users for users, _ in levels), default=0)
    if not highest:
        return ""
    starts = [n for n in range(len(levels)) if not n or levels[n][0] != levels[n - 1][0]]
    smooth = len(starts) > _MOST_STAGES
    if smooth:
        starts = list(range(0, len(levels), -(-len(levels) // _MOST_STAGES)))
    stages = []
    before = 0
    for start, end in zip(starts, [*starts[1:], len(levels)], strict=True):
        users, per_s = levels[end - 1 if smooth else start]
        for_s = end - start
        over_s = for_s if smooth else min(for_s, math.ceil(abs(users - before) / per_s) if per_s > 0 else 0)
        over = f", over: {format_duration(over_s)}" if over_s > 1 else ""
        stages.append(f"{{for: {format_duration(for_s)}, to: {100 * users / highest:.4g}%{over}}}")
        before = users
    return f"users: {highest}, shape: {{stages: [{', '.join(stages)}]}}"


def _parse(spec: LoadSpec, place: Place) -> Any:
    plain = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(plain)  # type: ignore[no-untyped-call]
    locusts = {action.dest for action in plain._actions}
    # No configuration files: what runs is what the profile says.
    parser: Any = get_parser(default_config_files=[])
    own = {action.dest: action for action in parser._actions if action.dest not in locusts}
    for action in list(own.values()):
        own |= {option.lstrip("-").replace("-", "_"): action for option in action.option_strings}
    problems = []
    words = ["--headless"]
    for key, value in spec.options.items():
        name = key.lstrip("-").replace("-", "_")
        if name in own:
            words += _words(own[name], value)
        elif name in locusts or name in ("users", "host", "run_time"):
            said = _SAID_BY.get("num_users" if name == "users" else name)
            hint = f"write it in load: {said}" if said else "remove it"
            problems.append(Problem(place, f"'{key}' of options is one of Locust's own, and is not taken here", hint))
        else:
            known = ", ".join(action.dest for action in dict.fromkeys(own.values())) or "none"
            hint = nearest(name, own) or f"its own options: {known}"
            problems.append(Problem(place, f"has no option '{key}'", hint))
    if problems:
        raise BadInput(problems)

    def refuse(message: str) -> NoReturn:
        raise BadInput(_lacking(message, own, place))

    parser.error = refuse
    return parser.parse_args(words)


def _words(action: Any, value: Any) -> list[str]:
    option = action.option_strings[-1] if action.option_strings else ""
    if action.nargs == 0:  # a switch
        return [option] if value is True else [] if value is False else [f"{option}={value}"]
    texts = [_text(one) for one in value] if isinstance(value, (list, tuple)) else [_text(value)]
    if action.nargs is not None or not option:
        return [option, *texts] if option else texts
    return [f"{option}={text}" for text in texts]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lacking(message: str, own: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    """A problem for each option that argparse misses; one with its message where it complains of something else."""
    _, colon, names = message.partition("arguments are required: ")
    if not colon:
        yield Problem(place, f"does not take its options: {message}", "see load: {options: …}")
        return
    for name in names.split(", "):
        key = name.split("/")[-1].lstrip("-")
        action = own.get(key.replace("-", "_"))
        variable = getattr(action, "env_var", None)
        hint = f"write load: {{options: {{{key}: …}}}}" + (f", or set the variable {variable}" if variable else "")
        yield Problem(place, f"needs {name}", hint)


def _has_no_task(one: type[Any]) -> bool:
    """Whether nothing gives it a task, also not at its start."""
    if one.tasks or one.run is not User.run:
        return any(inspect.isclass(task) and issubclass(task, TaskSet) and _is_empty(task) for task in one.tasks)
    return _is_empty(one)


def _is_empty(one: type[Any]) -> bool:
    if one.tasks:
        return False
    functions = [value for parent in one.__mro__ for value in vars(parent).values() if inspect.isfunction(value)]
    theirs = [function for function in functions if not function.__module__.startswith("locust")]
    return not any({"tasks", "get_next_task"} & {*f.__code__.co_names, f.__name__} for f in theirs)


def _functions(tasks: Iterable[Any]) -> Iterator[Any]:
    for task in tasks:
        yield from _functions(getattr(task, "tasks", None) or ()) if inspect.isclass(task) else (task,)


def _never_runs(task: Any, place: Place) -> Problem:
    code = task.__code__
    kind = "async def" if inspect.iscoroutinefunction(task) else "a generator (it yields)"
    where = Place(code.co_filename, code.co_firstlineno)
    hint = "write def: while one user waits for an answer, gevent lets the others run"
    return Problem(where, f"the task {code.co_name} is {kind}, and Locust runs nothing of it", hint)


def _tags(task: Any) -> set[str]:
    inner = getattr(task, "tasks", None) or []
    return set(getattr(task, "locust_tag_set", ())) | {tag for one in inner for tag in _tags(one)}


def _place_of(one: type[Any], place: Place) -> Place:
    try:
        return Place(place.file, inspect.getsourcelines(one)[1]) if inspect.getfile(one) == place.file else place
    except (OSError, TypeError):
        return place
