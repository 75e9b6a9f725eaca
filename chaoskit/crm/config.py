"""The configuration file of a CRM, checked as a whole: every problem is reported at once.

The administration token is a secret, so it is neither in the file nor on the command line: `admin_token_file`
names a file that holds it, otherwise it is taken from the environment variable CHAOSKIT_CRM_TOKEN.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import msgspec

from chaoskit.crm.clock import Clock
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import read_regular
from chaoskit.trust import read_own

TOKEN_ENV = "CHAOSKIT_CRM_TOKEN"  # the variable's name, not the secret
SLICE_ENV = "CHAOSKIT_SLICE"

_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Bytes = Annotated[int, msgspec.Meta(ge=1 << 20)]


class Ports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports on 127.0.0.1; 0 takes a free one."""

    api: _Port = 0
    metrics: _Port = 9091
    admin: _Port = 0
    proxy: _Port = 0
    proxy_admin: _Port = 0
    upstream: _Port = 0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the slice may use: the denominators of the system metrics."""

    memory_bytes: _Bytes = 224 << 20
    cpu_share: _Positive = 0.5
    """Cores."""
    disk_bytes: _Bytes = 256 << 20


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One CRM: `slice` marks its processes, `time_scale` is virtual seconds per real second."""

    slice: str
    data_dir: str
    time_scale: _Positive = 60.0
    workers: Annotated[int, msgspec.Meta(ge=1, le=32)] = 4
    ports: Ports = Ports()
    admin_token_file: str = ""
    limits: Limits = Limits()
    cache_entries: Annotated[int, msgspec.Meta(ge=1)] = 64
    seed: int = 0
    environment: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] = "local"
    """What the metrics page says of where this is."""

    @property
    def clock(self) -> Clock:
        return Clock(self.time_scale)

    @property
    def worker_names(self) -> tuple[str, ...]:
        return tuple(f"worker-{number}" for number in range(1, self.workers + 1))

    @property
    def database(self) -> Path:
        return Path(self.data_dir) / "crm.db"

    @property
    def queue(self) -> Path:
        return Path(self.data_dir) / "queue.db"


def load(path: Path) -> Config:
    """The configuration in a JSON file; raises BadInput with everything that is wrong with it."""
    place = Place(str(path))
    try:
        raw = msgspec.json.decode(read_regular(path))
    except OSError as error:
        raise BadInput(Problem(place, f"cannot be read: {error.strerror}")) from None
    except msgspec.DecodeError as error:
        raise BadInput(Problem(place, f"is not JSON: {error}")) from None
    if not isinstance(raw, dict):
        raise BadInput(Problem(place, f"holds a {type(raw).__name__}", "write a JSON object"))
    problems = [Problem(place, text) for text in _faulty_keys(raw)]
    mark = raw.get("slice")
    if isinstance(mark, str) and not re.fullmatch(r"[A-Za-z0-9_.-]{1,24}", mark):
        hint = "use 1 to 24 letters, digits, dots, dashes or underscores: it is part of process titles"
        problems.append(Problem(place, f"slice '{mark}' cannot mark processes", hint))
    if problems:
        raise BadInput(problems)
    return msgspec.convert(raw, Config)


def _faulty_keys(raw: dict[str, object]) -> list[str]:
    """One message per key that is missing, unknown or wrong, found by checking each key by itself."""
    known = {field.name: field for field in msgspec.structs.fields(Config)}
    found = [f"'{key}' is missing" for key, field in known.items() if field.required and key not in raw]
    for key, value in raw.items():
        if key not in known:
            found.append(f"'{key}' is unknown; known are {', '.join(known)}")
            continue
        try:
            msgspec.convert(value, known[key].type)
        except msgspec.ValidationError as error:
            found.append(f"'{key}': {error}")
    return found


def admin_token(config: Config) -> str:
    """The secret that administration requests must present; raises BadInput when there is none."""
    if config.admin_token_file:
        path = Path(config.admin_token_file)
        try:
            token = read_own(path).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise BadInput(Problem(Place(str(path)), f"the token cannot be read: {why}")) from None
        place = Place(str(path))
    else:
        token, place = os.environ.get(TOKEN_ENV, ""), Place(f"${TOKEN_ENV}")
    if not token:
        hint = f"set {TOKEN_ENV}, or let 'admin_token_file' name a file with a random string"
        raise BadInput(Problem(place, "there is no administration token", hint))
    return token
