"""Installing into the private cache: from the machine's own archive only, whole or not at all, verified."""

from __future__ import annotations

import fcntl
import stat
import sys
import threading
from pathlib import Path

import pytest

from chaoskit.errors import BadInput, EquipmentError
from chaoskit.stack.binaries import NAMES, cache_folder, cached
from chaoskit.stack.install import Source, at_suite, install, machine_sources, main, own_archive

RELEASE = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Stand-ins for apt and dpkg that do what is asked of them, in the order asked, and write it down.
APT_GET = """#!/bin/sh
echo "apt-get $*" >> {calls}
case "$*" in
  *update) {update} ;;
  *download*) for last; do case "$last" in prom*|alert*) touch "$last.deb" ;; esac; done ;;
esac
"""
APT_CACHE = "#!/bin/sh\necho 'promtool:'; echo '  Candidate: {promtool}'\n"
DPKG = """#!/bin/sh
[ "$1" = --print-architecture ] && echo amd64 && exit
case "$2" in *alertmanager.deb) cp -r {tree}/. "$3" ;; esac
"""
ALERTMANAGER = """#!{python}
import http.server, pathlib, sys
# at /usr/share/prometheus/alertmanager, with a flag for /usr/share/prometheus/alertmanager/ui/
pathlib.Path("/usr/share/prometheus/alertmanager".rstrip("/"), "default.tmpl").read_text()
address = next(word for word in sys.argv if word.startswith("--web.listen-address=")).partition("=")[2]
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer((address.split(":")[0], int(address.split(":")[1])), Ready).serve_forever()
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def apt_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "etc-apt"
    (folder / "sources.list.d").mkdir(parents=True)
    (folder / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with stand-ins for apt and dpkg on PATH; gives the tree that the packages unpack to."""
    tree, tools = tmp_path / "tree", tmp_path / "tools"
    for name in ("prometheus", "promtool", "amtool"):
        script(tree / "usr/bin" / name, "#!/bin/sh\n")
    script(tree / "usr/bin/prometheus-alertmanager", ALERTMANAGER.format(python=sys.executable))
    script(tree / "usr/share/prometheus/alertmanager/default.tmpl", "")
    script(tools / "apt-get", APT_GET.format(calls=tmp_path / "calls", update="true"))
    script(tools / "apt-cache", APT_CACHE.format(promtool="2.53"))
    script(tools / "dpkg", DPKG.format(tree=tree))
    script(tools / "dpkg-deb", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return tree


def test_the_machines_own_sources_are_taken_in_both_forms_and_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://commented.example/debian bookworm main\n"
        f"deb [arch=amd64 signed-by={KEYRING} trusted=yes] http://one.example/debian bookworm main contrib # ours\n"
        "deb-src http://source.example/debian bookworm main\n"
        "deb http://third.example/apt stable nonfree\n"
        "deb http://third.example/cloud cloud-sdk-bookworm main\n"
        "deb cdrom:[Debian] bookworm main\n"
    )
    (tmp_path / "sources.list.d" / "more.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: http://two.example/debian\n"
        "Suites: bookworm-updates bookworm-backports\n"
        "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    (tmp_path / "sources.list.d" / "sec.list").write_text("deb http://three.example/security bookworm-security main\n")
    (tmp_path / "sources.list.d" / "old.list.disabled").write_text("deb http://no.example bookworm main\n")
    own = own_archive(machine_sources(tmp_path), "bookworm")
    assert own == [
        Source("http://one.example/debian", "bookworm", ("main",), KEYRING),
        Source("http://three.example/security", "bookworm-security", ("main",)),
        Source(
            "http://two.example/debian", "bookworm-updates", ("main",),
            "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz",
        ),
    ]  # fmt: skip
    assert at_suite(own, "trixie", "bookworm") == [Source("http://one.example/debian", "trixie", ("main",), KEYRING)]
    assert own[0].deb822("amd64") == (
        "Types: deb\nURIs: http://one.example/debian\nSuites: bookworm\nComponents: main\nArchitectures: amd64\n"
        f"Targets: Packages\nSigned-By: {KEYRING}\n"
    )


def test_ubuntu_keeps_them_in_universe(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/ubuntu noble main restricted universe\n")
    assert own_archive(machine_sources(tmp_path), "noble")[0].components == ("main", "universe")


def test_an_installation_is_complete_relocated_proved_and_done_once(
    machine: Path, apt_folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    target = install(cache=tmp_path / "cache", apt_folder=apt_folder, release=RELEASE, progress=said.append)
    assert target == tmp_path / "cache" / "binaries" / "bookworm"
    assert all(cached(name, target) for name in NAMES)
    assert said[0] == "reading the package lists of bookworm"
    assert said[1] == "downloading prometheus, prometheus-alertmanager, promtool"
    alertmanager = cached("alertmanager", target)
    assert alertmanager
    moved = alertmanager.read_text()
    assert 'Path("usr/share/prometheus/alertmanager/"' in moved
    assert "a flag for /usr/share/prometheus/alertmanager/ui/" in moved
    assert len(moved) == len(ALERTMANAGER.format(python=sys.executable))
    assert stat.S_IMODE(alertmanager.stat().st_mode) == 0o755
    assert sorted(path.name for path in target.parent.iterdir()) == [".lock", "bookworm"]

    calls = (tmp_path / "calls").read_text()
    assert calls.count("update") == calls.count("download") == 1
    assert install(cache=tmp_path / "cache", apt_folder=apt_folder, release=RELEASE) == target
    assert (tmp_path / "calls").read_text() == calls, "a complete generation is left as it is"


def test_an_incomplete_generation_and_what_a_killed_one_left_make_way(
    machine: Path, apt_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "binaries"
    for stale in ("bookworm/usr/bin", ".new-abc/root", ".old-bookworm-1/usr"):
        (folder / stale).mkdir(parents=True)
    target = install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE)
    assert all(cached(name, target) for name in NAMES)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "bookworm"]


def test_a_failing_update_says_what_apt_said_and_leaves_nothing(
    machine: Path, apt_folder: Path, tmp_path: Path
) -> None:
    failing = "echo 'noise'; echo 'E: The repository is not signed.' >&2; exit 100"
    script(tmp_path / "tools" / "apt-get", APT_GET.format(calls=tmp_path / "calls", update=failing))
    with pytest.raises(EquipmentError, match=r"apt-get: update failed with 100 \(E: The repository is not signed\.\)"):
        install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE)
    assert [path.name for path in (tmp_path / "binaries").iterdir()] == [".lock"]


def test_lists_that_could_not_be_fetched_are_said_though_apt_calls_them_no_error(
    machine: Path, apt_folder: Path, tmp_path: Path
) -> None:
    failing = "true ;; *Error-Mode=any) echo 'E: Failed to fetch http://mirror.example/' >&2; exit 100"
    script(tmp_path / "tools" / "apt-get", APT_GET.format(calls=tmp_path / "calls", update=failing))
    script(tmp_path / "tools" / "apt-cache", APT_CACHE.format(promtool="(none)"))
    with pytest.raises(EquipmentError, match=r"update failed with 100 \(E: Failed to fetch http://mirror\.example/\)"):
        install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tree: (tree / "usr/bin/amtool").unlink(), "bookworm's packages hold no amtool"),
        (
            lambda tree: (tree / "usr/share/prometheus/alertmanager/default.tmpl").unlink(),
            r"Alertmanager: ended with 1",
        ),
    ],
    ids=["a program is missing", "Alertmanager does not start"],
)
def test_packages_that_would_not_work_are_not_put_in_place(
    spoil: object, message: str, machine: Path, apt_folder: Path, tmp_path: Path
) -> None:
    assert callable(spoil)
    spoil(machine)
    with pytest.raises(EquipmentError, match=message):
        install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE)
    assert [path.name for path in (tmp_path / "binaries").iterdir()] == [".lock"]


