"""A mailbox at the end of Alertmanager's mails, which is read without a trace: EXAMINE and PEEK, or a Maildir's files.

    sent      by the mail's own Message-ID: Alertmanager writes the nanosecond there
    arrived   between the look that had it not and the one that has it; IDLE wakes the next look

A mail is Alertmanager's by its sender, as the running configuration has it, and that Message-ID. IMAP numbers mails:
where numbers were given to mails that were gone before they were looked at, or are given anew (UIDVALIDITY), what came
meanwhile is not known.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import mailbox
import re
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from chaoskit.access import file_of, secret_in
from chaoskit.errors import BadInput, Problem
from chaoskit.events import Event, Interval
from chaoskit.host.ports import LOOPBACKS
from chaoskit.localize.sink_addresses import SinkAddress
from chaoskit.observe.mail_sink import mail_notice
from chaoskit.plan.witnesses import sink_key_of
from chaoskit.scenario.model import Mailbox
from chaoskit.witness.follower import Follower, Unseen

ANSWER_S = 10.0
_EVERY_S = 0.5
_LARGEST = 10 * 2**20
_MESSAGE_ID = re.compile(r"<(\d{19})\.\d+@[^>]*>")


class Box(ABC):
    """A mailbox in which mails are looked for."""

    @abstractmethod
    def new(self) -> Iterator[bytes]:
        """The mails that came since the last time, none at the first; raises Unseen."""

    def wait(self, most_s: float, over: threading.Event) -> None:
        """Returns when a mail may have come, after so many seconds, or soon after the end of the looking."""
        over.wait(most_s)

    @abstractmethod
    def close(self) -> None:
        """Closes the mailbox."""


class MaildirBox(Box):
    """A Maildir on this host. Files are read where they lie: none is moved, marked or removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] | None = None

    def new(self) -> Iterator[bytes]:
        """The mails not seen before, known by their unique names, which stay when a server moves them from `new` to
        `cur`.
        """
        try:
            box = mailbox.Maildir(self._folder, create=False)
            keys = set(box.keys())
            if self._known is None:
                self._known = keys
            for key in sorted(keys - self._known):
                self._known.add(key)
                yield box.get_bytes(key)
        except KeyError as error:
            raise Unseen(f"the mail {error} was gone before it was read: keep other programs out", lost=True) from None
        except (OSError, mailbox.Error) as error:
            raise Unseen(
                f"{self._folder} cannot be read ({type(error).__name__} {error}): is it a Maildir of this user's?"
            ) from None

    def close(self) -> None:
        """Does nothing: a Maildir holds no connection."""


class ImapBox(Box):
    """A folder of an IMAP server, opened to read only."""

    def __init__(self, settings: Mailbox) -> None:
        """Raises BadInput where the password or the authority cannot be read, or the extra is not installed."""
        try:
            import imapclient
        except ImportError:
            hint = "python -m pip install 'chaoskit[imap]'"
            raise BadInput(Problem(settings.place, "mailboxes over IMAP need the package imapclient", hint)) from None
        self._library: Any = imapclient
        self._settings = settings
        assert settings.password is not None  # or the profile would have been refused
        self._password = secret_in(settings.password, settings.place)
        self._context = ssl.create_default_context()
        if settings.ca_file:
            file = file_of(settings.ca_file, settings.place)
            try:
                self._context.load_verify_locations(file)
            except (OSError, ssl.SSLError) as error:
                message = f"ca_file: {file} cannot be used: {error}"
                raise BadInput(Problem(settings.place, message, "name a file with certificates in PEM")) from None
        self._server: Any = None
        self._validity: int | None = None
        self._next = 0

    def new(self) -> Iterator[bytes]:
        """The mails not seen before, known by the numbers that the server gives them."""
        server = self._opened()
        try:
            server.noop()
            coming = int(server.folder_status(self._settings.folder, ["UIDNEXT"])[b"UIDNEXT"])
            if coming == self._next:
                return
            found = sorted(uid for uid in server.search(["UID", f"{self._next}:*"]) if self._next <= uid < coming)
            lost = coming - self._next - len(found)
            sizes = server.fetch(found, ["RFC822.SIZE"]) if found else {}
            for uid in found:
                part = "BODY.PEEK[]" if sizes[uid][b"RFC822.SIZE"] <= _LARGEST else "BODY.PEEK[HEADER]"
                got = server.fetch([uid], [part]).get(uid, {})
                content = next((value for key, value in got.items() if key.startswith(b"BODY[")), None)
                lost += content is None
                self._next = uid + 1
                if content is not None:
                    yield content
            self._next = coming
        except (OSError, self._library.exceptions.IMAPClientError, KeyError, ValueError) as error:
            self.close()
            raise Unseen(_why(error)) from None
        if lost:
            raise Unseen(
                f"{lost} mails were gone before they were looked at: see that no other client deletes or moves them",
                lost=True,
            )

    def wait(self, most_s: float, over: threading.Event) -> None:
        """Waits for mail by IMAP's IDLE where the server has it, else for some seconds."""
        server = self._server
        try:
            if server is None or not server.has_capability("IDLE"):
                super().wait(most_s, over)
                return
            server.idle()
            server.idle_check(timeout=most_s)
            server.idle_done()
        except (OSError, self._library.exceptions.IMAPClientError, ValueError):
            self.close()

    def close(self) -> None:
        """Ends the connection to the IMAP server, if there is one."""
        server, self._server = self._server, None
        _shut(server)

    def _opened(self) -> Any:
        if self._server is not None:
            return self._server
        parts = urlsplit(self._settings.imap)
        secure, server = parts.scheme == "imaps", None
        try:
            server = self._library.IMAPClient(
                parts.hostname,
                port=parts.port or (993 if secure else 143),
                ssl=secure,
                ssl_context=self._context if secure else None,
                timeout=ANSWER_S,
            )
            if not secure and parts.hostname not in LOOPBACKS:
                server.starttls(self._context)  # or the password would travel in clear
            server.login(self._settings.username, self._password)
            seen = server.select_folder(self._settings.folder, readonly=True)
        except (OSError, self._library.exceptions.IMAPClientError, KeyError, ValueError) as error:
            _shut(server)
            raise Unseen(f"{self._settings.imap}: {_why(error)}".replace(self._password, "<secret>")) from None
        validity, coming = int(seen[b"UIDVALIDITY"]), int(seen[b"UIDNEXT"])
        self._server = server
        before, self._validity = self._validity, validity
        if before is None:
            self._next = coming
        elif before != validity:
            self._next = coming
            raise Unseen(f"the server numbered its mails anew (UIDVALIDITY {validity} after {before})", lost=True)
        return server


