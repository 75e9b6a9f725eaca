"""The configuration of a CRM: a file that the program which starts it has written, and the mark of its processes.

The mark (the slice) comes by the environment variable CHAOSKIT_SLICE, because /proc shows other processes the
environment of the last exec only. The administration token is a secret: a file that holds it is named.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from chaoskit import json_text
from chaoskit.crm import physics
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import read_regular
from chaoskit.trust import read_own

SLICE_ENV = "CHAOSKIT_SLICE"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One CRM; `time_scale` is virtual seconds per real second, `environment` what the metrics page says of it."""

    data_dir: str
    admin_token_file: str
    time_scale: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    workers: Annotated[int, msgspec.Meta(ge=1, le=32)] = 4
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """0 takes a free one, as every other listener does."""
    environment: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] = "local"

    @property
    def clock(self) -> Clock:
        return Clock(self.time_scale)

    @property
    def busy_s(self) -> float:
        """How long a statement waits for a lock, in real seconds."""
        return max(self.clock.real_s(physics.DATABASE_BUSY_VS), physics.DATABASE_BUSY_FLOOR_S)

    @property
    def worker_names(self) -> tuple[str, ...]:
        return tuple(f"worker-{number}" for number in range(1, self.workers + 1))


def load(path: Path) -> Config:
    """The configuration in a JSON file; raises BadInput."""
    try:
        return json_text.decode(read_regular(path), type=Config)
    except OSError as error:
        raise BadInput(Problem(Place(str(path)), f"cannot be read: {error.strerror}")) from None
    except msgspec.DecodeError as error:
        raise BadInput(Problem(Place(str(path)), f"is no configuration of a CRM: {error}")) from None


def own_slice() -> str:
    """The mark that this process carries; raises BadInput when it cannot mark processes."""
    mark = os.environ.get(SLICE_ENV, "")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,24}", mark):
        hint = "use 1 to 24 letters, digits, dots, dashes or underscores: it is part of process titles"
        raise BadInput(Problem(Place(f"${SLICE_ENV}"), f"'{mark}' cannot mark processes", hint))
    return mark


def admin_token(config: Config) -> str:
    """The secret that administration requests must present; raises BadInput when there is none."""
    try:
        token = read_own(Path(config.admin_token_file)).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise BadInput(Problem(Place(config.admin_token_file), f"the token cannot be read: {why}")) from None
    if not token:
        hint = "let 'admin_token_file' name a file with a random string"
        raise BadInput(Problem(Place(config.admin_token_file), "there is no administration token", hint))
    return token


@dataclass(frozen=True, slots=True)
class Clock:
    """Converts between real (`_s`) and virtual (`_vs`) seconds."""

    scale: float

    def now_vs(self) -> float:
        """Virtual seconds since the machine's monotonic clock began; all processes of a machine agree on it."""
        return time.monotonic() * self.scale

    def real_s(self, virtual_vs: float) -> float:
        """How long to wait, in real seconds, for so many virtual ones."""
        return virtual_vs / self.scale

    def virtual_vs(self, real_s: float) -> float:
        """How many virtual seconds a measured real duration amounts to."""
        return real_s * self.scale
