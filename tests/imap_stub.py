"""A strict IMAP server of one folder for tests: it takes EXAMINE and BODY.PEEK, and notes whatever else is asked."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PASSWORD = "the-password-of-the-box"


@dataclass
class Folder:
    """Its mails by number; `wrong` are commands that a reader who leaves no trace never gives."""

    mails: dict[int, bytes] = field(default_factory=dict)
    validity: int = 7
    coming: int = 1
    wrong: list[str] = field(default_factory=list)
    idling: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    down: bool = False
    port: int = 0

    def put(self, mail: bytes) -> int:
        """A mail comes to lie there; its number."""
        with self.arrived:
            uid, self.coming = self.coming, self.coming + 1
            self.mails[uid] = mail
            self.arrived.notify_all()
        return uid


class _Session(socketserver.StreamRequestHandler):
    folder: Folder

    def handle(self) -> None:
        if self.folder.down:
            return
        self._say("* OK ready")
        for line in self.rfile:
            tag, _, rest = line.decode().strip().partition(" ")
            if self.folder.down or not self._answer(tag, rest):
                return

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")
        self.wfile.flush()

    def _answer(self, tag: str, command: str) -> bool:
        folder, word = self.folder, command.split(" ")[0].upper()
        match word:
            case "CAPABILITY":
                self._say("* CAPABILITY IMAP4rev1 IDLE")
            case "LOGIN" if PASSWORD not in command:
                self._say(f"{tag} NO [AUTHENTICATIONFAILED] wrong")
                return True
            case "EXAMINE":
                self._say(f"* {len(folder.mails)} EXISTS")
                self._say(f"* OK [UIDVALIDITY {folder.validity}] valid")
                self._say(f"* OK [UIDNEXT {folder.coming}] next")
            case "STATUS":
                self._say(f'* STATUS "INBOX" (UIDNEXT {folder.coming})')
            case "IDLE":
                return self._idle(tag)
            case "UID" if " SEARCH " in command.upper():
                self._say(f"* SEARCH {' '.join(map(str, folder.mails))}")
            case "UID" if "BODY[" in command.upper():
                folder.wrong.append(command)
            case "UID":
                self._fetch(command)
            case "LOGIN" | "NOOP" | "LOGOUT":
                pass
            case _:
                folder.wrong.append(command)
        self._say(f"{tag} OK {'[READ-ONLY] ' if word == 'EXAMINE' else ''}done")
        return word != "LOGOUT"

    def _idle(self, tag: str) -> bool:
        folder = self.folder
        self._say("+ idling")
        with folder.arrived:
            before = folder.coming
            folder.idling.set()
            if folder.arrived.wait_for(lambda: folder.coming > before, 0.3):
                self._say(f"* {len(folder.mails)} EXISTS")
        done = self.rfile.readline()
        self._say(f"{tag} OK idle over")
        return done.strip().upper() == b"DONE"

    def _fetch(self, command: str) -> None:
        uids = [int(one) for one in command.split(" ")[2].split(",")]
        for number, (uid, mail) in enumerate(self.folder.mails.items(), 1):
            if uid not in uids:
                continue
            if "RFC822.SIZE" in command:
                self._say(f"* {number} FETCH (UID {uid} RFC822.SIZE {len(mail)})")
            elif re.search(r"BODY\.PEEK\[", command):
                self.wfile.write(f"* {number} FETCH (UID {uid} BODY[] {{{len(mail)}}}\r\n".encode() + mail + b")\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def imap(folder: Folder | None = None) -> Iterator[Folder]:
    """Serves a folder on a free port of loopback, or where it was before."""
    folder = folder or Folder()
    handler = type("Session", (_Session,), {"folder": folder})
    with _Server(("127.0.0.1", folder.port), handler) as server:
        folder.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield folder
        server.shutdown()
        thread.join(5)
