"""Faults on a slice of the machine: cpu.burn, memory.burn, and disk.fill, a file of so many bytes, really allocated.

CPU and memory are used up by processes that are marked as part of the slice, and go with the holder of the fault.

The token is made before they are, so it knows none of their pids: it names a mark in their environment, by which
any process finds them. Each asks the kernel to be killed when its holder goes.

Starting takes an interpreter a good part of a second, more on a busy machine. So they start, say that they are
ready and wait; then all are released by one write, and the effect is as old as that:

    holder -> a line of n bytes, one for each  released; the end of the pipe in place of a byte: exit
    burner -> ready, begun
"""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
from pydantic import Field

import chaoskit
from chaoskit import niceness, waiting
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, S, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.control_api import ENOUGH, Strength, told
from chaoskit.faults.quantities import Size
from chaoskit.fresh import fresh
from chaoskit.host import slices
from chaoskit.host.lines import Lines, pipes

MARK = "CHAOSKIT_BURN"
_ROOT = Path(chaoskit.__file__).parents[1]
_CONFIRM_S = 10.0
_LOOK_S = 0.25
_SPAN_S = 1.0
"""Over how long processor time is compared with what was asked for: what measures it may look at no longer span."""
_LOOKS = 4
"""After how many good looks in a row they give way again."""
_ALL = 0.9
"""Less than this part of what was asked for, in one look, and they give way no longer."""
_LITTLE = 0.7
"""Less than this part in one span is too weak at once; less than ENOUGH over the long span as well."""
_LONG_S = 5.0

_children: dict[str, list[subprocess.Popen[bytes]]] = {}
"""This process's own burners by token, to be reaped; what others started is not ours to wait for."""
_TIED = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
"""PR_SET_PDEATHSIG, SIGKILL; its parent may have died before the signal was set."""
_CLOCKED = "import signal; signal.alarm(int(sys.argv.pop()))\n"
"""A burner's own clock, which ends it even if no other process is left."""
_HELD = "os.write(1, b'ready\\n'); os.read(0, 1) or os._exit(1)\ndef begun(): os.write(1, b'begun\\n')\n"
_READY_S = 20.0
_SPARE_S = 15.0
"""So long after the fault's maximum a burner ends by itself."""


@dataclass(frozen=True, slots=True)
class ReadyBurners:
    """Burners that are ready and wait, all of them on the same lines."""

    burners: list[psutil.Process]
    lines: Lines

    def release(self, begun_within_s: float | None = None) -> tuple[float, float] | None:
        """Lets all burners go at once; from just before that to when each has said `begun`, if that is awaited.

        Seconds since the epoch; None when one of them has not begun within that time.
        """
        before = time.time()
        self.lines.send(b"." * len(self.burners))
        self.lines.let_go()
        said = begun_within_s is None or _all_said(self.lines, len(self.burners), begun_within_s)
        after = time.time()
        self.lines.close()
        return (before, after) if said else None


def burning(target: Target) -> Undo:
    """The content of a burn's undo token, without the target's mark: where, which burners, when each ends by itself."""
    max_s = target.address.max_s
    clock = {} if max_s is None else {"clock_s": max_s + _SPARE_S}
    return {**processes.origin(), "burn": secrets.token_hex(8), **clock}


def _all_said(lines: Lines, count: int, within_s: float) -> bool:
    """Whether so many lines came within the time."""
    end = time.monotonic() + within_s
    try:
        return all(lines.hear(end - time.monotonic()) for _ in range(count))
    except TimeoutError:
        return False


def find(undo: Undo) -> list[psutil.Process]:
    """Every burner of the token that still lives."""
    return processes.marked(MARK, undo["burn"])


