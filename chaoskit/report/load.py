"""A profile's load in one line, for the plan: the model, the course, of what, and by how many processes."""

from __future__ import annotations

from chaoskit.scenario.model import LoadPlan
from chaoskit.scenario.shape import Shape
from chaoskit.units import format_duration


def load_line(load: LoadPlan) -> str:
    """The whole load as a sentence; everything in it is real."""
    if not load.given:
        return "none of ours"
    parts = [_model(load)]
    if load.shape.kind != "constant":
        parts.append(course(load.shape))
    if load.locustfile is not None:
        parts.append(f"tasks of {load.locustfile}")
        said = {"classes": load.classes, "tags": load.tags, "without tags": load.exclude_tags, "options": load.options}
        parts += [f"{name} {', '.join(names)}" for name, names in said.items() if names]
    else:
        parts.append(_mix(load))
    if load.workers is not None:
        parts.append(f"{load.workers.expect} workers, which come to {load.workers.bind}:{load.workers.port}")
    if load.processes > 1:
        parts.append(f"{load.processes} processes")
    parts.append(f"time-out {format_duration(load.timeout_s)}")
    if load.drain_s is not None:
        parts.append(f"the end may take {format_duration(load.drain_s)}")
    for limit in load.fail_if:
        most = [] if limit.failed is None else [f"{limit.failed:.4%}".rstrip("0%").rstrip(".") + "% failed"]
        most += [f"P{percent} {format_duration(most_s)}" for percent, most_s in limit.percentiles.items()]
        parts.append(f"fails if {limit.name or 'all'} is above {', '.join(most)}")
    return "; ".join(parts) + " (real)"


def course(shape: Shape) -> str:
    """The course of a load over time, counted from its beginning."""
    length, start = format_duration(shape.length_s), format_duration(shape.start_s)
    match shape.kind:
        case "ramp":
            return f"ramp from {shape.low * 100:g}% of it within {length}"
        case "spike":
            return f"spike to {shape.peak:g} times it after {start} for {length}"
        case "step":
            return f"{shape.steps} equal steps up, {length} each"
        case "soak":
            edges = f"up within {start}, " if shape.start_s else ""
            return f"soak: {edges}{length} at full level, then down"
        case "stages":
            return "stages of " + ", ".join(
                f"{to * 100:g}% for {format_duration(length_s)}" for length_s, to, _ in shape.stages
            )
    return "constant"


def _model(load: LoadPlan) -> str:
    if load.rate_per_s is not None:
        pool = f", at most {load.in_flight} unanswered" if load.in_flight else ""
        return f"{load.rate_per_s:g}/s in an open model{pool}"
    think = "" if load.spawn_rate is None else f", {load.spawn_rate:g}/s of them coming or going"
    think += "" if load.locustfile else f", each thinking for about {format_duration(load.think_s)}"
    return f"{load.users} users in a closed model{think}"


def _mix(load: LoadPlan) -> str:
    if not load.mix:
        return "all requests of the target alike"
    return "mix " + ", ".join(f"{name} {weight}" for name, weight in load.mix.items() if weight)
