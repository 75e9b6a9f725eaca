"""Fill the private cache with Prometheus and Alertmanager from the machine's own Debian or Ubuntu, without root.

apt gets a small world of its own: its sources, package lists, archives and state lie in a temporary folder, so
the system's apt is neither locked nor changed. Keys, proxies and credentials for mirrors are the machine's. The
packages are verified by apt as always (signed Release, hashes from it), unpacked and never configured: no service
is installed. The result appears in one rename, under a lock, or not at all.

Debian's Alertmanager insists on its default templates at an absolute path, which only root could provide. The
private copy is relocated: that one path inside it loses its leading slash (and gains a trailing one, for the
length must stay), so that it means the unpacked templates when started from the generation's folder, as
`monitoring.start_alertmanager` does. It is started once before it counts as installed.

    <cache>/binaries/<generation>/usr/bin/{prometheus,promtool,prometheus-alertmanager,amtool}
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email import message_from_string
from pathlib import Path

from chaoskit.errors import BadInput, ChaoskitError, EquipmentError, Place, Problem
from chaoskit.host.ports import reserve
from chaoskit.host.process import run, wait_until
from chaoskit.stack.binaries import ELSEWHERE, INSTALL, NAMES, Binaries, cache_folder, cached, os_release
from chaoskit.stack.monitoring import start_alertmanager

Progress = Callable[[str], None]

_PACKAGES = ("prometheus", "prometheus-alertmanager")
_OPTIONAL = ("promtool",)  # inside prometheus up to Debian 12, a package of its own since
_ORIGINS = ("Debian", "Ubuntu")
_LOCK_WAIT_S = 300.0
_STEP_S = 300.0
_TEMPLATES = b"/usr/share/prometheus/alertmanager"
_SMALLEST_CONFIG = "route: {receiver: nowhere}\nreceivers: [{name: nowhere}]\n"
_NO_APT = Problem(
    None,
    "Prometheus and Alertmanager can be installed for you on Debian and Ubuntu only",
    "elsewhere put prometheus, promtool, alertmanager and amtool on PATH, such as with "
    "`brew install prometheus alertmanager` or from the official release archives (compare their SHA-256), "
    "or name them in CHAOSKIT_PROMETHEUS, CHAOSKIT_PROMTOOL, CHAOSKIT_ALERTMANAGER and CHAOSKIT_AMTOOL",
)
_TOOLS = ("apt-get", "apt-cache", "dpkg", "dpkg-deb")


def install(
    suite: str | None = None,
    *,
    cache: Path | None = None,
    progress: Progress = lambda text: None,
    apt_folder: Path = Path("/etc/apt"),
    release: Mapping[str, str] | None = None,
) -> Path:
    """Make sure that the cache holds the four programs, and give the folder of that generation.

    The generation is the machine's own (`bookworm`), or `suite`, taken from the machine's Debian archive; one that
    is there already is left as it is. Raises BadInput where there is no apt or no such source or the cache cannot be
    written, EquipmentError when a step of apt fails.
    """
    release = os_release() if release is None else release
    codename = release.get("VERSION_CODENAME", "")
    if any(shutil.which(tool) is None for tool in _TOOLS) or not codename:
        raise BadInput(_NO_APT)
    generation = suite or codename
    folder = (cache or cache_folder()) / "binaries"
    target = folder / generation
    with _written(folder), _locked(folder / ".lock", progress):
        if all(cached(name, target) for name in NAMES):
            progress(f"{target} is complete")
            return target
        for left_behind in (*folder.glob(".new-*"), *folder.glob(".old-*")):  # by one that was killed
            shutil.rmtree(left_behind)
        sources = _sources(generation, codename, apt_folder)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as name:
            unpacked = _fetch(Path(name), sources, progress)
            missing = [each for each in NAMES if not cached(each, unpacked)]
            if missing:
                raise EquipmentError(
                    "apt", f"{generation}'s packages hold no {', '.join(missing)}", "take another --suite"
                )
            _relocate(unpacked)
            _prove(unpacked, Path(name))
            _put_in_place(unpacked, target)
    progress(f"{target} is complete")
    return target


def _sources(generation: str, codename: str, apt_folder: Path) -> list[Source]:
    own = own_archive(machine_sources(apt_folder), codename)
    sources = own if generation == codename else at_suite(own, generation, codename)
    if not sources:
        raise BadInput(
            Problem(
                None,
                f"{apt_folder} names no source of {codename} main",
                "add the distribution's own source there, or put the programs on PATH: " + ", ".join(NAMES),
            )
        )
    return sources


def _fetch(work: Path, sources: Sequence[Source], progress: Progress) -> Path:
    """Update, download and unpack, all below `work`; gives the folder with the unpacked tree."""
    options = ["-c", str(_private_apt(work, sources))]
    archives, unpacked = work / "archives", work / "root"
    for folder in (archives, unpacked):
        folder.mkdir()
    progress("reading the package lists of " + ", ".join(sorted({source.suite for source in sources})))
    _run(["apt-get", *options, "update"], work)
    if not _candidate(_PACKAGES[0], options, work):  # Lists that could not be fetched are no error to apt by itself.
        _run(["apt-get", *options, "update", "-o", "APT::Update::Error-Mode=any"], work)
    packages = list(_PACKAGES)
    packages += [name for name in _OPTIONAL if _candidate(name, options, work)]
    progress("downloading " + ", ".join(packages))
    _run(["apt-get", *options, "download", *packages], archives)
    for package in sorted(archives.glob("*.deb")):
        progress(f"unpacking {package.name}")
        _run(["dpkg", "-x", str(package), str(unpacked)], work)
    return unpacked


def _relocate(unpacked: Path) -> None:
    """Let Alertmanager look for its default templates below the folder that it is started from."""
    program = cached("alertmanager", unpacked)
    if program is None:
        return
    relative = _TEMPLATES.removeprefix(b"/") + b"/"
    # Longer paths that begin alike name the user interface, which has a flag of its own.
    moved, count = re.subn(re.escape(_TEMPLATES) + rb"(?!/)", relative, program.read_bytes())
    if count:
        mode = program.stat().st_mode
        program.unlink()
        program.write_bytes(moved)
        program.chmod(mode)


def _prove(unpacked: Path, work: Path) -> None:
    """Start the unpacked Alertmanager once; raises EquipmentError with its log when it does not serve."""
    programs = Binaries(**{name: cached(name, unpacked) or Path(name) for name in NAMES}, versions={})
    config = work / "alertmanager.yml"
    config.write_text(_SMALLEST_CONFIG)
    start_alertmanager(programs, config, work / "data", reserve(1)[0], work / "alertmanager.log").stop()


def _private_apt(work: Path, sources: Sequence[Source]) -> Path:
    """apt's own world below `work`; gives the configuration file that describes it.

    It is read after the machine's, so what it says holds. Hooks of the machine are cleared: they are about the
    machine's own lists. Versions of any other origin than the distributions' may not be chosen.
    """
    for folder in ("lists/partial", "cache/archives/partial", "sources"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    architecture = _run(["dpkg", "--print-architecture"], work).strip()
    stanzas = "\n".join(source.deb822(architecture) for source in sources)
    (work / "sources" / "own.sources").write_text(stanzas)
    allowed = "".join(f"Package: *\nPin: release o={origin}\nPin-Priority: 500\n\n" for origin in _ORIGINS)
    (work / "preferences").write_text(allowed + "Package: *\nPin: release *\nPin-Priority: -1\n")
    (work / "none").mkdir()
    config = work / "apt.conf"
    config.write_text(
        f"""\
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{work}/sources";
Dir::Etc::preferences "{work}/preferences";
Dir::Etc::preferencesparts "{work}/none";
Dir::State "{work}";
Dir::State::lists "{work}/lists";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Cache::archives "{work}/cache/archives";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
    )
    return config


