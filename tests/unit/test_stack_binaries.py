"""Finding the four programs: what the environment names, else PATH, else the cache; never a broken one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from chaoskit.errors import BadInput
from chaoskit.stack import binaries
from chaoskit.stack.binaries import NAMES, cache_folder, find, os_release, require


def program(path: Path, version: str, stream: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{path.name}, version {version} (branch: x)' >&{stream}\n")
    path.chmod(0o755)
    return path


def test_the_environment_comes_before_path_and_path_before_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "binaries" / "bookworm" / "usr" / "bin"
    for name in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        program(cache / name, "0.3.0")
    program(tmp_path / "path" / "promtool", "0.2.0")
    program(tmp_path / "path" / "prometheus-alertmanager", "0.2.1", stream=2)
    named = program(tmp_path / "own" / "p", "0.1.0+ds")
    env = {
        "PATH": f"{tmp_path}/path:/bin",
        "CHAOSKIT_CACHE": str(tmp_path / "cache"),
        "CHAOSKIT_PROMETHEUS": str(named),
    }

    found = find(env=env)
    assert [(tool.version, tool.path) for tool in found.values()] == [
        ("0.1.0+ds", named),
        ("0.2.0", tmp_path / "path" / "promtool"),
        ("0.2.1", tmp_path / "path" / "prometheus-alertmanager"),
        ("0.3.0", cache / "amtool"),
    ]
    assert require(env=env).versions == {
        "prometheus": "0.1.0+ds", "promtool": "0.2.0", "alertmanager": "0.2.1", "amtool": "0.3.0",
    }  # fmt: skip
    assert require("bookworm", env=env).promtool == cache / "promtool"


def test_this_systems_own_generation_comes_first(tmp_path: Path) -> None:
    for generation in ("aaa", os_release().get("VERSION_CODENAME") or "zzz"):
        program(tmp_path / "binaries" / generation / "usr/bin/promtool", f"1.{len(generation)}")
    own = os_release().get("VERSION_CODENAME")
    found = find(env={"PATH": "/bin", "CHAOSKIT_CACHE": str(tmp_path)})
    assert found["promtool"].path == tmp_path / "binaries" / (own or "aaa") / "usr/bin/promtool"


def test_a_program_that_does_not_answer_in_time_is_said_with_how_long_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_ANSWER_S", 0.2)
    program(tmp_path / "amtool", "1.0").write_text("#!/bin/sh\nexec sleep 60\n")
    found = find(env={"PATH": f"{tmp_path}:/bin", "CHAOSKIT_CACHE": str(tmp_path / "none")})
    assert found["amtool"].path is None
    assert "did not answer --version within 0.2 s" in found["amtool"].problem


def test_everything_missing_is_listed_with_the_command_that_mends_it(tmp_path: Path) -> None:
    program(tmp_path / "amtool", "1.0")
    with pytest.raises(BadInput) as caught:
        require(env={"PATH": f"{tmp_path}:/bin", "CHAOSKIT_CACHE": str(tmp_path / "none")})
    assert [str(problem) for problem in caught.value.problems] == [
        "prometheus, promtool, alertmanager: not found (install with: chaoskit doctor --install)"
    ]
    with pytest.raises(BadInput, match="--suite trixie"):
        require("trixie", env={"CHAOSKIT_CACHE": str(tmp_path)})


def test_a_program_that_is_named_but_not_there_is_not_replaced_by_another(tmp_path: Path) -> None:
    program(tmp_path / "promtool", "1.0")
    found = find(env={"PATH": f"{tmp_path}:/bin", "CHAOSKIT_PROMTOOL": "/nowhere/promtool"})
    assert found["promtool"].path is None
    assert found["promtool"].problem == "/nowhere/promtool (from CHAOSKIT_PROMTOOL) does not exist"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("#!/bin/sh\necho cannot load libc >&2; exit 127\n", "does not tell its version: cannot load libc"),
        ("#!/no/such/interpreter\n", "does not run: No such file or directory"),
        ("#!/bin/sh\nexit 0\n", "does not tell its version: exit 0"),
    ],
)
def test_a_program_that_does_not_run_is_not_found(tmp_path: Path, script: str, problem: str) -> None:
    broken = tmp_path / "amtool"
    broken.write_text(script)
    broken.chmod(0o755)
    for _ in range(2):
        tool = find(env={"PATH": f"{tmp_path}:/bin", "CHAOSKIT_CACHE": str(tmp_path / "none")})["amtool"]
        assert tool.path is None
        assert tool.problem == f"{broken} (from PATH) {problem}"
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # as what nohup ignores: then it is started another way
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)


def test_the_cache_lies_where_the_environment_says() -> None:
    assert cache_folder({"CHAOSKIT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/chaoskit")
    assert cache_folder({}) == Path.home() / ".cache" / "chaoskit"


@pytest.mark.stack
def test_the_real_programs_tell_their_versions() -> None:
    found = require()
    assert set(found.versions) == set(NAMES)
    assert found.versions["prometheus"][0] in "23"
    assert found.versions["alertmanager"].startswith("0.")
