"""How a fault finds what is behind a handle; the same whether a stack, a journal or a person tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Way = Literal["url", "path", "secret", "pattern"]


def way(kind: Way) -> Any:
    """A field that leads somewhere: to what answers at a URL, lies at a path, holds a secret, or has such a title."""
    return field(default="", metadata={"way": kind})


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the things behind a handle are, as far as known; a kind of handle that needs more fields derives its own.

    An empty field is one that this target does not tell.
    """

    time_scale: float = 1.0
    """The target's virtual seconds per real second."""
    run: str = ""
    """The id of the run that asks; empty by hand."""
    max_s: float | None = None
    """Real seconds that a fault may be in force; None where nothing bounds them."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """The profile's bounds on the strength of faults: cpu, memory, connections, commands."""
    prometheus: Mapping[str, Any] | str = ""
    """Where the target's Prometheus answers: a URL, or `url` with `access` or `owner`."""
    url: str = way("url")
    service: str = way("url")
    """Where the target serves its users, beside a control interface at `url`."""
    metrics: str = way("url")
    token_file: str = way("secret")
    file: str = way("path")
    folder: str = way("path")
    control: str = way("path")
    pattern: str = way("pattern")
    """For whole titles of processes; its group `name` is what an alert calls one of them."""
    mark: Mapping[str, str] | None = None
    """The variable, `name` and `value`, by which processes are known to be the target's own."""
    pick: str = ""
    """Which of several processes with one name: the `oldest`, or `each` of them; empty refuses several."""
    via: str = ""
    """The adapter through which the handle is reached; empty where the kind of fault reaches it itself."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The keys of the profile by which that adapter finds it; never a secret."""
    owner: int | None = None
    """The process that the target ends with."""

    def ways(self, *kinds: Way) -> Iterator[tuple[str, str]]:
        """The address's fields of these kinds of way that are given, with their values."""
        for one in fields(self):
            if one.metadata.get("way") in kinds and (value := getattr(self, one.name)):
                yield one.name, value

    def journaled(self) -> dict[str, Any]:
        """The part that a journal keeps beside a token, to be compared with it before the token is obeyed."""
        prometheus = self.prometheus if isinstance(self.prometheus, str) else self.prometheus["url"]
        through = {"via": self.via, "keys": dict(self.keys)} if self.via else {}
        return {**dict(self.ways("url", "path", "secret", "pattern")), "prometheus": prometheus, **through}
