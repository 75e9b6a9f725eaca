"""Where Prometheus and Alertmanager are: what the environment names, else PATH, else our private cache.

Four programs, two packages: prometheus with promtool, alertmanager with amtool. Debian calls the third
prometheus-alertmanager. Each program found is asked for its version; a program that does not run is not
found.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from chaoskit.errors import BadInput, Problem
from chaoskit.fresh import NO_START, fresh

INSTALL = "chaoskit doctor --install"

# What each is called, first the name it is asked for by.
NAMES: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
}
_VERSION = re.compile(r"\bversion (\d[^\s,]*)")
ELSEWHERE = "let CHAOSKIT_CACHE name a folder that you may write"
_ANSWER_S = 30.0
"""Time to tell a version: a hundred megabytes that are no longer in memory come slowly from a busy disk, and to take
another generation for that would be to test with another Prometheus."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One program of Prometheus or Alertmanager: its path and version, or why it is missing."""

    name: str
    path: Path | None
    version: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The four programs, all there; `versions` by name, such as {"prometheus": "2.42.0+ds"}."""

    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path
    versions: Mapping[str, str]


def cache_folder(env: Mapping[str, str] | None = None) -> Path:
    """The private cache: CHAOSKIT_CACHE, else chaoskit's folder in XDG_CACHE_HOME, else in ~/.cache.

    Raises BadInput where it would be below the home of a user who has none.
    """
    env = os.environ if env is None else env
    if env.get("CHAOSKIT_CACHE"):
        return Path(env["CHAOSKIT_CACHE"])
    base = env.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "chaoskit"
    except RuntimeError:
        raise BadInput(Problem(None, "HOME names no folder, and this user has none", ELSEWHERE)) from None


def os_release() -> dict[str, str]:
    """This system's os-release file (ID, VERSION_CODENAME ...); empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def find(generation: str | None = None, *, env: Mapping[str, str] | None = None) -> dict[str, Tool]:
    """The four programs by name, each asked for its version; at most 30 s each, all at once.

    With a `generation`, such as `trixie`, only that one of the private cache is looked at.
    """
    env = os.environ if env is None else env
    with ThreadPoolExecutor(len(NAMES)) as pool:
        return dict(zip(NAMES, pool.map(lambda name: _find(name, generation, env), NAMES), strict=True))


def require(generation: str | None = None, *, env: Mapping[str, str] | None = None) -> Binaries:
    """The four programs; raises BadInput that lists what is missing and the command that mends it."""
    found = find(generation, env=env)
    missing = [tool for tool in found.values() if tool.path is None]
    if missing:
        command = f"python -m chaoskit.stack.install --suite {generation}" if generation else INSTALL
        by_problem: dict[str, list[str]] = {}
        for tool in missing:
            by_problem.setdefault(tool.problem, []).append(tool.name)
        raise BadInput(
            Problem(None, f"{', '.join(names)}: {problem}", f"install with: {command}")
            for problem, names in by_problem.items()
        )
    paths = {name: tool.path for name, tool in found.items() if tool.path is not None}
    return Binaries(**paths, versions={name: tool.version or "" for name, tool in found.items()})


def installed(name: str) -> tuple[Tool, ...]:
    """Every program of this name that runs here, the own one first: what the environment names, else PATH and cache."""
    return _installed(name, tuple(_candidates(name, None, os.environ)))


@lru_cache(maxsize=8)
def _installed(name: str, candidates: tuple[tuple[Path, str], ...]) -> tuple[Tool, ...]:
    if candidates and candidates[0][1].startswith("CHAOSKIT_"):
        candidates = candidates[:1]
    with ThreadPoolExecutor(4) as pool:
        versions = pool.map(lambda each: _version(each[0])[0], candidates)
    found = (Tool(name, path, version) for (path, _), version in zip(candidates, versions, strict=True))
    return tuple(tool for tool in found if tool.version)


def nearest(name: str, yours: str = "") -> Tool | None:
    """The installed program that judges files of version `yours` best: the first that is no older, else the newest.

    Without a version it is the newest; None where none is installed.
    """
    tools = sorted(installed(name), key=lambda tool: numbers(tool.version or ""))
    able = [tool for tool in tools if yours and not is_older(tool.version or "", yours)]
    return able[0] if able else tools[-1] if tools else None


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that can be compared: `0.28.1+ds` is (0, 28, 1)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, match[1].split("."))) if match else ()


def is_older(version: str, yours: str) -> bool:
    """Whether a version is before another, as far as both say: 0.33 and 0.33.1 are the same."""
    mine, other = numbers(version), numbers(yours)
    size = min(len(mine), len(other))
    return mine[:size] < other[:size]


def cached(name: str, folder: Path) -> Path | None:
    """The program inside one generation of the cache, unpacked from packages or put there by hand."""
    places = (folder / sub / called for called in NAMES[name] for sub in ("usr/bin", "bin", ""))
    return next((place for place in places if place.is_file() and os.access(place, os.X_OK)), None)


def _find(name: str, generation: str | None, env: Mapping[str, str]) -> Tool:
    tried = []
    for path, where in _candidates(name, generation, env):
        version, problem = _version(path)
        if not problem:
            return Tool(name, path, version)
        tried.append(f"{path} (from {where}) {problem}")
        if where.startswith("CHAOSKIT_"):  # named explicitly: another one would not be what was asked for
            break
    return Tool(name, None, None, "; ".join(tried) or "not found")


def _candidates(name: str, generation: str | None, env: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    cache = cache_folder(env) / "binaries"
    if generation is None:
        variable = f"CHAOSKIT_{name.upper()}"
        if env.get(variable):
            yield Path(env[variable]), variable
        for called in NAMES[name]:
            on_path = shutil.which(called, path=env.get("PATH"))
            if on_path:
                yield Path(on_path), "PATH"
        # This system's own generation first, then whatever else there is.
        own = os_release().get("VERSION_CODENAME", "")
        others = sorted(place.name for place in cache.glob("[!.]*") if place.name != own)
        generations = [own, *others] if own else others
    else:
        generations = [generation]
    for each in generations:
        in_cache = cached(name, cache / each)
        if in_cache:
            yield in_cache, f"cache ({each})"


def _version(path: Path) -> tuple[str | None, str]:
    """The version that a program gives, on either stream; or what is wrong with it."""
    if not path.is_file():
        return None, "does not exist"
    try:
        run = subprocess.run(
            fresh([str(path), "--version"]),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_ANSWER_S,
            check=False,
            start_new_session=True,  # a Ctrl-C is ours to hear
        )
    except subprocess.TimeoutExpired:
        return None, f"did not answer --version within {_ANSWER_S:g} s"
    except OSError as error:
        return None, f"{NO_START}{error.strerror}"
    said = (run.stdout + run.stderr).decode(errors="replace")
    match = _VERSION.search(said)
    if said.startswith(NO_START):
        return None, said.strip()
    if run.returncode or not match:
        return None, f"does not tell its version: {said.strip()[:200] or f'exit {run.returncode}'}"
    return match[1], ""
