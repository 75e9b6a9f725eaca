"""Try the project as on a fresh Debian machine: `make fresh-machine SUITE=bookworm [PARTS="venv game-day test"]`.

The machine is a chroot made by debootstrap with python3, python3-venv, make, git and ca-certificates, and with the
pip and apt settings of this machine. It lives in memory, in namespaces for mounts and processes of its own: when they
end, in whatever way (Ctrl-C and kill -9 too), nothing of it is left, neither files nor mounts nor processes. Root only.

    venv         without python3-venv an ordinary user's set-up ends with one sentence, and root's installs it
    game-day     `make game-day`, as root and as an ordinary user
    test         `make test`, as an ordinary user
    test-drills  `make test-drills`, its second half by itself; only when asked
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from chaoskit.stack.binaries import os_release
from chaoskit.stack.install import Source, at_suite, machine_sources, own_archive

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("venv", "game-day", "test", "test-drills")
PACKAGES = "python3,python3-venv,make,git,ca-certificates"
USER = 1000
HOMES = {"root": "root", "user": "home/user"}
_APT = ("apt.conf", "apt.conf.d", "auth.conf", "auth.conf.d", "keyrings", "trusted.gpg", "trusted.gpg.d")
_PIP_OF_USER = (".config/pip/pip.conf", ".pip/pip.conf")
_PASSED_ON = re.compile(
    r"PYTEST_ADDOPTS|PIP_\w+|(?i:\w+_proxy)|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO"
)
_INSIDE = "--inside"
# Not chroot alone: the kernel gives no user namespace to a process in one, and a machine does.
_PIVOT = """cd "$0" && pivot_root . mnt && exec chroot . sh -c 'umount -l /mnt && exec "$@"' sh "$@" """
_BUSY = 3  # the exit code of a drill that this machine was too busy for; it is tried once more


@dataclass
class Machine:
    """The chroot and what was found wrong with it so far."""

    folder: Path
    environment: Mapping[str, str]
    failed: list[str] = field(default_factory=list)

    def run(self, who: str, *argv: str, folder: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside as root or as the user, in its clone or `folder`; it is shown and kept."""
        identity = [] if who == "root" else ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        home = f"/{HOMES[who]}"
        environment = {**self.environment, "HOME": home, "USER": who, "LOGNAME": who}
        words = [f"{name}={value}" for name, value in environment.items()]
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', folder or f"{home}/chaoskit", *argv]
        say(f"{who}: {' '.join(argv)}")
        started = time.monotonic()
        lines = []
        own_root = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _PIVOT, str(self.folder)]
        command = [*own_root, *identity, "env", "-i", *words, *inside]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                lines.append(line)
                sys.stdout.write(f"  | {line}")
                sys.stdout.flush()
        say(f"{who}: {' '.join(argv)} ended with {child.returncode} after {time.monotonic() - started:.0f} s")
        return subprocess.CompletedProcess(argv, child.returncode, "".join(lines), "")

    def expect(self, good: bool, what: str) -> None:
        """Note one result; all parts go on, so that all failures are told at once."""
        say(f"{'ok' if good else 'FAILED'}: {what}")
        if not good:
            self.failed.append(what)


def say(text: str) -> None:
    """One line about the progress."""
    sys.stdout.write(f"fresh-machine: {text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """The command; 0 when every part went well, 1 when one failed, 2 when it could not begin."""
    parser = argparse.ArgumentParser(prog="fresh_machine.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suite", help="bookworm, trixie or another suite of this machine's Debian archive")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; those before test-drills unless told"
    )
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    wrong = [part for part in asked.parts if part not in PARTS]
    missing = [
        tool
        for tool in ("debootstrap", "unshare", "setpriv", "pivot_root", "mount", "git")
        if shutil.which(tool) is None
    ]
    source = archive_of(asked.suite)
    if wrong:
        say(f"no such part: {', '.join(wrong)} (there are {', '.join(PARTS)})")
    elif os.geteuid() != 0:
        say("a chroot is made by root only (run: sudo make fresh-machine)")
    elif missing:
        say(f"{', '.join(missing)} was not found (run: apt-get install debootstrap util-linux git)")
    elif source is None:
        say("/etc/apt names no Debian archive of this machine's own suite to take the packages from")
    elif asked.inside:
        return _reaping(lambda: _inside(asked.suite, asked.parts or PARTS[:-1], source))
    else:
        return _in_namespaces([str(asked.suite), *asked.parts])
    return 2


def archive_of(suite: str, apt_folder: Path = Path("/etc/apt")) -> Source | None:
    """This machine's own archive, at the suite; None where it names none."""
    codename = os_release().get("VERSION_CODENAME", "")
    return next(iter(at_suite(own_archive(machine_sources(apt_folder), codename), suite, codename)), None)


def local_folders(settings: Iterable[str]) -> list[Path]:
    """Folders that settings of pip name, without those inside others; of an index its parent, as it links beside it."""
    found = set()
    for word in (word for text in settings for word in re.split(r"[\s='\",]+", text)):
        path = Path(re.sub(r"^file://[^/]*", "", word))
        if path.is_absolute() and path.is_dir():
            found.add(path if word.startswith("/") else path.parent)
    folders = sorted(found - {Path("/")})
    return [one for one in folders if not any(other in one.parents for other in folders)]


def _in_namespaces(arguments: Sequence[str]) -> int:
    """Start this script again in namespaces of its own, and end all of it when this process is told to end."""

    def told(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGHUP, told)
    unshare = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]
    child = subprocess.Popen([*unshare, sys.executable, __file__, *arguments, _INSIDE], start_new_session=True)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.kill()  # with it the first process of the namespace, and with that all others
        child.wait()
        say("interrupted; nothing is left")
        return 130


