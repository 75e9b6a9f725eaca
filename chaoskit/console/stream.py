"""A run's folder as it grows: its history read on from where the last look ended, and pictures of it in time.

Nothing here can hold up a run: files are read, and nothing else. A picture is made at most four times a second, and
not before twenty times of what the last one cost has passed, so that all of them together take a twentieth of a core
at most. Each listener gets what has changed since its own last picture; one that is slow skips pictures.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from chaoskit.errors import BadInput
from chaoskit.events import SCHEMAS, AnyEvent, End, Header, decode
from chaoskit.files import HISTORY, open_regular
from chaoskit.report.html_live import Live
from chaoskit.report.judge_run import read_verdict
from chaoskit.report.notes import Note, read_notes
from chaoskit.verify.verdict import Verdict

MOST_STREAMS = 8
LEAST_S = 0.25
"""The fewest seconds between two pictures of a run."""
SHARE = 20.0
"""The pause between two pictures, as a multiple of the time that drawing one takes."""
BEAT_S = 1.0
"""A listener hears something at least so often."""
_AT_ONCE = 2**22
_JOURNAL = "events.jsonl"


class Tail:
    """A history that is still written. Reads it line by line, up to the first line that is damaged."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = -1
        self._rest = b""
        self._count = 0
        self._size = 0
        self.trouble = ""
        """Why nothing more is read; empty while all is well."""

    def news(self) -> list[AnyEvent]:
        """The whole events since the last look, at most some megabytes of them; none while there is no file."""
        if self.trouble:
            return []
        try:
            if self._fd < 0:
                self._fd = open_regular(self._file)
            chunk = os.read(self._fd, _AT_ONCE)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.trouble = f"{self._file.name} cannot be read: {error.strerror}"
            return []
        self._size += len(chunk)
        if self._size > HISTORY:
            self.trouble = f"{self._file.name} holds more than {HISTORY / 2**20:g} MiB"
            return []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found = []
        for line in lines:
            try:
                event = decode(line)
                if event.n != self._count:
                    raise ValueError(f"event {event.n} stands where {self._count} belongs")
            except (msgspec.DecodeError, ValueError) as error:
                self.trouble = f"{self._file.name}:{self._count + 1} is damaged: {error}"
                break
            self._count += 1
            found.append(event)
        return found

    def close(self) -> None:
        """Closes the history's file; the tail reads no more events."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.trouble = self.trouble or "closed"


class Watched:
    """One run: its account, and beside it the verdict and the notes once they are there."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.time,
        heed: Callable[[AnyEvent], None] = lambda event: None,
    ) -> None:
        """`heed` gets each event once it is in the account."""
        self.folder = folder
        self._heed = heed
        self._clock = clock
        self.live: Live | None = None
        self.end: End | None = None
        self.heard: float = 0.0
        """When its history last said something, on our clock."""
        self.verdict: Verdict | None = None
        self.notes: list[Note] = []
        self._tail = Tail(folder / _JOURNAL)
        self._wrong = ""

    @property
    def trouble(self) -> str:
        """Why what is shown may not be all; empty where nothing speaks for that."""
        return self._wrong or self._tail.trouble

    def look(self) -> bool:
        """Reads the run's new events; whether there were any."""
        news = self._tail.news() if not self._wrong else []
        for event in news:
            self._take(event)
            self._heed(event)
        if news:
            self.heard = self._clock()
        notes = read_notes(self.folder)
        more = notes != self.notes
        self.notes = notes
        if self.end is not None and self.verdict is None:
            self.verdict = read_verdict(self.folder)
            more = more or self.verdict is not None
        return bool(news) or more

    def catch_up(self) -> None:
        """Reads all events that the history holds by now."""
        while self.look() and not self.trouble:
            pass

    def close(self) -> None:
        """Closes the files of the run; it is watched no more."""
        self._tail.close()

    def _take(self, event: AnyEvent) -> None:
        if self.live is not None:
            self.live.feed(event)
            if isinstance(event, End):
                self.end = event
            return
        if not isinstance(event, Header) or event.schema not in SCHEMAS:
            self._wrong = "the file is no history of a run that this chaoskit reads"
            return
        try:
            self.live = Live(event)
        except BadInput as error:
            self._wrong = f"chaoskit can make no plan of the history's header: {error}"


class Pictures:
    """The newest picture of a run, and the pages that wait for it. `draw` makes one: {key: html}."""

    def __init__(
        self,
        draw: Callable[[], Mapping[str, str]],
        look: Callable[[], bool],
        thread_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._thread_time = thread_time
        self._draw = draw
        self._look = look
        self._newest: Mapping[str, str] = {}
        self._number = 0
        self._news = asyncio.Condition()
        self._listeners = 0
        self.cost_s = 0.0
        """Processor seconds that the last picture took."""

    @property
    def full(self) -> bool:
        """Whether the stream has as many listening pages as it serves."""
        return self._listeners >= MOST_STREAMS

    async def run(self, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Draws for as long as it is awaited; while no browser listens, it only reads the history."""
        while True:
            begun = self._thread_time()
            self._look()
            if self._listeners:
                await self._renew()
            self.cost_s = self._thread_time() - begun
            await pause(max(LEAST_S, SHARE * self.cost_s))

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events: first the whole picture, then of each later one what has changed; a beat in between."""
        self._listeners += 1
        try:
            seen: dict[str, str] = {}
            number = self._number
            await self._renew()
            while True:
                changed = {key: html for key, html in self._newest.items() if seen.get(key) != html}
                number = self._number
                seen.update(changed)
                yield b"data: " + msgspec.json.encode(changed) + b"\n\n" if changed else b"event: beat\ndata: 1\n\n"
                async with self._news:
                    try:
                        async with asyncio.timeout(BEAT_S):
                            await self._news.wait_for(lambda known=number: self._number != known)  # type: ignore[misc]
                    except TimeoutError:
                        continue
        finally:
            self._listeners -= 1

    async def _renew(self) -> None:
        picture = self._draw()
        async with self._news:
            self._newest = picture
            self._number += 1
            self._news.notify_all()
