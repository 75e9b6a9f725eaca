"""Planned windows: declared before they begin (maintenance) or afterwards (correction), or imported from a run."""

from __future__ import annotations

from pathlib import Path

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.events import End, Phase
from chaoskit.history import read_history
from chaoskit.scenario.model import Attached
from chaoskit.scenario.profile import load_profile
from chaoskit.sla.model import Planned


def declared(environment: str, starts_at: int, ends_at: int, reason: str, by: str, now: int) -> Planned:
    """The window that a person declares now: maintenance if it has not begun, else a correction.

    Raises BadInput where it ends before it begins or says no reason.
    """
    if ends_at <= starts_at:
        raise BadInput(Problem(None, "the planned window ends before it begins", "swap --from and --to"))
    if not reason.strip():
        raise BadInput(Problem(None, "a planned window needs a reason", "say it with --reason"))
    kind = "maintenance" if now <= starts_at else "correction"
    return Planned(environment, starts_at, ends_at, kind, reason.strip(), by, now)  # type: ignore[arg-type]


def of_run(path: Path, environments: list[str], now: int) -> Planned:
    """The window of a game day: from a run's first step to its end.

    Raises BadInput for a run that was no game day of one of these environments: in virtual time, or on the local
    target, or of an environment of which there is no evidence.
    """
    history = read_history(path)
    header, place = history.header, Place(str(path))
    if header.time_scale != 1:
        said = f"this run was played at {header.time_scale:g} times real time, so it cost no service any uptime"
        raise BadInput(Problem(place, said, "import runs of an attached target"))
    profile = load_profile(header.sources[f"profile:{header.profile}"], header.profile, header.settings)
    if not isinstance(profile.target, Attached):
        raise BadInput(Problem(place, "this run was played on the local target", "import runs of an attached target"))
    environment = profile.target.environment
    if environment not in environments:
        known = f"known: {', '.join(environments)}" if environments else "record some first"
        raise BadInput(Problem(place, f"there is no evidence of the environment '{environment}' of this run", known))
    began = next((one.t for one in history.of(Phase) if one.name == "steps"), None)
    if began is None:
        raise BadInput(Problem(place, "this run took no step", "there is nothing to import"))
    ended = next((one.t for one in history.of(End)), None)
    if ended is None:
        raise BadInput(
            Problem(place, "this run was cut off: its end is not known", "declare it: chaoskit sla plan add")
        )
    reason = f"game day: {Path(header.scenario).stem}"
    return Planned(environment, int(began), int(-(-ended // 1)), "game-day", reason, "chaoskit", now, header.run_id)
