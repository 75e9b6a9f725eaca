"""A server that is asked over HTTP for notices: its answer, or why there is none, and its clock as its answers tell it.

Where it answers 429 it is left alone for as long as it wants.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from chaoskit.access import trouble
from chaoskit.events import Interval
from chaoskit.witness.follower import Unseen
from chaoskit.witness.recorder import SAME

_LEFT_ALONE_S = 30


class OtherClock:
    """Another machine's clock minus ours, from the whole seconds that its answers' `Date` tells.

        asked            answered        date - answered <= skew <= date + 1 - asked
          |--------------|               for their second began at `date`, and had not ended
             date |--------|

    Looks at different parts of a second narrow it down.
    """

    def __init__(self) -> None:
        self._known: Interval | None = None

    def take(self, date: float, asked: float, answered: float) -> None:
        """Takes the `Date` of one answer into account."""
        said = (date - answered, date + 1.0 - asked)
        known = self._known or said
        both = (max(known[0], said[0]), min(known[1], said[1]))
        # Clocks that were set in the meantime agree with no interval of before.
        self._known = both if both[0] <= both[1] else said

    @property
    def skew(self) -> Interval:
        """By how much the server's clock is ahead of ours, as narrow as its answers make it; none before the first."""
        return self._known or SAME


@dataclass(slots=True)
class Server:
    """A server to ask, with the difference of its clock to ours."""

    url: str
    session: requests.Session
    clock: OtherClock = field(default_factory=OtherClock)
    not_before: float = 0.0
    """The instant until which the server does not want to be asked."""
    within_s: float = 10.0
    """How long one answer may take."""

    def ask(self, path: str, **query: Any) -> requests.Response:
        """The server's answer to a request; raises Unseen, in words without the secret."""
        asked = time.time()
        if asked < self.not_before:
            raise Unseen(f"{self.url} asks us to wait for {self.not_before - asked:.0f} s more (429)")
        try:
            response = self.session.get(self.url + path, params=query, timeout=self.within_s)
        except requests.RequestException as error:
            raise Unseen(f"{self.url}: {trouble(error)}") from None
        if response.status_code == requests.codes.too_many_requests:
            after = response.headers.get("Retry-After", "")
            self.not_before = time.time() + (int(after) if after.isdigit() else _LEFT_ALONE_S)
        if not response.ok:
            raise Unseen(f"{self.url}{path} answers {response.status_code}; see its URL and token in the profile")
        with contextlib.suppress(KeyError, ValueError, TypeError):  # an answer without a date tells no clock
            self.clock.take(parsedate_to_datetime(response.headers["Date"]).timestamp(), asked, time.time())
        return response
