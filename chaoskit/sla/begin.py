"""`init`: a first file of targets, and what its Prometheus has of the series that they rest on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.files import write_named
from chaoskit.sla.fetch import examine
from chaoskit.sla.model import DAY_S
from chaoskit.sla.record import first_day
from chaoskit.sla.source import Source, selector
from chaoskit.sla.targets import Targets, parse_targets
from chaoskit.units import format_duration

_MONTH_S = 31 * DAY_S


def write_targets(file: Path, head: str, levels: str, say: Callable[[str], None]) -> ExitCode:
    """Writes `head` (which Prometheus) and `levels` to a new file and looks whether its series are there.

    The answer is 2 where some are not: each is told, with the nearest name. Raises BadInput where the file is there
    already, EquipmentError where Prometheus does not answer; then nothing is written.
    """
    if file.exists():
        raise BadInput(
            Problem(
                Place(str(file)),
                "is there already, so no targets are written",
                "remove the file, or name another with --write",
            )
        )
    text = f"chaoskit: 1\n{head}\n{levels}"
    targets = parse_targets(text, str(file))
    source = Source(targets.sources[0])
    now = int(source.now()) + 1
    text = _with_environment(source, targets, text, now)
    targets = parse_targets(text, str(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_named(file, text.encode())
    say(f"wrote {file}")
    code = ExitCode.PASS
    server = source.server()
    say(f"{source.url} is {server.version or 'something that does not say what it is'}")
    if not server.genuine:
        say("it is not Prometheus itself: `chaoskit sla record --check` tries whether it counts alike")
    if server.retention_s is not None and server.retention_s < _MONTH_S:
        say(
            f"it keeps samples for {format_duration(server.retention_s)}, less than a month: evidence outlives them if "
            "`chaoskit sla record` runs more often than that (once a night, by a timer)"
        )
    first = first_day(source, targets, now - _MONTH_S * 12, now)
    if first is None:
        selectors = " or ".join(dict.fromkeys(selector(one.up or "up", one.match) for one in targets.levels))
        raise BadInput(Problem(targets.place, f"{source.url} has no sample of {selectors}", "correct `match`"))
    say(f"the first data there is of {datetime.fromtimestamp(first, UTC):%Y-%m-%d}")
    for level in targets.levels:
        _, problems = examine(source, level, level.name, first, now)
        for problem in problems:
            say(str(problem))
            code = ExitCode.USAGE
        if not problems:
            say(f"{level.name}: its series are there")
    if code is ExitCode.PASS:
        say("next: chaoskit sla record")
    return code


def _with_environment(source: Source, targets: Targets, text: str, now: int) -> str:
    """The text with a profile's environment in `match`, where its target's `up` carries that label."""
    if not targets.match or targets.environment == "default":
        return text
    up = selector("up", targets.match)
    if targets.environment not in source.label_values(targets.label, up, now - _MONTH_S, now):
        return text
    written = ", ".join(f"{key}: {json.dumps(value)}" for key, value in targets.match.items())
    with_it = f"match: {{{written}, {targets.label}: {targets.environment}}}"
    return "\n".join(with_it if line.startswith("match:") else line for line in text.splitlines()) + "\n"