def watch(
    undo: Undo, count: int, ended: threading.Event, cores: float = 0.0, look: Callable[[], None] = lambda: None
) -> None:
    """Watches the burners until the fault ends.

    Raises Lapsed when a burner is gone, or when they get less than `cores` of processor time: they and the
    slice's other processes together, where they top it up; FaultError when their control group is gone.

    `look` is called now and then, and may raise Lapsed as well.

    As long as they get that, they leave the processors to others: burning is for the slice's figures, and shall not
    delay other processes of this machine.
    """
    burners, used_s = find(undo), _counting(undo) if cores else lambda: 0.0
    begun = long = before = (time.monotonic(), used_s())
    yielding = _Yielding()
    while not ended.wait(_LOOK_S):
        now = (time.monotonic(), used_s())  # a burner that cannot read a group any more has ended as well
        if sum(map(processes.lives, burners)) < count and not ended.is_set():
            raise Lapsed("a burner process of this fault has ended: another program killed it")
        look()
        if cores:
            yielding.look(_got(before, now) >= _ALL * cores)
        before = now
        if now[0] - begun[0] < _SPAN_S:
            continue
        for since, part in ((begun, _LITTLE), (long, ENOUGH if now[0] - long[0] >= _LONG_S else 0.0)):
            if (got := _got(since, now)) < part * cores and not ended.is_set():
                who = "slice" if undo.get("whole") else "burners"
                over = f"the {who} got {got:.2f} of {cores:g} cores in {now[0] - since[0]:.1f} s"
                raise Lapsed(f"this machine is too busy; end other programs: {over}")
        begun, long = now, now if now[0] - long[0] >= _LONG_S else long


def _counting(undo: Undo) -> Callable[[], float]:
    """Reads how much processor time the burners have used, or all of a slice that they top up; raises FaultError."""
    kind, *how = undo.get("whole") or ("Slice", MARK, undo["burn"])
    counted = slices.KINDS[kind](*how)

    def used_s() -> float:
        try:
            return counted.used_s(counted.pids())
        except OSError as error:
            file = f"{error.filename} cannot be read any more ({error.strerror})"
            raise FaultError(f"another program removed the control group: {file}; make the group anew") from None

    return used_s


class _Yielding:
    """This session gives way, unless the last look or one of those just before it found too little for it."""

    def __init__(self) -> None:
        self._served = 0
        self._lowered = niceness.lower_own()

    def look(self, enough: bool) -> None:
        self._served = self._served + 1 if enough else 0
        if not enough and self._lowered:
            self._lowered = not niceness.lift_own()
        elif self._served >= _LOOKS and not self._lowered:
            self._lowered = niceness.lower_own()


def _got(since: tuple[float, float], now: tuple[float, float]) -> float:
    return (now[1] - since[1]) / (now[0] - since[0])


