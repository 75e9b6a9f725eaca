"""Finding scenarios and profiles by name: the current directory's first, then those that came with chaoskit.

In an installed chaoskit the shipped ones lie inside the package; in a checkout they are the folders at its top.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.yaml_source import nearest

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list of scenarios; one that cannot be read is listed with its problems, not left out."""

    name: str
    title: str
    faults: tuple[str, ...]
    """Kinds of faults and actions, in the order of their first use."""
    alerts: tuple[str, ...]
    """Alerts expected, in the order written."""
    problems: tuple[Problem, ...] = ()


def folders(kind: str, here: Path | None = None) -> tuple[Path, ...]:
    """Where files of a kind (`scenarios` or `profiles`) are looked for, nearest first; those that exist."""
    package = Path(str(files("chaoskit")))
    shipped = package / "shipped"
    if not shipped.is_dir() and (package.parent / "pyproject.toml").is_file():
        shipped = package.parent
    candidates = ((here or Path.cwd()) / kind, shipped / kind)
    existing = {folder.resolve(): folder for folder in reversed(candidates) if folder.is_dir()}
    return tuple(reversed(existing.values()))


def scenario_names(here: Path | None = None) -> dict[str, Path]:
    """Every known scenario by name, sorted; of several with one name the nearest."""
    return _names("scenarios", here)


def profile_names(here: Path | None = None) -> dict[str, Path]:
    """Every known profile by name, sorted; of several with one name the nearest."""
    return _names("profiles", here)


def find_scenario(name_or_path: str, here: Path | None = None) -> Path:
    """The file of a scenario, given its name or path; raises BadInput with the nearest name and the list."""
    return _find("scenario", name_or_path, scenario_names(here), here)


def find_profile(name_or_path: str, here: Path | None = None) -> Path:
    """The file of a profile, given its name or path; raises BadInput with the nearest name and the list."""
    return _find("profile", name_or_path, profile_names(here), here)


def list_scenarios(here: Path | None = None) -> tuple[Listed, ...]:
    """All known scenarios, sorted by name."""
    return tuple(_listed(name, path) for name, path in scenario_names(here).items())


def scenario_files(folder: Path | None, own: bool, here: Path | None = None) -> list[Path]:
    """The scenarios of a folder, as paths from here; else all that are known.

    With a configuration of one's `own` the shipped ones are left out, unless they lie in `here`. Raises BadInput.
    """
    if folder is None:
        known = scenario_names().values()
        paths = [p for p in known if not own or p.parent.resolve() == here or not is_shipped(p, "scenarios")]
    elif not folder.is_dir():
        raise BadInput(Problem(Place(str(folder)), "is not a folder", "give the folder that holds the scenarios"))
    else:
        paths = _yaml_files(folder)
    return [near(path) for path in paths]


def near(path: Path) -> Path:
    """The path from here, where the file lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def is_shipped(path: Path, kind: str) -> bool:
    """Whether a file came with chaoskit: those speak of the shipped configuration and of no other."""
    return any(path.resolve().is_relative_to(each.resolve()) for each in folders(kind, Path("/nonexistent")))


def _names(kind: str, here: Path | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders(kind, here):
        for path in reversed(_yaml_files(folder)):  # x.yml before x.yaml
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and not path.is_dir())


def _find(what: str, wanted: str, known: dict[str, Path], here: Path | None) -> Path:
    if not wanted.strip() or "\0" in wanted:
        raise BadInput(Problem(None, f"{wanted!r} is not a {what}'s name", _all_of(what, known)))
    if "/" in wanted or "\\" in wanted or wanted.endswith(SUFFIXES):
        path = (here or Path.cwd()) / wanted
        try:
            if path.exists() and not path.is_dir():
                return path if here else Path(wanted)
            found = "is a folder" if path.is_dir() else "no such file"
        except OSError as error:
            found = error.strerror or "cannot be opened"
        near = nearest(Path(wanted).stem, known)
        raise BadInput(Problem(Place(wanted), f"{found}, so it is no {what}", near or _all_of(what, known)))
    if wanted in known:
        return known[wanted]
    near = nearest(wanted, known)
    hint = "; ".join(part for part in (near, _all_of(what, known)) if part)
    raise BadInput(Problem(None, f"no {what} is called '{wanted}'", hint))


def _all_of(what: str, known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f"known: {names}" if names else f"there is no {what} in ./{what}s, and none came with chaoskit"


def _listed(name: str, path: Path) -> Listed:
    try:
        scenario = load_scenario_file(path)
    except BadInput as error:
        return Listed(name, "", (), (), error.problems)
    alerts = tuple(dict.fromkeys(expectation.alert for expectation in scenario.expect))
    kinds = tuple(dict.fromkeys(spec.kind for _, spec in scenario.faults()))
    return Listed(name, scenario.title, kinds, alerts)