def _reaping(work: Callable[[], int]) -> int:
    """Do the work in a child, and meanwhile what a machine's first process does: take leave of orphans that ended."""
    worker = os.fork()
    if worker == 0:
        code = 70
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # a machine does not know what nohup or & had ignored here
        try:
            code = work()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.stdout.flush()
            os._exit(code)
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


def _inside(suite: str, parts: Sequence[str], source: Source) -> int:
    folder = Path("/mnt")  # covered in this namespace only
    _do("mount", "-t", "tmpfs", "-o", "mode=755,size=75%", "fresh-machine", str(folder))
    machine = Machine(folder, _environment())
    _build(machine, suite, source)
    if "venv" in parts:
        _try_venv(machine)
    if "game-day" in parts:
        for who in HOMES:
            done = machine.run(who, "make", "game-day")
            if done.returncode and f"Error {_BUSY}" in done.stdout:
                done = machine.run(who, "make", "game-day")
            machine.expect(done.returncode == 0 and "PASS" in done.stdout, f"make game-day as {who}")
    for target in PARTS[2:]:
        if target in parts:
            done = machine.run("user", "make", target)
            machine.expect(done.returncode == 0, f"make {target} as user")
            for line in re.findall(r"^.*\d+ passed.* in .*$", done.stdout, re.MULTILINE):
                say(line.strip("= "))
    for what in machine.failed:
        say(f"FAILED on {suite}: {what}")
    say(f"{suite}: {' '.join(parts)}: {'failed' if machine.failed else 'passed'}")
    return 1 if machine.failed else 0


def _build(machine: Machine, suite: str, source: Source) -> None:
    folder = machine.folder
    say(f"{suite} is made by debootstrap in memory")
    keyring = [f"--keyring={source.signed_by}"] if Path(source.signed_by or "-").is_file() else []
    _do("debootstrap", "--variant=minbase", f"--include={PACKAGES}", *keyring, suite, str(folder), source.uri)
    _do("mount", "-t", "proc", "proc", str(folder / "proc"))
    for shared in ("sys", "dev"):
        _do("mount", "--rbind", f"/{shared}", str(folder / shared))
    _copy_settings(folder, source)
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    sources = folder / "etc/apt/sources.list.d"
    (folder / "etc/apt/sources.list").unlink(missing_ok=True)
    sources.mkdir(exist_ok=True)
    (sources / "own.sources").write_text(source.deb822(architecture.stdout.strip()))
    machine.run("root", "update-ca-certificates", folder="/")
    machine.run("root", "apt-get", "update", "-qq", folder="/")
    machine.run("root", "useradd", "--create-home", "--uid", str(USER), "user", folder="/")
    for who, home in HOMES.items():
        clone = folder / home / "chaoskit"
        _do("git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
        for settings in _PIP_OF_USER:
            _copy(Path.home() / settings, folder / home / settings)
        if who != "root":
            _do("chown", "-R", f"{USER}:{USER}", str(folder / home))


def _copy_settings(folder: Path, source: Source) -> None:
    """What this machine says about names, certificates, apt and pip; folders that pip reads become visible inside."""
    for name in ("/etc/hosts", "/etc/resolv.conf", "/etc/pip.conf", "/usr/local/share/ca-certificates"):
        _copy(Path(name), folder / name[1:])
    for name in _APT:
        _copy(Path("/etc/apt") / name, folder / "etc/apt" / name)
    if source.signed_by.startswith("/") and not (folder / source.signed_by[1:]).exists():
        _copy(Path(source.signed_by), folder / source.signed_by[1:])
    files = [Path("/etc/pip.conf"), *(Path.home() / name for name in _PIP_OF_USER)]
    texts = [file.read_text() for file in files if file.is_file()]
    for local in local_folders([*texts, *(value for name, value in os.environ.items() if name.startswith("PIP_"))]):
        inside = folder / str(local)[1:]
        inside.mkdir(parents=True, exist_ok=True)
        _do("mount", "--bind", "-o", "ro", str(local), str(inside))


def _try_venv(machine: Machine) -> None:
    machine.run("root", "sh", "-c", "apt-get purge -y -qq 'python3*-venv'", folder="/")
    done = machine.run("user", "make", "setup")
    told = [line for line in done.stdout.splitlines() if not line.startswith(("PYTHON=", "make: "))]
    one = len(told) == 1 and "sudo apt-get install python3-venv" in told[0]
    machine.expect(done.returncode != 0 and one, "without python3-venv an ordinary user's set-up ends with a sentence")
    done = machine.run("root", "make", "setup")
    machine.expect(done.returncode == 0, "without python3-venv root's set-up installs it")
    # The user's other parts have it from here on, as from `sudo apt-get install python3-venv`.


def _environment() -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**passed_on, "PATH": path, "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive"}


def _copy(source: Path, target: Path) -> None:
    """A file or folder over what is there; nothing where this machine has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.is_file():
        shutil.copy(source, target)


def _do(*argv: str) -> None:
    """One step of making the machine; its output is shown when it fails, and that ends everything."""
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        say(f"{argv[0]} ended with {done.returncode}\n" + "\n".join((done.stdout + done.stderr).splitlines()[-15:]))
        raise SystemExit(2)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