class Burn(Fault[S]):
    """The part that the kinds of burn share: their limit, and how they end."""

    handles = ("slice",)
    limit: ClassVar[str]
    """The profile's limit, in the unit of what is asked for."""
    unit: ClassVar[str]

    @abstractmethod
    def asked(self, settings: S) -> float:
        """How much of its resource the fault is to burn, in the unit of its setting."""

    def prepare(self, target: Target, settings: S) -> Undo:
        """Checks that the slice can burn so much; raises FaultError beyond its limit."""
        self.refuse_beyond(settings, target)
        return {**self.found(target), **settings.model_dump()}

    def found(self, target: Target) -> Undo:
        """The part of the token that finds the burners, and says where they count; raises FaultError for no slice."""
        if not (mark := target.address.mark):
            raise FaultError(
                f"{target.handle}: the target does not say how its slice's processes are marked; name another"
            )
        return {**burning(target), "mark": dict(mark)}

    def ignite(self, undo: Undo, program: str, arguments: list[str], count: int) -> ReadyBurners:
        """Starts this many burners, which wait to be released; by the thread that lives as long as they shall.

        `program` calls `begun()` once it burns. Raises FaultError where one of them is not ready in time.
        """
        marked = {undo["mark"]["name"]: undo["mark"]["value"]} if undo.get("mark") else {}
        environment = {"PATH": os.environ.get("PATH", ""), MARK: undo["burn"], **marked}
        clock = str(math.ceil(undo.get("clock_s", 0.0)))
        text = _TIED + _CLOCKED + _HELD + program
        argv = [sys.executable, "-I", "-S", "-c", text, str(os.getpid()), *arguments, clock]
        with pipes() as (lines, told, says):
            children = [subprocess.Popen(fresh(argv), env=environment, stdin=told, stdout=says) for _ in range(count)]
        _children.setdefault(undo["burn"], []).extend(children)
        if not _all_said(lines, count, _READY_S):
            lines.close()
            raise FaultError(
                f"{count} processes were started, but not all got ready within {_READY_S:g} s: end other programs here"
            )
        return ReadyBurners([psutil.Process(child.pid) for child in children], lines)

    def measured(self, undo: Undo) -> None:
        """Measures how much of the burn the target's own accounting shows; raises Lapsed where that is too little."""

    def beyond(self, settings: S, limits: Mapping[str, Any]) -> str:
        asked, most = self.asked(settings), limits.get(self.limit)
        if most is None or asked <= most:
            return ""
        return f"{self.kind} of {asked:.15g} {self.unit} is beyond the profile's limits.{self.limit} of {most:.15g}"

    def stop(self, undo: Undo) -> Seen:
        """Ends every burner of the token and sees none left; raises FaultError."""
        if not processes.still_here(undo):
            now = time.time()
            return Seen((now, now), processes.RESTARTED)
        burners = find(undo)
        begun = time.time()
        for process in burners:
            processes.send(process, signal.SIGKILL)
        if not waiting.await_true(lambda: not any(map(processes.lives, burners)), _CONFIRM_S):
            pids = ", ".join(str(one.pid) for one in burners)
            raise FaultError(
                f"SIGKILL was sent to the burners {pids}, but one is still there; see its state with ps -l"
            )
        for child in _children.pop(undo["burn"], []):
            child.wait(_CONFIRM_S)
        return Seen((begun, time.time()), f"{len(burners)} put out")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only processes with a mark that such a kind makes up."""
        if not re.fullmatch(r"[0-9a-f]{16}", undo["burn"]):
            raise FaultError(f"{undo['burn']!r} is no mark of a burner; undo it by hand")
        return f"ends the processes with {MARK}={undo['burn']} in their environment"


PROGRAM = """
import time
share, chunk, used_s, most_s = float(sys.argv[2]), 20_000, time.process_time, float("inf")
if sys.argv[5:]:
    sys.path.insert(0, sys.argv[4])
    from chaoskit.host import slices
    whole, pids, looked, most_s = slices.KINDS[sys.argv[5]](*sys.argv[6:8]), [], 0.0, 1.0
    def used_s():
        global pids, looked
        if time.monotonic() - looked > 0.2:
            pids, looked = whole.pids(), time.monotonic()
        return whole.used_s(pids)
first, own = time.monotonic(), time.process_time()
since, used = first, used_s()
while True:
    for _ in range(chunk):
        pass
    if first and time.process_time() > own:
        first = begun()
    ahead = (used_s() - used) - share * (time.monotonic() - since)
    if ahead > 0:
        # What is not its share it leaves to others; what these used beyond it, it rests for no longer than that.
        since -= max(0.0, ahead / share - most_s)
        time.sleep(min(most_s, ahead / share))  # the rest is the fault's other half: a share is burnt and rested
    elif ahead < -share * float(sys.argv[3]):
        # The machine was busy for longer than that: what was missed is not made up for.
        since, used = time.monotonic(), used_s()
"""
_MADE_UP_S = 0.5
"""A burner makes up for what it missed in so long. With half a second of processor time each in place of half a
second's part, eight of them kept a machine busy for seconds that had been busy for a moment."""
_TOPPED_UP_S = 0.03
"""As above, of a whole slice: what is made up stands out in a level that is that of a second."""


class CpuBurnSettings(Settings):
    """Settings of cpu.burn."""

    cores: float = Field(default=0.5, gt=0, le=1024)
    """Processor time a second, in sum; at most the profile's limits.cpu."""
    burners: int = Field(default=4, ge=1, le=64)
    """The number of processes that share the burn."""
    top_up: bool = False
    """Counts the slice's own processes in: the burners use the part of `cores` that these leave."""


