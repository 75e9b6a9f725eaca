"""`limits` of a profile: the most that a run may do to the machine and to the target, in real time."""

from __future__ import annotations

from collections.abc import Iterable

from chaoskit.scenario.fields import Fields, Problems, Reader, switch
from chaoskit.scenario.model import Limits
from chaoskit.scenario.quantities import duration, number, share, size
from chaoskit.yaml_source import Node

KEYS = ("fault", "run", "memory", "cpu", "connections", "commands")
"""Beside them, the plural of any handle: the share of those that may be under a fault at once."""

MOST_CPUS = 1024


def plural(handle: str) -> str:
    """How a handle's name is written for several: worker -> workers, proxy -> proxies, box -> boxes; payments stays."""
    if handle.endswith("s") and not handle.endswith("ss"):
        return handle
    if handle.endswith("y") and handle[-2:-1] not in "aeiou":
        return handle[:-1] + "ies"
    return handle + ("es" if handle.endswith(("ss", "x", "z", "ch", "sh")) else "s")


def read_limits(handles: Iterable[str]) -> Reader[Limits]:
    """A reader for `limits`, given the names of the profile's handles."""
    plurals = tuple(dict.fromkeys(plural(handle) for handle in handles))

    def read(node: Node, what: str, problems: Problems) -> Limits | None:
        fields = Fields(node, what, (*KEYS, *plurals), problems)
        default = Limits()
        fault_s = fields.take("fault", duration, default.fault_s)
        run_s = fields.take("run", duration, default.run_s)
        if fault_s > run_s:
            hint = "raise 'run' or lower 'fault'; both are real time"
            problems.say(node.place, f"a fault may last {fault_s:g} s, longer than a run with {run_s:g} s", hint)
        shares = {key: fields.take(key, share, 0.0) for key in plurals if fields.has(key)}
        memory = fields.take("memory", size, None)
        cpu = fields.take("cpu", number(0.01, MOST_CPUS), None)
        connections, commands = fields.take("connections", share, None), fields.take("commands", switch, True)
        return Limits(fault_s, run_s, shares, memory, cpu, connections, commands)

    return read
