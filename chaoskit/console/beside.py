"""Beginning a console beside a command: sockets, a private folder, and the link that carries the token once.

Beside `chaoskit run` it is a child that the kernel ends with the run; nothing leads from the run to it but files.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from chaoskit import bundle, json_text
from chaoskit.alerting.config import ConfigFiles
from chaoskit.console.gatekeeper import ENTER, new_token
from chaoskit.console.server import Settings, listen, serve
from chaoskit.errors import ExitCode
from chaoskit.files import read_regular, write_private
from chaoskit.host.process import tied
from chaoskit.safety.run_registry import Owner, me

_ABOUT = "about.json"
LINK = "link"
"""The file that holds the link with its token, for where it is not printed."""
_END_S = 10.0


class Told(msgspec.Struct, frozen=True):
    """The console's orders, beside a run; in a file, since every user of the machine can read a process's arguments."""

    token: str
    port: int
    out: str
    files: ConfigFiles
    owner: Owner
    scenario: str

    def write(self, scratch: Path) -> None:
        """Leaves the orders in the console's folder, for this user alone."""
        write_private(scratch / _ABOUT, msgspec.json.encode(self, enc_hook=str))

    @classmethod
    def read(cls, scratch: Path) -> Told:
        """The orders that lie in the console's folder; raises as `json_text.decode` where they are none."""
        return json_text.decode(read_regular(scratch / _ABOUT), type=cls, dec_hook=lambda kind, given: kind(given))


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for this user alone, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="chaoskit-ui-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def announce(port: int, wanted: int, token: str, scratch: Path, say: Callable[[str], None], *, terminal: bool) -> None:
    """Says where the page is. The link with the token is printed on a terminal only; elsewhere its file is named."""
    if port != wanted and wanted:
        say(f"port {wanted} is taken, so the page is at {port}")
    link = f"http://127.0.0.1:{port}{ENTER}?token={token}"
    file = scratch / LINK
    write_private(file, f"{link}\n".encode())
    say(f"page: {link}" if terminal else f"page: http://127.0.0.1:{port}/ (the link with its token is in {file})")


def serve_here(wanted: int, out: Path, profile: str, say: Callable[[str], None], *, terminal: bool) -> ExitCode:
    """Serves a console that begins drills, until a signal; raises Refused where no port is free."""
    sockets, port = listen(wanted)
    with own_folder() as scratch, contextlib.ExitStack() as opened:
        for one in sockets:
            opened.enter_context(one)
        token = new_token()
        announce(port, wanted, token, scratch, say, terminal=terminal)
        return serve(Settings(token, port, out, scratch, ConfigFiles(bundle.folder()), profile), sockets)


@contextlib.contextmanager
def beside(
    wanted: int, out: Path, files: ConfigFiles, scenario: str, say: Callable[[str], None], *, terminal: bool
) -> Iterator[None]:
    """A context in which a console shows the runs of this process. On a terminal the page then stays until Ctrl-C.

    Raises Refused where no port is free.
    """
    sockets, port = listen(wanted)
    with own_folder() as scratch, contextlib.ExitStack() as opened:
        for one in sockets:
            opened.enter_context(one)
        token = new_token()
        Told(token, port, str(out), files, me(), scenario).write(scratch)
        announce(port, wanted, token, scratch, say, terminal=terminal)
        fds = [one.fileno() for one in sockets]
        with (scratch / "console.log").open("ab") as log:
            child = subprocess.Popen(
                tied([sys.executable, "-m", "chaoskit.console", str(scratch), *map(str, fds)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
            )
        for one in sockets:
            one.close()
        try:
            yield
            if terminal and child.poll() is None:
                say("the page stays until Ctrl-C")
                with contextlib.suppress(KeyboardInterrupt):
                    child.wait()
        finally:
            child.terminate()
            try:
                child.wait(_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