def _candidate(package: str, options: Sequence[str], work: Path) -> bool:
    """Whether a version of the package may be downloaded."""
    policy = _run(["apt-cache", *options, "policy", package], work)
    match = re.search(r"Candidate: (\S+)", policy)
    return bool(match and match[1] != "(none)")


def _run(argv: Sequence[str], cwd: Path) -> str:
    """Run one step in plain English; raises EquipmentError with what it said when it fails."""
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    name = argv[0]
    try:
        done = run(argv, _STEP_S, cwd=cwd, env=env)
    except subprocess.TimeoutExpired:
        raise EquipmentError(
            name, f"{' '.join(argv)} took more than {_STEP_S:g} s", "see that the package mirror answers"
        ) from None
    if done.returncode:
        complaints = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        told = [line for line in complaints if line.startswith(("E:", "W:", "Err:"))] or complaints[-10:]
        verb = next((word for word in argv[1:] if word[0] not in "-/"), "")
        raise EquipmentError(name, f"{verb or argv[1]} failed with {done.returncode}", "\n".join(told))
    return done.stdout


@contextlib.contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Make the folder, but no home folder; raises BadInput naming the cache for each OSError in the block."""
    home = Path(os.environ.get("HOME", "/"))
    if folder.is_relative_to(home) and not home.is_dir():
        raise BadInput(Problem(Place(str(home)), "the home folder is not there", ELSEWHERE))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        where = Place(str(error.filename or folder))
        raise BadInput(Problem(where, f"the cache cannot be written: {error.strerror}", ELSEWHERE)) from None


@contextlib.contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the file's lock; a second process waits for the first, which may save it all work."""
    with path.open("a") as lock:

        def take() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not take():
            progress("waiting for another installation to end")
            wait_until(take, timeout_s=_LOCK_WAIT_S, what=f"the lock {path} is free")
        yield


