"""All that sees the notices of an attached target, followed together: what its profile names, and failure counters.

witness: URL            an entry beside each receiver, or the output of the event recorder
recorder: FILE          Alertmanager's event recorder
mailboxes:, chats:      where people read them
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import requests

from chaoskit.events import Event
from chaoskit.plan.witnesses import chat, mailbox
from chaoskit.scenario.model import Attached
from chaoskit.witness.chat import ChatFollower, open_chat
from chaoskit.witness.client import HINT as ANSWER_HINT
from chaoskit.witness.client import WitnessClient
from chaoskit.witness.config import senders_of
from chaoskit.witness.deliveries import HINT, Alertmanager, FailureCounts, RecorderFollower, recorder_file
from chaoskit.witness.follower import Follower, Unseen
from chaoskit.witness.mailbox import MailboxFollower, open_mailbox


class Witnesses:
    """Follows a run's witnesses from `begin` to `end`; `on_event` gets what they see, from threads of theirs."""

    def __init__(
        self, target: Attached, session: Callable[[str], requests.Session], on_event: Callable[[Event], None]
    ) -> None:
        """`session` gives what may ask an endpoint; raises BadInput where a secret cannot be read."""
        self._target = target
        self._on_event = on_event
        self.alertmanager = Alertmanager(target.alertmanager, session("alertmanager"))
        self._failures = FailureCounts(self.alertmanager, on_event)
        self.followers: list[tuple[Follower, str]] = [*self._named()]
        """Each with what mends it; the witness itself comes before them."""
        self._first: list[tuple[Follower, str]] = []
        if target.witness:
            client = WitnessClient(target.witness, session("witness"), lambda: self.alertmanager.skew, on_event)
            self._first.append((client, ANSWER_HINT))
        self._begun: list[Follower] = []

    def _named(self) -> Iterator[tuple[Follower, str]]:
        target = self._target
        if target.recorder:
            file = recorder_file(target)
            yield RecorderFollower(self.alertmanager, file, self._on_event), HINT
        senders = frozenset[str]()
        with contextlib.suppress(Unseen, ValueError):
            senders = senders_of(self.alertmanager.configuration()) if target.mailboxes else senders
        for name, box in target.mailboxes.items():
            opened = open_mailbox(box)
            mend = f"mailboxes: {{{name}: ...}} of the profile"
            yield MailboxFollower(mailbox(name), opened, senders, lambda: self.alertmanager.skew, self._on_event), mend
        for name, where in target.chats.items():
            yield ChatFollower(chat(name), open_chat(where), self._on_event), f"chats: {{{name}: ...}} of the profile"

    def begin(self) -> None:
        """Returns once each has been seen to answer; raises EquipmentError, with nothing left running."""
        try:
            for follower, mend in (*self._first, *self.followers):
                follower.begin(mend)
                self._begun.append(follower)
        except BaseException:
            self.end()
            raise
        self._failures.look_once()
        self._failures.start()

    def end(self) -> None:
        """Stops following the witnesses, and takes in the last word of each."""
        for follower in self._begun:
            follower.end()
        if self._failures.started:
            self._failures.end()
