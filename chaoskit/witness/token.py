"""The witness's token: read from a file, shown to nobody."""

from __future__ import annotations

from pathlib import Path

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.trust import read_secret

SHORTEST = 16
_MAKE = "make one: (umask 077; openssl rand -hex 32 > {})"


def read_token(file: Path) -> str:
    """The token in this file, without the space around it; raises BadInput, which never shows what is in the file."""
    place, mend = Place(str(file)), _MAKE.format(file)
    if not file.exists():
        raise BadInput(Problem(place, "there is no token", mend))
    try:
        token = read_secret(file).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(Problem(place, f"the token cannot be read: {why}", "name a file of yours")) from None
    if len(token) < SHORTEST:
        raise BadInput(Problem(place, f"the token has fewer than {SHORTEST} characters", mend))
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(Problem(place, "a token is one line of ASCII characters without spaces", mend))
    return token


def readable_by_others(file: Path) -> bool:
    """Whether the file's mode lets other users of the machine read it."""
    return bool(file.stat().st_mode & 0o004)