class CpuBurn(Burn[CpuBurnSettings]):
    """Uses up the slice's processor time."""

    # Each process rests whenever it is ahead of its share, so that the sum is what was asked for. As long as they get
    # that they give way to whatever else runs on the machine; else they take their part like anything else.

    kind = "cpu.burn"
    limit = "cpu"
    unit = "cores"
    takes_cores = True

    def prepare(self, target: Target, settings: CpuBurnSettings) -> Undo:
        """As of any burn; `whole` in the token tells how a slice is counted that is to be topped up.

        Raises FaultError where that cannot be told.
        """
        undo = super().prepare(target, settings)
        return {**undo, "whole": self.whole(undo)} if settings.top_up else undo

    def whole(self, undo: Undo) -> list[str]:
        """How `chaoskit.host.slices` counts what the slice's processes use; raises FaultError where it has none."""
        name, value = undo["mark"]["name"], undo["mark"]["value"]
        if not slices.Slice(name, value).pids():
            raise FaultError(
                f"no process of this user has {name}={value} in its environment, so cpu.burn has nothing to top up: "
                "start the slice's processes first, or leave out top_up"
            )
        return ["Slice", name, value]

    def asked(self, settings: CpuBurnSettings) -> float:
        return settings.cores

    def start(self, undo: Undo) -> Seen:
        """Starts the burners, releases them together, and hears from each that it has used the processor.

        To top up a slice that uses as much already adds nothing, so the detail says what it used before.
        """
        arguments = [str(undo["cores"] / undo["burners"]), str(_MADE_UP_S)]
        if whole := undo.get("whole"):
            arguments = [str(undo["cores"]), str(_TOPPED_UP_S), str(_ROOT), *whole]
            used_s = _counting(undo)  # a new process counts from its second reading on, so no burner is in here
            before = (time.monotonic(), used_s())
        ready = self.ignite(undo, PROGRAM, arguments, undo["burners"])
        used = f"; the slice used {_got(before, (time.monotonic(), used_s())):.2f} before" if whole else ""
        # From the first one on the slice is busier, so the effect may be as old as the release.
        burnt = ready.release(_CONFIRM_S)
        if burnt is None:
            raise FaultError(
                "the burners were started, but get no processor within the time: lower cores, or stop other work"
            )
        who = "1 process" if undo["burners"] == 1 else f"{undo['burners']} processes"
        verb = ("top" if whole else "burn") + ("s" if undo["burners"] == 1 else "")
        return Seen(burnt, f"{who} {verb} {'up to ' if whole else ''}{undo['cores']:g} cores{used}")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Watches that no burner ends, and that the machine has time for all."""
        watch(undo, undo["burners"], ended, undo["cores"], lambda: self.measured(undo))


_HOLDING = """
import mmap, time
held = mmap.mmap(-1, int(sys.argv[2]), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0))
for at in range(0, len(held), mmap.PAGESIZE):
    held[at] = 1
while True:
    time.sleep(3600)  # to hold it is all there is to do, until it is killed
"""
_MEMORY_S = 20.0
_SOME = 0.25
"""The part of it from which on its effect may be seen."""
_WEAK_S = 0.5
_SPARE = 0.8
"""At most this part of the machine's free memory is ever taken, even where the limits allow more."""


class MemoryBurnSettings(Settings):
    """Settings of memory.burn."""

    size: Size
    """How much, as `200MiB`; at most the profile's limits.memory."""


