"""From the profile's load and what the target says of its requests to the load generator's own description."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import ipaddress
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaoskit.access import file_of, read_token
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import read_regular
from chaoskit.load.model import LONG_TOKEN, MOST_IN_FLIGHT, LoadSpec, RequestSpec
from chaoskit.load.processes import Processes
from chaoskit.plan.model import Plan
from chaoskit.scenario.fields import Problems
from chaoskit.scenario.load import check_change, read_change
from chaoskit.scenario.model import Attached, Change, LoadPlan, Workers
from chaoskit.yaml_source import MAX_BYTES, nearest

_STARTUP_S = 120.0
WORKERS_S = 60.0
"""Real seconds in which the workers of other machines must come."""
_SOMEWHERE = "http://127.0.0.1"
_UNUSUAL = "unusual"
"""The key by which a target marks requests that are made only when a mix names them."""


def check_load(plan: Plan, known: Collection[str]) -> None:
    """Everything that can be wrong with a run's load before it starts, given the `known` names of the target's
    requests; raises BadInput with all of it and where it was written."""
    load = plan.profile.load
    changes = [step for step in plan.scenario.steps if isinstance(step, Change) and step.of == "load"]
    problems = [*_unknown(load.mix, known, load.place_of("mix")), *_locustfile_problems(load), *_pool_problems(load)]
    problems += [*_limit_problems(load, known), *_workers_problems(plan)]
    if not problems:
        target = plan.profile.target
        service, asked = (target.service, target.requests) if isinstance(target, Attached) else (_SOMEWHERE, {})
        try:
            load_spec(plan, service, {name: [{"path": "/", **asked.get(name, {})}] for name in known})
        except BadInput as error:
            problems += [dataclasses.replace(found, place=load.place_of("load")) for found in error.problems]
    for step in changes:
        found = Problems(step.place.file)
        check_change(load, step.settings, step.place, found)
        problems += [*found.found, *_unknown(step.settings.get("mix"), known, step.place)]
    if problems:
        raise BadInput(dict.fromkeys(problems))


@contextlib.contextmanager
def own_load(plan: Plan) -> Iterator[Processes | None]:
    """The processes that have imported the locustfile, where there is one, and with which the workers are that are to
    come from elsewhere; they wait for the load, and outlive the block unless it raises. Raises BadInput with what keeps
    the file from being used, EquipmentError where workers are missing."""
    load = plan.profile.load
    path, workers = locustfile_of(load), load.workers
    if path is None and workers is None:
        yield None
        return
    processes = Processes(load.bearing, own=path is not None, elsewhere=workers is not None)
    try:
        if path is not None and (problems := processes.look_at(load_spec(plan, _SOMEWHERE, {}))):
            raise BadInput(problems)
        if workers is not None:
            processes.gather(workers.bind, workers.port, _token(load, workers), WORKERS_S)
        yield processes
    except BaseException:
        processes.stop()
        raise


def load_spec(plan: Plan, host: str, requests: Mapping[str, list[dict[str, Any]]]) -> LoadSpec:
    """The load of a run; without a mix, what is usual there in equal parts. Raises BadInput for a mix that the
    target does not know, and for what LoadSpec refuses."""
    load = plan.profile.load
    if unknown := _unknown(load.mix, requests, load.place_of("mix")):
        raise BadInput(unknown)
    specs = expand(requests)
    own = locustfile_of(load)
    return LoadSpec(
        host=host,
        rate=load.rate_per_s,
        users=load.users,
        locustfile=None if own is None else str(own),
        mix={} if own else weights(load.mix or dict.fromkeys(_usual(requests), 1), specs),
        requests={} if own else specs,
        options=load.options,
        tags=load.tags,
        exclude_tags=load.exclude_tags,
        classes=load.classes,
        spawn_rate=load.spawn_rate,
        shape=load.shape,
        connect_timeout_s=load.timeout_s,
        network_timeout_s=load.timeout_s,
        think_s=load.think_s,
        drain_s=load.drain_s,
        max_in_flight=load.in_flight,
        processes=load.bearing,
        limit_s=plan.profile.limits.run_s + _STARTUP_S,
        limit_requests=_MOST_REQUESTS,
        seed=plan.seed,
    )


_MOST_REQUESTS = 100_000_000
"""A run ends its load itself, and `limits.run` bounds it in time; this is only the generator's own last resort."""


def changed_spec(spec: LoadSpec, settings: Mapping[str, Any]) -> LoadSpec:
    """The load after a `change: load` step: another rate, number of users, mix or shape; raises BadInput."""
    problems = Problems("")
    asked = read_change(settings, Place("change: load"), problems)
    problems.raise_if_any()
    different: dict[str, Any] = {key: asked[key] for key in ("users", "shape") if key in asked}
    if "rate_per_s" in asked:
        different["rate"] = asked["rate_per_s"]
    if "mix" in asked:
        if unknown := _unknown(asked["mix"], _names(spec.requests), None):
            raise BadInput(unknown)
        different["mix"] = weights(asked["mix"], spec.requests)
    return dataclasses.replace(spec, **different)


