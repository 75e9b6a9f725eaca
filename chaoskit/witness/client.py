"""Following a witness from afar: its notices and its watch on our own clock, through lost connections and restarts.

Every answer measures the two clocks against each other: the witness's `now` was read after our question had been
held back for `held_s`, and before its answer came. The narrowest recent difference is used.

    their arrived [a, b]   ->   ours [a - most, b - least]     wider: it certainly holds the instant of sending
    their watch up to b    ->   ours up to b - most            shorter: nothing is claimed that was not seen

Spans of the watch follow each other without a gap as long as the witness knew everything in between. After a gap
(it was started again, or had to drop notices that were not fetched in time) the next span begins later, and an
Equipment event says why.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import requests

from chaoskit import json_text
from chaoskit.access import plain_session, trouble
from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event, Interval, Notice, Watch
from chaoskit.plan.witnesses import WITNESS
from chaoskit.witness.follower import Follower, Unseen
from chaoskit.witness.recorder import SAME, read_event
from chaoskit.witness.store import Heard, Told

WAIT_S = 2.0
"""How long one question may be held back; a watch comes at least so often."""
ANSWER_LIMIT_S = 10.0
HINT = "start it with `chaoskit witness serve`, or leave witness: out of the profile to run without"
_AGAIN_S = 0.5
_SKEWS = 5
_NEWEST = 2**53
_DECODER = msgspec.json.Decoder(Told)


def await_answer(url: str, session: requests.Session) -> None:
    """Returns once the witness has answered; raises EquipmentError, with what to do, when it does not."""
    if why := WitnessClient(url, session).try_once():
        raise EquipmentError(WITNESS, why, HINT)


def asks_for_no_token(url: str) -> bool:
    """Whether the witness answers, and so believes, requests without a token; False where it cannot be reached."""
    with plain_session() as session:
        return not WitnessClient(url, session).try_once()


class WitnessClient(Follower):
    """Asks a witness at `url` with a session that carries the token (and all else that the way there needs)."""

    def __init__(
        self,
        url: str,
        session: requests.Session,
        alertmanager: Callable[[], Interval] = lambda: SAME,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """`alertmanager` tells its clock minus ours, by which its recorder's events are brought to our clock."""
        super().__init__(WITNESS, 0.0, on_event)
        self._url = url.rstrip("/")
        self._alertmanager = alertmanager
        self._session = session
        self._boot = ""
        self._after = 0
        self._their_to = self._our_to = 0.0
        self._skews: deque[Interval] = deque(maxlen=_SKEWS)

    @property
    def skew(self) -> Interval:
        """The witness's clock minus ours, as narrow as recent answers make it; none before the first."""
        if not self._skews:
            return SAME
        least, most = max(one[0] for one in self._skews), min(one[1] for one in self._skews)
        # Clocks that were set in the meantime agree with no interval of before.
        return (least, most) if least <= most else self._skews[-1]

    def ask(self, wait_s: float = 0.0) -> Told:
        """Asks the witness for notices after those already heard; remembers how far that reached.

        Raises EquipmentError where there is none, which says why and never holds the token.
        """
        query: dict[str, Any] = {"after": self._after, "wait_s": wait_s, "seen": self._their_to}
        if self._boot:
            query["boot"] = self._boot
        asked = time.time()
        try:
            response = self._session.get(self._url + "/notices", params=query, timeout=wait_s + ANSWER_LIMIT_S)
        except requests.RequestException as error:
            raise EquipmentError(
                "witness", f"{self._url} gives no answer: {trouble(error)}", "does chaoskit witness serve run there?"
            ) from None
        answered = time.time()
        if response.status_code == requests.codes.unauthorized:
            raise EquipmentError(
                "witness",
                f"{self._url} refuses the profile's token",
                "give the token that witness serve was started with",
            )
        if not response.ok:
            raise EquipmentError("witness", f"{self._url} answers {response.status_code}", "is this a witness?")
        try:
            told = json_text.decode_with(_DECODER, response.content)
        except msgspec.DecodeError:
            raise EquipmentError(
                "witness", f"{self._url} does not answer as a witness does", "is another program there?"
            ) from None
        self._skews.append((told.now - answered, told.now - (asked + told.held_s)))
        return told

    def newest(self) -> Told:
        """Skips what was heard up to now; raises EquipmentError as `ask` does."""
        self._boot, self._after = "", _NEWEST
        told = self.ask()
        self._boot, self._after = told.boot, told.last
        return told

    def next(self, wait_s: float) -> list[Heard]:
        """The notices since the last call, waiting up to `wait_s` seconds for one; maybe none. Raises as `ask` does."""
        told = self.ask(wait_s)
        self._boot, self._after = told.boot, told.notices[-1].n if told.notices else self._after
        return [heard for heard in told.notices if not heard.recorded]

    def look(self, asked: float) -> Iterator[Event]:
        """The notices and the watch that the witness tells since the last look; raises Unseen.

        The first look passes over what was heard before; any but the last waits for a notice.
        """
        over, first = self._over.is_set(), not self._boot
        try:
            told = self.newest() if first else self.ask(0.0 if over else WAIT_S)
        except EquipmentError as error:
            raise Unseen(str(error).removeprefix(f"{WITNESS}: "), soon=over) from None
        if first:
            self._their_to = told.watch[1] if told.watch else told.now
            self._our_to = self._their_to - self.skew[1]
            return
        if self._down:
            self._down = False
            yield Equipment(name=WITNESS, state="up", detail="answers again")
        yield from self._events(told)

    def look_once(self) -> None:
        """Asks the witness once; after a failure it is left alone for a while."""
        super().look_once()
        if self._down:
            self._over.wait(_AGAIN_S)

    def stop(self, timeout_s: float = WAIT_S + ANSWER_LIMIT_S) -> None:
        """Ends the asking; waits for as long as an answer may take, so that what it tells is not lost. Idempotent."""
        super().stop(timeout_s)

    def _say_watch(self, *, at_once: bool) -> None:
        """Nothing: how long it listened is the witness's own word, among the events of a look."""

    def _events(self, told: Told) -> Iterator[Event]:
        skew, gaps = self.skew, []
        if told.boot != self._boot:
            gaps.append("the witness was started again: it did not hear notifications while it was down")
            self._boot, self._after, self._their_to = told.boot, 0, 0.0
        if told.dropped:
            gaps.append(f"{told.dropped} notices were dropped by the witness before they were fetched")
        for reason in gaps:
            yield Equipment(name=WITNESS, state="down", detail=reason)
            yield Equipment(name=WITNESS, state="up", detail="answers again")
        for heard in told.notices:
            yield _notice(heard, skew, self._alertmanager())
            self._after = heard.n
        if told.watch is None:
            return
        begun, to, lag_s = told.watch
        ours = to - skew[1]
        begins = self._our_to if begun == self._their_to else max(self._our_to, begun - skew[0])
        self._their_to = to
        if ours > begins:
            yield Watch(sink=WITNESS, seen=(begins, ours), lag_s=lag_s)
            self._our_to = ours


def _notice(heard: Heard, skew: Interval, alertmanager: Interval) -> Notice:
    """The event of a notice heard, with an interval on our clock that certainly holds the instant of its sending."""
    arrived = (heard.arrived[0] - skew[1], heard.arrived[1] - skew[0])
    if not heard.recorded:
        return msgspec.structs.replace(heard.notice(), sent=arrived)
    notice = read_event(bytes(heard.payload), alertmanager)
    assert notice is not None  # or the witness would not have kept it
    # It was delivered before its event came; clocks that are known badly may say more.
    end = min(notice.sent[1], arrived[1])
    return msgspec.structs.replace(notice, sent=(min(notice.sent[0], end), end))
