"""The documentation of adapters, from the registry: `python -m chaoskit.adapters.docs > docs/handles.md`.

Its words are the docstrings of each adapter's module, class and keys.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from chaoskit.adapters.base import Adapter
from chaoskit.handles import ways
from chaoskit.handles.base import Handle
from chaoskit.marked import summary

_HEAD = """# Handles: how a thing is reached

A scenario says *what* breaks (`process.kill` on `role: worker`); the profile's `handles:` say *how* that is reached on
the system at hand. With `via:` the same scenario is played on another system by a profile alone:

```yaml
handles:
  role: {worker: {via: supervisor, program: shop-worker, label: worker_name}}
  database: {orders: {via: postgres, dsn_file: secrets/orders.dsn, table: orders}}
  queue: {agent-tasks: {via: rq, url: redis://127.0.0.1:6379/0, queue: default}}
```

One rule holds for every adapter. `prepare` reads the present state and touches nothing. The undo token, with that
state, is on disk before the effect. The effect is measured where it acts; one that is weaker than asked for is UNKNOWN.
The undo needs the token alone, touches only what carries the fault's id, and is seen to be gone; otherwise the run ends
with 5. The effect ends by itself on the target some seconds after `limits.fault`, even if all of chaoskit is gone.
Where that can't be, `plan` says so and a run wants `--confirm HANDLE` beside `--confirm ENVIRONMENT`.

A file that a key names lies beside the profile; secrets stand in such files only. `host:` is read and refused: faults
act on the host on which chaoskit runs, databases and queues wherever they answer. A client that is not installed is
said with the command that installs it. `chaoskit doctor --profile NAME` tries each handle, and
`chaoskit inject KIND --target HANDLE --at via=… --at KEY=VALUE --for 30s` breaks one thing by hand.
Adapters of your own: [extending.md](extending.md).

"""


def render() -> str:
    """The whole page docs/adapters.md, from the registry."""
    table = "| handle | `via` | kinds | effect is seen by | undo | ends by itself by |\n|---|---|---|---|---|---|\n"
    for way in _adapters():
        kinds = ", ".join(f"`{one}`" for one in way(**dict.fromkeys(_needed(way), "x")).carries())
        cells = (way.kind, f"`{way.via}`", kinds, way.seen_by, way.undone_by, _ends(way))
        table += f"| {' | '.join(cells)} |\n"
    return f"{_HEAD}{table}\n" + "\n".join(_section(way) for way in (*_plain(), *_adapters())).rstrip() + "\n"


def way_rows() -> Iterator[tuple[str, ...]]:
    """Every adapter: of which handle, its name, its keys, what it carries, how it ends by itself, what it is."""
    for way in _adapters():
        kinds = ", ".join(one.kind for one in way.faults())
        yield way.kind, way.via, ", ".join(way.key_names()), kinds, _ends(way), summary(way)


def _adapters() -> list[type[Adapter]]:
    return [way for way in ways().values() if issubclass(way, Adapter)]


def _plain() -> list[type[Handle]]:
    return [way for way in ways().values() if not issubclass(way, Adapter)]


def _ends(way: type[Adapter]) -> str:
    if not way.endless_kinds:
        return way.ends
    never = f"{', '.join(way.endless_kinds)}: can't"
    return f"{way.ends}; {never}" if way.ends else never


def _needed(way: type[Handle]) -> list[str]:
    made = inspect.signature(way).parameters
    return [name for name in way.key_names() if made[name].default is inspect.Parameter.empty]


def _section(way: type[Handle]) -> str:
    module = inspect.getmodule(way)
    about = (inspect.getdoc(module) or "").split("\n\n", 1)
    extra = f"\n\nIts client: `python -m pip install 'chaoskit[{way.via}]'`." if getattr(way, "needs_extra", ()) else ""
    lines = [
        f"## {way.kind} via {way.via}",
        "",
        (inspect.getdoc(way) or "") + (f"\n\n{about[1]}" if about[1:] else "") + extra,
    ]
    if example := getattr(way, "example", ""):
        lines += ["", f"```yaml\nhandles: {{{example}}}\n```"]
    told = _told(way)
    lines += ["", "| key | | meaning |", "|---|---|---|"]
    for key in way.key_names():
        lines.append(f"| `{key}` | {'needed' if key in _needed(way) else ''} | {told.get(key, '')} |")
    return "\n".join(lines) + "\n"


def _told(way: type[Any]) -> dict[str, str]:
    """The text beneath each field of a class and of those that it is derived from."""
    found: dict[str, str] = {}
    for one in way.__mro__[:-1]:
        [node] = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        body = getattr(node, "body", [])
        for at, after in itertools.pairwise(body):
            match at, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found.setdefault(name, " ".join(text.split()))
    return found


if __name__ == "__main__":
    sys.stdout.write(render())