def _shut(server: Any) -> None:
    """Ends a connection, if there is one, without a word."""
    if server is not None:
        with contextlib.suppress(OSError):
            server.shutdown()


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def open_mailbox(settings: Mailbox) -> Box:
    """The mailbox that a profile names; raises BadInput where its settings cannot be used."""
    if settings.maildir:
        return MaildirBox(file_of(settings.maildir, settings.place))
    return ImapBox(settings)


class MailboxFollower(Follower):
    """Tells Alertmanager's mails as they come to lie in a box."""

    def __init__(
        self,
        by: str,
        box: Box,
        senders: frozenset[str],
        alertmanager: Callable[[], Interval],
        on_event: Callable[[Event], None],
    ) -> None:
        """`senders` are Alertmanager's addresses, empty where they are not known; then there is `alertmanager`'s clock
        minus ours."""
        super().__init__(by, 0.0, on_event)
        receiver, _, index = sink_key_of(by)
        self._door = SinkAddress(receiver=receiver, integration="email", index=index, speaks="email")
        self._box = box
        self._senders = senders
        self._alertmanager = alertmanager
        self._looked: float | None = None

    def look(self, asked: float) -> Iterator[Event]:
        """The mails until now; raises Unseen."""
        before, self._looked = self._looked or asked, asked
        try:
            for content in self._box.new():
                found = self._notice(content, (before, time.time()))
                if found is not None:
                    yield found
        except Unseen:
            self._looked = before
            raise

    def look_once(self) -> None:
        """Looks once into the mailbox, then waits for the next mail."""
        super().look_once()
        if not self._over.is_set():
            self._box.wait(_EVERY_S, self._over)

    def close(self) -> None:
        """Ends the connection to the mailbox; may be called twice."""
        self._box.close()

    def _notice(self, content: bytes, arrived: Interval) -> Event | None:
        """The notice of a mail that Alertmanager sent; None for others."""
        headers = email.message_from_bytes(content.split(b"\r\n\r\n", 1)[0], policy=email.policy.compat32)
        identity = _MESSAGE_ID.search(str(headers.get("Message-ID", "")))
        sender = next((address for _, address in getaddresses([str(headers.get("From", ""))])), "")
        if identity is None or (self._senders and sender.lower() not in self._senders):
            return None
        at, skew = int(identity[1]) / 10**9, self._alertmanager()
        addresses = [str(one) for name in ("To", "Cc") for one in headers.get_all(name, [])]
        notice = mail_notice(
            self._door,
            sent=(at - skew[1], at - skew[0]),
            sender=sender,
            recipients=[address for _, address in getaddresses(addresses) if address],
            content=content,
            lists=False,
        )
        return replace(notice, by=self.by, arrived=arrived)