def test_the_second_of_two_at_once_waits_for_the_first(machine: Path, apt_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "binaries"
    folder.mkdir()
    waiting = threading.Event()
    said: list[str] = []

    def progress(text: str) -> None:
        said.append(text)
        if text.startswith("waiting"):
            waiting.set()

    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def first() -> None:
            assert waiting.wait(10)
            for name in NAMES:
                script(folder / "bookworm" / name, "#!/bin/sh\n")
            fcntl.flock(lock, fcntl.LOCK_UN)

        thread = threading.Thread(target=first)
        thread.start()
        install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE, progress=progress)
        thread.join()
    assert said == ["waiting for another installation to end", f"{folder / 'bookworm'} is complete"]
    assert not (tmp_path / "calls").exists(), "the first had done it all"


def test_without_apt_it_says_what_to_do_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHAOSKIT_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match=r"on Debian and Ubuntu only .*brew install prometheus alertmanager"):
        install(cache=tmp_path, release=RELEASE)
    assert main(["--suite", "trixie"]) == 2
    assert "CHAOSKIT_AMTOOL" in capsys.readouterr().err


def test_a_machine_without_its_own_source_is_told_so(machine: Path, apt_folder: Path, tmp_path: Path) -> None:
    (apt_folder / "sources.list").write_text("deb http://third.example/apt stable nonfree\n")
    with pytest.raises(BadInput, match="names no source of bookworm main"):
        install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE)


def test_a_cache_that_cannot_be_written_is_a_sentence_and_no_home_is_made(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("CHAOSKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "file").touch()
    cases = {str(tmp_path / "none"): "the home folder is not there", str(tmp_path / "file"): "is not there"}
    for home, said in {**cases, "/proc": "/proc/.cache: the cache cannot be written: "}.items():
        monkeypatch.setenv("HOME", home)
        assert main(["--suite", "bookworm"]) == 2
        assert f"{said}" in (told := capsys.readouterr().err)
        assert "let CHAOSKIT_CACHE name a folder" in told
    assert not (tmp_path / "none").exists()


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(BadInput, match=r"HOME names no folder, .*let CHAOSKIT_CACHE"):
        cache_folder({})
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/chaoskit")


@pytest.mark.stack
def test_the_real_apt_refuses_an_archive_without_a_signature(apt_folder: Path, tmp_path: Path) -> None:
    """Even where the machine's own entry says trusted=yes."""
    archive = tmp_path / "archive" / "dists" / "bookworm" / "main" / "binary-amd64"
    archive.mkdir(parents=True)
    (archive / "Packages").touch()
    (archive.parents[1] / "Release").write_text("Origin: Debian\nSuite: bookworm\nCodename: bookworm\n")
    (apt_folder / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/archive bookworm main\n")
    with pytest.raises(EquipmentError, match="is not signed"):
        install(cache=tmp_path, apt_folder=apt_folder, release=RELEASE)