class MemoryBurn(Burn[MemoryBurnSettings]):
    """Uses up the slice's memory."""

    kind = "memory.burn"
    limit = "memory"
    unit = "bytes"

    def asked(self, settings: MemoryBurnSettings) -> float:
        return settings.size

    def prepare(self, target: Target, settings: MemoryBurnSettings) -> Undo:
        """Checks the limit and the machine's free memory; raises FaultError beyond them."""
        undo = super().prepare(target, settings)
        free = psutil.virtual_memory().available
        if settings.size > _SPARE * free:
            raise FaultError(
                f"memory.burn of {settings.size} bytes would endanger this machine: {free} are free; lower size"
            )
        return undo

    def start(self, undo: Undo) -> Seen:
        """Starts the process and sees the memory resident."""
        ready = self.ignite(undo, _HOLDING, [str(undo["size"])], 1)
        ready.release()
        some = waiting.since_true(lambda: _resident(ready.burners[0]) >= undo["size"] * _SOME, _MEMORY_S)
        full = waiting.since_true(lambda: _resident(ready.burners[0]) >= undo["size"], _MEMORY_S)
        if some is None or full is None:
            raise FaultError(
                told(_resident(ready.burners[0]) / 2**20, undo["size"] / 2**20, "MiB, all that the process gets")
            )
        # An alert may already be about a part of it, and on a busy machine it takes a while to take all.
        return Seen((some[0], full[1]), f"{undo['size'] / 2**20:.0f} MiB held")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Watches that the memory stays taken, and is not swapped out."""
        held, strength = find(undo), Strength("MiB held", _WEAK_S)

        def look() -> None:
            strength.look(sum(map(_resident, held)) / 2**20, undo["size"] / 2**20)
            self.measured(undo)

        watch(undo, 1, ended, look=look)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


_SPARE_BYTES = 512 * 2**20
"""So much of the machine's own disk is left free, even where the settings ask for more."""


class DiskFillSettings(Settings):
    """Settings of disk.fill."""

    size: Size
    """How many bytes to fill, such as `200MiB`."""


class DiskFill(Fault[DiskFillSettings]):
    """Fills the slice's disk quota."""

    kind = "disk.fill"
    handles = ("slice",)

    def prepare(self, target: Target, settings: DiskFillSettings) -> Undo:
        """Chooses a name; raises FaultError where there is no folder, or too little room on the machine itself."""
        folder = Path(target.address.folder)
        if not target.address.folder or not folder.is_dir():
            raise FaultError(f"{target.handle}: the target does not say which folder its quota is about; name another")
        free = shutil.disk_usage(folder).free
        if settings.size + _SPARE_BYTES > free:
            raise FaultError(
                f"disk.fill of {settings.size} bytes would endanger this machine: {free} are free; lower size"
            )
        return {"file": str(folder / f"chaoskit-fill-{secrets.token_hex(6)}"), "size": settings.size}

    def start(self, undo: Undo) -> Seen:
        """Allocates the file and sees its blocks."""
        begun = time.time()
        try:
            with open(undo["file"], "xb") as file:  # noqa: PTH123 - exclusively, by descriptor
                os.posix_fallocate(file.fileno(), 0, undo["size"])
                os.fsync(file.fileno())
        except OSError as error:
            raise FaultError(f"{undo['file']} could not be filled: {error.strerror}; lower size") from None
        held = _blocks(undo)
        if held < undo["size"]:
            raise FaultError(f"{undo['file']} was made; {told(held / 2**20, undo['size'] / 2**20, 'MiB')}")
        return Seen((begun, time.time()), f"{held / 2**20:.0f} MiB filled")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the file has shrunk, or is gone."""
        held = _blocks(undo)
        left = told(held / 2**20, undo["size"] / 2**20, "MiB")
        return "" if held >= undo["size"] else f"another program made {undo['file']} smaller, or removed it; {left}"

    def stop(self, undo: Undo) -> Seen:
        """Removes the file; one that was never made is just as well."""
        begun = time.time()
        try:
            if not is_gone(Path(undo["file"])):
                Path(undo["file"]).unlink(missing_ok=True)
        except OSError as error:
            raise FaultError(f"{undo['file']} could not be removed: {error.strerror}; remove it by hand") from None
        return Seen((begun, time.time()), "removed")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only a file of a name that this kind makes up, in the target's folder."""
        file = Path(undo["file"])
        made.allow("folder", str(file.parent))
        if not re.fullmatch(r"chaoskit-fill-[0-9a-f]{12}", file.name):
            raise FaultError(f"{file} is no name that disk.fill makes up, so remove that file by hand")
        return f"removes {file}"


def _blocks(undo: Undo) -> int:
    try:
        return os.stat(undo["file"]).st_blocks * 512  # noqa: PTH116 - blocks, which Path.stat gives as well
    except OSError:
        return 0