def locustfile_of(load: LoadPlan) -> Path | None:
    """Where the locustfile is: beside the profile that names it, or from here where an option names it."""
    if load.locustfile is None:
        return None
    return file_of(load.locustfile, load.place_of("locustfile")).absolute()


def expand(requests: Mapping[str, list[dict[str, Any]]]) -> dict[str, RequestSpec]:
    """Every request of the target; a name whose requests take turns becomes `name/1`, `name/2` and so on."""
    specs: dict[str, RequestSpec] = {}
    for name, turns in requests.items():
        for number, request in enumerate(turns, 1):
            specs[name if len(turns) == 1 else f"{name}/{number}"] = RequestSpec(
                **{key: value for key, value in request.items() if key != _UNUSUAL}
            )
    return specs


def _usual(requests: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Names of what is asked for unless a mix says otherwise."""
    return [name for name, turns in requests.items() if not any(request.get(_UNUSUAL) for request in turns)]


def weights(mix: Mapping[str, int], specs: Iterable[str]) -> dict[str, int]:
    """The mix with each name's turns in equal parts, weights kept in proportion exactly; a weight of 0 is left out."""
    turns: dict[str, list[str]] = {}
    for key in specs:
        turns.setdefault(_name(key), []).append(key)
    wanted = {name: weight for name, weight in mix.items() if weight}
    together = math.lcm(*(len(turns[name]) for name in wanted))
    whole = {key: weight * together // len(turns[name]) for name, weight in wanted.items() for key in turns[name]}
    common = math.gcd(*whole.values())
    return {key: weight // common for key, weight in whole.items()}


def _name(key: str) -> str:
    name, slash, number = key.rpartition("/")
    return name if slash and number.isdigit() else key


def _names(specs: Iterable[str]) -> set[str]:
    return {_name(key) for key in specs}


def _unknown(mix: Any, known: Collection[str], place: Place | None) -> list[Problem]:
    names = [str(name) for name in mix if name not in known] if isinstance(mix, Mapping) else []
    has = f"it has {', '.join(sorted(known))}"
    return [Problem(place, f"load: the target has no request '{name}'", nearest(name, known) or has) for name in names]


def _limit_problems(load: LoadPlan, known: Collection[str]) -> list[Problem]:
    """Names of `fail_if` that no request of a mix can have; a locustfile's are known once it has run."""
    if load.locustfile is not None:
        return []
    names = {limit.name: limit.name.rpartition(" ")[2] for limit in load.fail_if if limit.name}
    wrong = {name: own for name, own in names.items() if not {own, own.rpartition("/")[0]} & set(known)}
    return [found for own in wrong.values() for found in _unknown({own: 1}, known, load.place_of("fail_if"))]


def _workers_problems(plan: Plan) -> list[Problem]:
    """Whether the token of workers is a secret, and whether they can reach the service."""
    load, target = plan.profile.load, plan.profile.target
    if load.workers is None:
        return []
    problems: list[Problem] = []
    try:
        _token(load, load.workers)
    except BadInput as error:
        problems += error.problems
    service = urlsplit(target.service if isinstance(target, Attached) else _SOMEWHERE).hostname or ""
    if _on_loopback(service) and not _on_loopback(load.workers.bind):
        message = f"the workers come to {load.workers.bind}, and the service listens on loopback ({service})"
        hint = "on another machine that address is the machine itself: leave out 'bind', or name the service's address"
        problems.append(Problem(load.place_of("workers"), message, hint))
    return problems


def _on_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(load: LoadPlan, workers: Workers) -> str:
    return read_token(file_of(workers.token_file, load.place_of("workers")), LONG_TOKEN, private=True)


def _pool_problems(load: LoadPlan) -> list[Problem]:
    most = MOST_IN_FLIGHT * load.bearing
    if load.in_flight is None or load.in_flight <= most:
        return []
    message = f"'in_flight' is {load.in_flight}, and {load.bearing} processes of the generator hold {most}"
    key = "processes" if load.workers is None else "expect"
    hint = f"raise '{key}' to {math.ceil(load.in_flight / MOST_IN_FLIGHT)}, or lower 'in_flight'"
    return [Problem(load.place_of("in_flight"), message, hint)]


def _locustfile_problems(load: LoadPlan) -> list[Problem]:
    """The problems of a locustfile that can be found without running it."""
    path = locustfile_of(load)
    if path is None:
        return []
    try:
        ast.parse(read_regular(path, MAX_BYTES), str(path))
    except FileNotFoundError:
        hint = f"looked for {path}; a relative path is one beside the profile, or with --set one from here"
        return [Problem(load.place_of("locustfile"), f"locustfile '{load.locustfile}' does not exist", hint)]
    except OSError as error:
        return [Problem(load.place_of("locustfile"), f"locustfile '{load.locustfile}': {error.strerror}", "correct it")]
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        return [Problem(Place(str(path), line), f"is not Python: {getattr(error, 'msg', error)}", "mend this line")]
    return []