def _put_in_place(unpacked: Path, target: Path) -> None:
    """Rename, so that the generation is whole or not there; an incomplete older one makes way."""
    if target.exists():
        aside = target.with_name(f".old-{target.name}-{os.getpid()}")
        target.rename(aside)
        unpacked.rename(target)
        shutil.rmtree(aside)
    else:
        unpacked.rename(target)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `python -m chaoskit.stack.install [--suite SUITE]`, for the Makefile; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m chaoskit.stack.install",
        description=f"Fill the private cache with Prometheus and Alertmanager (the same as {INSTALL}).",
    )
    parser.add_argument("--suite", help="another suite of the machine's Debian archive, such as trixie")
    parsed = parser.parse_args(arguments)
    try:
        install(parsed.suite, progress=_tell)
    except ChaoskitError as error:
        _tell(str(error))
        return int(error.exit_code)
    return 0


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


_COMPONENTS = ("main", "universe")  # Ubuntu keeps Prometheus in universe
_POCKETS = ("", "-updates", "-security", "/updates")
_ALIASES = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")
_SCHEMES = ("http:", "https:", "file:", "copy:", "mirror:", "mirror+", "tor+")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


@dataclass(frozen=True, slots=True)
class Source:
    """One archive at one suite; `signed_by` is a keyring's path, a fingerprint, or a whole key block."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def deb822(self, architecture: str) -> str:
        """The stanza for a `.sources` file: the package index for this architecture, nothing else."""
        stanza = (
            f"Types: deb\nURIs: {self.uri}\nSuites: {self.suite}\nComponents: {' '.join(self.components)}\n"
            f"Architectures: {architecture}\nTargets: Packages\n"
        )
        return stanza + (f"Signed-By: {self.signed_by}\n" if self.signed_by else "")


def machine_sources(apt_folder: Path) -> list[Source]:
    """Every enabled binary source in `sources.list` and `sources.list.d` (one-line and deb822 forms).

    Third parties' are left out later; options that switch verification off are not taken over.
    """
    listed = [apt_folder / "sources.list", *sorted((apt_folder / "sources.list.d").glob("*.list"))]
    stanzas = sorted((apt_folder / "sources.list.d").glob("*.sources"))
    found: list[Source] = []
    for file in listed:
        if file.is_file():
            found += _one_line(file.read_text(errors="replace"))
    for file in stanzas:
        found += _deb822(file.read_text(errors="replace"))
    return found


def own_archive(sources: list[Source], codename: str) -> list[Source]:
    """The sources that look like the distribution's own: its codename (or an alias such as `stable`) and main."""
    suites = {name + pocket for name in (codename, *_ALIASES) if name for pocket in _POCKETS}
    own = []
    for source in sources:
        components = tuple(each for each in source.components if each in _COMPONENTS)
        if source.suite in suites and "main" in components and source.uri.startswith(_SCHEMES):
            own.append(replace(source, components=components))
    return own


def at_suite(own: list[Source], suite: str, codename: str) -> list[Source]:
    """This archive's base source at another suite of Debian or Ubuntu; security and updates are suites of their own."""
    base = [source for source in own if source.suite in (codename, *_ALIASES)]
    return [replace(source, suite=suite) for source in base]


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match:
            options = dict(re.findall(r"([\w-]+)\+?=(\S+)", match["options"] or ""))
            signed_by = options.get("signed-by", "").replace(",", " ")
            yield Source(match["uri"], match["suite"], tuple(match["components"].split()), signed_by)


def _deb822(text: str) -> Iterator[Source]:
    for paragraph in re.split(r"\n[ \t]*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = message_from_string(paragraph.lstrip())  # a key block keeps its lines
        if fields.get("enabled", "yes").lower() in ("no", "false", "off", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(uri, suite, components, fields.get("signed-by", "").strip(" "))


if __name__ == "__main__":
    raise SystemExit(main())
