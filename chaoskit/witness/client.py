"""Following a witness from afar: its notices and its watch on our own clock, through lost connections and restarts.

Every answer measures the two clocks against each other: the witness's `now` was read after our question had been
held back for `held_s`, and before its answer came. The narrowest recent difference is used.

    their arrived [a, b]   ->   ours [a - most, b - least]     wider: it certainly holds the instant of sending
    their watch up to b    ->   ours up to b - most            shorter: nothing is claimed that was not seen

Spans of the watch follow each other without a gap as long as the witness knew everything in between. After a gap
(it was started again, or had to drop notices that nobody fetched in time) the next span begins later, and
`on_gap` says why.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import requests

from chaoskit.access import trouble
from chaoskit.errors import EquipmentError
from chaoskit.events import Interval
from chaoskit.witness.store import Heard, Told

WAIT_S = 2.0
"""How long one question may be held back; a watch comes at least so often."""
ANSWER_LIMIT_S = 10.0
_AGAIN_S = (0.1, 0.5, 1.0, 2.0)
_SKEWS = 5
_NEWEST = 2**53
_DECODER = msgspec.json.Decoder(Told)


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A notice that the witness heard."""

    receiver: str
    sent: Interval
    """Certainly holds the instant of sending, on our clock."""
    payload: bytes
    """Alertmanager's webhook message as JSON, for `observe.payload.read_payload("webhook", "", payload)`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The witness listened during the whole of `seen` (on our clock), and was never late by more than `lag_s`.

    Every notice sent within it has been handed on before.
    """

    seen: Interval
    lag_s: float
    skew: Interval
    """The witness's clock minus ours."""


def _nothing(*_: object) -> None:
    pass


class WitnessClient:
    """Asks a witness at `url` with a session that carries the token (and whatever else the way there needs).

    `follow` runs in a thread of its own until `stop`; it never raises from there. Callbacks come from that thread,
    in the order in which things happened.
    """

    def __init__(self, url: str, session: requests.Session) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._boot = ""
        self._after = 0
        self._their_to = self._our_to = 0.0
        self._skews: deque[Interval] = deque(maxlen=_SKEWS)
        self._answers = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def skew(self) -> Interval | None:
        """The witness's clock minus ours, as narrow as recent answers make it; None before the first."""
        if not self._skews:
            return None
        least, most = max(one[0] for one in self._skews), min(one[1] for one in self._skews)
        # Clocks that were set in the meantime agree with no interval of before.
        return (least, most) if least <= most else self._skews[-1]

    def ask(self, wait_s: float = 0.0) -> Told:
        """One answer, for what comes after those before; remembers how far that reached.

        Raises EquipmentError where there is none, which says why and never holds the token.
        """
        query: dict[str, Any] = {"after": self._after, "wait_s": wait_s, "seen": self._their_to}
        if self._boot:
            query["boot"] = self._boot
        asked = time.time()
        try:
            response = self._session.get(self._url + "/notices", params=query, timeout=wait_s + ANSWER_LIMIT_S)
        except requests.RequestException as error:
            raise EquipmentError("witness", f"{self._url} gives no answer: {trouble(error)}") from None
        answered = time.time()
        if response.status_code == requests.codes.unauthorized:
            raise EquipmentError("witness", f"{self._url} refuses our token", "give the token of witness serve")
        if not response.ok:
            raise EquipmentError("witness", f"{self._url} answers {response.status_code}", "is this a witness?")
        try:
            told = _DECODER.decode(response.content)
        except msgspec.DecodeError:
            raise EquipmentError("witness", f"{self._url} does not answer as a witness does") from None
        self._skews.append((told.now - answered, told.now - (asked + told.held_s)))
        return told

    def newest(self) -> Told:
        """Skips what was heard up to now; raises EquipmentError as `ask` does."""
        self._boot, self._after = "", _NEWEST
        told = self.ask()
        self._boot, self._after = told.boot, told.last
        return told

    def next(self, wait_s: float) -> list[Heard]:
        """What came since, waiting so long for it; for who wants notices alone. Raises EquipmentError as `ask` does."""
        told = self.ask(wait_s)
        self._boot, self._after = told.boot, told.notices[-1].n if told.notices else self._after
        return told.notices

    def follow(
        self,
        on_notice: Callable[[Witnessed], None],
        on_watch: Callable[[Watched], None],
        on_gap: Callable[[str], None] = _nothing,
        on_answer: Callable[[bool, str], None] = _nothing,
    ) -> None:
        """Begin to follow: what was heard before now is left out.

        `on_answer` is told when the witness stops answering, with the reason, and when it answers again. Raises
        EquipmentError when it does not answer now.
        """
        first = self.newest()
        self._their_to = first.watch[1] if first.watch else first.now
        self._our_to = self._ours_to(self._their_to)

        def run() -> None:
            failed = 0
            while not self._stop.is_set():
                try:
                    told = self.ask(WAIT_S)
                except EquipmentError as error:
                    self._say(False, str(error), on_answer)
                    self._stop.wait(_AGAIN_S[min(failed, len(_AGAIN_S) - 1)])
                    failed += 1
                    continue
                failed = 0
                self._say(True, "", on_answer)
                self._hand_on(told, on_notice, on_watch, on_gap)
            with contextlib.suppress(EquipmentError):
                self._hand_on(self.ask(), on_notice, on_watch, on_gap)

        self._thread = threading.Thread(target=run, name="witness-client", daemon=True)
        self._thread.start()

    def stop(self, within_s: float = WAIT_S + ANSWER_LIMIT_S) -> None:
        """Follow no longer; idempotent. What the witness heard until now has been handed on where it answers."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(within_s)

    def _hand_on(
        self,
        told: Told,
        on_notice: Callable[[Witnessed], None],
        on_watch: Callable[[Watched], None],
        on_gap: Callable[[str], None],
    ) -> None:
        skew = self.skew
        assert skew is not None
        if told.boot != self._boot:
            on_gap("the witness was started again: what came while it was down was heard by nobody")
            self._boot, self._after, self._their_to = told.boot, 0, 0.0
        if told.dropped:
            on_gap(f"{told.dropped} notices were dropped by the witness before they were fetched")
        for heard in told.notices:
            on_notice(_witnessed(heard, skew))
            self._after = heard.n
        if told.watch is None:
            return
        begun, to, lag_s = told.watch
        ours = self._ours_to(to)
        begins = self._our_to if begun == self._their_to else max(self._our_to, begun - skew[0])
        self._their_to = to
        if ours > begins:
            on_watch(Watched((begins, ours), lag_s, skew))
            self._our_to = ours

    def _ours_to(self, theirs: float) -> float:
        skew = self.skew
        return theirs - skew[1] if skew else theirs

    def _say(self, answers: bool, reason: str, on_answer: Callable[[bool, str], None]) -> None:
        if answers != self._answers:
            self._answers = answers
            on_answer(answers, reason)


def _witnessed(heard: Heard, skew: Interval) -> Witnessed:
    sent = (heard.arrived[0] - skew[1], heard.arrived[1] - skew[0])
    return Witnessed(heard.receiver, sent, bytes(heard.payload))
