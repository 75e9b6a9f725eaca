"""Whether a host lets itself be broken: the environments whose drills it takes part in, a name a line, in one file.

Where the file is, it decides: root writes it, and what other users may have written counts as no word. A host that is
not the one on which this program runs takes part only with it; on this one a user already does what they may.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from chaoskit.examine.endpoint import Checked
from chaoskit.files import SMALL, open_regular, read_descriptor
from chaoskit.scenario.model import Attached

ALLOW = Path("/etc/chaoskit/allow")
_WRITABLE = 0o022


def allowed(target: Attached) -> Iterator[Checked]:
    """A line on whether this host lets drills of the target's environment break it."""
    write = f"echo {target.environment} | sudo tee -a {ALLOW}"
    try:
        fd = open_regular(ALLOW, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        said = f"{ALLOW} is not there, so this host leaves it to --confirm"
        yield Checked("this host", "ok", said, f"sudo mkdir -p {ALLOW.parent}; {write}")
        return
    except OSError as error:
        yield Checked("this host", "missing", f"{ALLOW} cannot be read: {error.strerror}", "make it a readable file")
        return
    found = os.fstat(fd)
    names = read_descriptor(fd, SMALL, ALLOW).decode(errors="replace").splitlines()
    if found.st_uid != 0 or found.st_mode & _WRITABLE:
        mend = f"sudo chown root {ALLOW}; sudo chmod 644 {ALLOW}"
        yield Checked("this host", "missing", f"other users than root may have written {ALLOW}", mend)
    elif target.environment in (name.partition("#")[0].strip() for name in names):
        yield Checked("this host", "ok", f"{ALLOW} names {target.environment}")
    else:
        yield Checked("this host", "missing", f"{ALLOW} of this host does not name {target.environment}", write)
