"""Handles with `via:`: read, refused with a sentence, offered to those faults alone that the adapter bears."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit.adapters import base, path
from chaoskit.adapters.base import Adapter, client, program
from chaoskit.adapters.docs import render
from chaoskit.adapters.queues import place
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import BadInput, Refused
from chaoskit.examine.preflight import refuse_unconfirmed
from chaoskit.faults.base import Changeable, Fault, FaultError, Made, Settings, Target
from chaoskit.faults.process import _Replacements
from chaoskit.faults.processes import find, lives, prepare, vouched
from chaoskit.faults.registry import known, known_actions
from chaoskit.faults.through import _ThroughFault
from chaoskit.handles import handle_kinds, ways
from chaoskit.handles.address import Address
from chaoskit.run.inject import order
from chaoskit.run.planning import Asked, plan_for
from chaoskit.scenario.model import Handles
from chaoskit.scenario.profile import PROFILE, load_profile
from chaoskit.waiting import await_true
from tests.attached_system import write_bundle
from tests.unit.test_faults_plugin import installed, python

TARGET = "{attached: {prometheus: 'http://p', alertmanager: 'http://a', metrics: 'http://m', environment: staging}}"
HEAD = f"chaoskit: 1\ntarget: {TARGET}\nhandles:\n  "
ADAPTERS = [way for way in ways().values() if issubclass(way, Adapter)]
each_adapter = pytest.mark.parametrize("way", ADAPTERS, ids=lambda way: way.via)


def handles(text: str, file: str = "staging.yml") -> Handles:
    return load_profile(HEAD + text + "\n", file).handles


def complaints(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        handles(text)
    return [str(one) for one in caught.value.problems]


def test_the_page_is_what_the_registry_renders() -> None:
    """Renew it with `python -m chaoskit.adapters.docs > docs/handles.md`."""
    assert (Path(__file__).parents[2] / "docs" / "handles.md").read_text(encoding="utf-8") == render()


@each_adapter
def test_every_adapter_shows_how_a_profile_names_it_and_how_it_is_seen_undone_and_ended(
    way: type[Adapter],
) -> None:
    [(handle, one)] = handles(way.example).each()
    assert (type(one), handle.partition(":")[0]) == (way, way.kind)
    assert one.attached
    assert way.seen_by
    assert way.undone_by
    assert way.ends or way.endless_kinds
    assert {*way.endless_kinds} <= {one.kind for one in way.faults()}
    assert handle.partition(":")[0] in handle_kinds()


@each_adapter
def test_what_acts_through_an_adapter_is_a_known_kind_with_the_same_settings(way: type[Adapter]) -> None:
    for one in way.faults():
        kind = {**known(), **known_actions()}[one.kind]
        assert kind.by_via[way.via].settings is kind.settings  # type: ignore[attr-defined]
        assert way.kind in kind.handles


@each_adapter
def test_the_schema_has_the_keys_of_every_adapter(way: type[Adapter]) -> None:
    schema = PROFILE.schema["properties"]["handles"]["properties"][way.kind]["additionalProperties"]
    [found] = [one for one in schema["anyOf"] if one["properties"].get("via") == {"const": way.via}]
    assert {*found["properties"]} == {*way.key_names(), "via"}
    assert "via" in found["required"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("database: {a: {via: postgers, table: t}}", "cannot be the text 'postgers' (did you mean 'postgres'?)"),
        ("database: {a: {via: rq, queue: q}}", "cannot be the text 'rq' (there are: postgres)"),
        ("database: {a: {via: postgres, table: t}}", "the database 'a' needs 'dsn_file'"),
        ("database: {a: {via: postgres, table: t, dsn_file: f, lock: some}}", "'lock' cannot be 'some'"),
        ("queue: {q: {via: rq, queue: q}}", "the queue 'q' needs 'url'"),
        ("queue: {q: {via: rq, queue: q, url: 'redis://:secret@h'}}", "'url' carries a password"),
        ("queue: {q: {via: redis-list, queue: q, url: 'redis://h', message: x}}", "'message' has no {id}"),
        ("queue: {q: {via: redis-list, queue: q, url: 'redis://h', push: up}}", "'push' cannot be 'up' (write right"),
        ("link: {l: {via: nft, to: 'example.com:1'}}", "'to' is no address and port"),
        ("link: {l: {via: nft, to: '127.0.0.1:0'}}", "'to' is no address and port: 0 is no port"),
        ("link: {l: {via: tc, dev: 'a b'}}", "'dev' is no name of a device"),
        ("link: {l: {via: toxiproxy, url: 'ftp://x', proxy: p}}", "'url' is no address of Toxiproxy's API"),
        ("slice: {s: {via: cgroup, path: /../x}}", "'path' is no path of a control group"),
        ("slice: {s: {via: path, path: data}}", "'path' is no whole path"),
        ("role: {w: {via: docker, container: c, socket: 'tcp://h'}}", "'socket' must be a socket of this host"),
        ("role: {w: {via: supervisor, program: p, server: 'http://10.0.0.1'}}", "must be supervisord's of this host"),
        ("role: {w: {via: systemd, unit: u, host: app-1}}", "'host' is not read yet: faults act on the host on which"),
        ("role: {w: {match: 'x (?P<name>.)', host: app-1}}", "'host' is not read yet"),
        ("role: {w: {match: 'x (?P<name>.)', pick: newest}}", "'pick' cannot be 'newest' (write oldest or each)"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_with_a_sentence(text: str, said: str) -> None:
    [problem] = complaints(text)
    assert said in problem
    assert problem.startswith("staging.yml:4: ")
    assert "secret" not in problem


def test_a_handle_of_the_old_spelling_is_what_it_was_and_via_match_is_the_same() -> None:
    old = handles(r"role: {worker: {match: 'w (?P<name>\S+)', label: worker_name}}").of("role")["worker"]
    new = handles(r"role: {worker: {via: match, match: 'w (?P<name>\S+)', label: worker_name}}").of("role")["worker"]
    assert old == new
    assert old.at_attached("").via == ""


def test_a_file_lies_beside_the_profile_and_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    text = "database: {a: {via: postgres, table: t, dsn_file: s/dsn}}\n  role: {w: {via: supervisor, program: w}}"
    found = handles(text, str(tmp_path / "p.yml"))
    keys = found.of("database")["a"].at_attached("").keys
    assert keys == {"table": "t", "dsn_file": str(tmp_path / "s" / "dsn")}
    assert found.of("role")["w"].at_attached("").keys == {"program": "w", "server": "unix:///var/run/supervisor.sock"}


def test_a_client_that_is_not_installed_is_said_with_its_command() -> None:
    with pytest.raises(FaultError, match=r"via: rq needs the Python package no_such_client.*'chaoskit\[rq\]'"):
        client("no_such_client", "rq")


def test_clients_are_imported_only_where_they_are_used() -> None:
    code = "import sys; from chaoskit.faults.registry import known; known(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name for name in ("psycopg", "redis", "rq", "pika", "docker") if f"'{name}'" in done.stdout}
    assert loaded == set()


def test_a_program_that_fails_is_told_in_its_own_words() -> None:
    with pytest.raises(FaultError, match="there is no program no-such-program on this host"):
        program("no-such-program")
    with pytest.raises(FaultError, match="ended with 3: it is broken"):
        program("sh", "-c", "echo it is broken >&2; exit 3")
    with pytest.raises(FaultError, match=r"gave no answer within 0\.1 s"):
        program("sleep", "5", within_s=0.1)


def test_a_program_ends_with_the_process_that_started_it() -> None:
    asking = [sys.executable, "-c", "from chaoskit.adapters.base import program; program('sleep', '616')"]
    with subprocess.Popen(asking) as asker:
        found: list[psutil.Process] = []

        def asked() -> bool:
            found[:] = [one for one in psutil.Process(asker.pid).children() if one.cmdline()[-1:] == ["616"]]
            return bool(found)

        assert await_true(asked, 30)
        asker.kill()
    assert await_true(lambda: not found[0].is_running() or found[0].status() == psutil.STATUS_ZOMBIE, 10)


def test_a_token_is_obeyed_only_for_the_journals_own_target(tmp_path: Path) -> None:
    target = Target("link:l", ("127.0.0.1:9",), Address(via="nft", keys={"to": "127.0.0.1:9"}, max_s=30.0))
    undo = {**base.token(target), "via": "nft"}
    made = Made(tmp_path, target.names, {}, target.address.journaled())
    assert known()["tcp.reset"].vouch(undo, made).endswith("of nftables")
    for wrong in ({"at": {"to": "127.0.0.1:10"}}, {"id": "filter"}, {"id": "chaoskit_x; flush ruleset"}):
        with pytest.raises(FaultError):
            known()["tcp.reset"].vouch({**undo, **wrong}, made)
    with pytest.raises(FaultError):
        known()["tcp.reset"].vouch(undo, Made(tmp_path, target.names, {}, {}))
    with pytest.raises(FaultError, match="cannot be done via elsewhere: name one of nft, toxiproxy"):
        known()["tcp.reset"].stop({**undo, "via": "elsewhere"})


def test_a_kind_that_needs_an_adapter_refuses_a_handle_without(tmp_path: Path) -> None:
    for kind, settings in (("process.stop", Settings()), ("net.delay", None)):
        with pytest.raises(FaultError, match=f"{kind} needs a handle with via:"):
            known()[kind].prepare(Target("role:w", ("w",)), settings)


@pytest.mark.parametrize(
    ("kind", "handle", "at", "said"),
    [
        ("db.slow", "link:l", {"via": "nft", "to": "127.0.0.1:9"}, "db.slow cannot act on 'link:l'"),
        ("http.error", "link:l", {"via": "nft", "to": "127.0.0.1:9"}, "http.error cannot be done via nft"),
        ("disk.fill", "slice:s", {"via": "path", "path": "/tmp"}, r"does not end by itself.*add --confirm slice:s"),
        ("disk.fill", "slice:s", {"via": "path", "path": "/no/such"}, "there is no folder /no/such"),
        ("db.slow", "database:d", {"via": "postgres", "tabel": "t"}, "'tabel' is not a key of the database 'd'"),
    ],
)
def test_an_adapter_by_hand_is_judged_like_one_of_a_profile(
    kind: str, handle: str, at: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaoskit.adapters.nft.program", lambda *argv, **more: '{"nftables": []}')
    with pytest.raises(BadInput, match=said):
        order(kind, handle, (), at, {"size": "1MiB"} if kind == "disk.fill" else {}, 5)


def test_an_endless_effect_by_hand_is_confirmed_by_its_handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system is counted by this folder: whatever else of the machine is written or removed meanwhile."""
    monkeypatch.setattr(path, "_free", lambda of: 2**30 - sum(one.stat().st_size for one in Path(of).iterdir()))
    at = {"via": "path", "path": str(tmp_path)}
    size = 16 * 2**20  # large beside what other processes of this machine free meanwhile
    asked = order("disk.fill", "slice:s", (), at, {"size": "16MiB"}, 5, "slice:s")
    assert asked.target.names == (str(tmp_path),)
    undo = asked.kind.prepare(asked.target, asked.settings)
    assert list(tmp_path.iterdir()) == []
    asked.kind.start(undo)
    assert [one.stat().st_size for one in tmp_path.iterdir()] == [size]
    made = Made(tmp_path, asked.target.names, {"size": size}, asked.target.address.journaled())
    assert asked.kind.vouch(undo, made).startswith(f"removes {tmp_path}")
    with pytest.raises(FaultError):
        asked.kind.vouch({**undo, "file": f"/etc/{Path(undo['file']).name}"}, made)
    with pytest.raises(FaultError, match="the journal knows of no target at"):
        asked.kind.vouch({**undo, "at": {"path": "/etc"}}, made)
    asked.kind.stop(undo)
    asked.kind.stop(undo)
    assert list(tmp_path.iterdir()) == []


def test_queues_refuse_dead_letters_that_cannot_fail_again_or_have_no_place() -> None:
    letters = known()["queue.dead-letters"]
    failing = letters.settings.model_validate({"level": 1, "replayable": False})
    refused = {via: letters.by_via[via].beyond(failing, {}) for via in ("rq", "redis-list")}  # type: ignore[attr-defined]
    assert refused == {
        "rq": "",
        "redis-list": "this queue's dead letters cannot be made so that a replay fails: write replayable: true",
    }
    with pytest.raises(FaultError, match="the queue q names no dead: for its dead letters"):
        place({"queue": "q"}, "dead_letters")


def test_nft_and_toxiproxy_refuse_what_they_cannot_dose() -> None:
    reset = known()["tcp.reset"].by_via  # type: ignore[attr-defined]
    half = known()["tcp.reset"].settings.model_validate({"ratio": 0.5})
    path = known()["tcp.reset"].settings.model_validate({"path": "/pay"})
    assert reset["nft"].beyond(half, {}) == "tcp.reset takes no ratio and no path with nft: leave both out"
    assert reset["toxiproxy"].beyond(half, {}) == ""
    assert "limits.connections" in reset["toxiproxy"].beyond(half, {"connections": 0.1})
    assert reset["toxiproxy"].beyond(path, {}) == "tcp.reset takes no path with Toxiproxy: leave path out"
    assert not isinstance(reset["nft"], Changeable)
    assert isinstance(reset["toxiproxy"], Changeable)


@pytest.fixture
def twins() -> Any:
    """Two processes with one title, the older first."""
    title = f"twins-of-{os.getpid()}"
    code = f"import time; time.sleep(600)  # {title}"
    found = []
    for _ in range(2):
        found.append(subprocess.Popen([sys.executable, "-c", code]))
        # Which is older is told in hundredths of a second.
        assert await_true(lambda: time.time() - psutil.Process(found[-1].pid).create_time() > 0.1, 5)
    yield rf".*(?P<name>{title})", title, [one.pid for one in found]
    for one in found:
        one.kill()
        one.wait()


def test_a_process_whose_number_another_had_before_is_found_alive(twins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, name, pids = twins
    for each in psutil.process_iter():
        if each.pid in pids:
            monkeypatch.setattr(each, "_ident", (each.pid, 0.0))  # as of one that had the number before
    assert lives(find(pattern)[name])


def test_of_several_processes_with_one_name_the_oldest_or_each_is_hit_where_that_is_said(twins: Any) -> None:
    pattern, name, pids = twins
    with pytest.raises(FaultError, match=rf"\(pids {pids[0]}, {pids[1]}\).*write pick: oldest or pick: each"):
        prepare(Target("role:w", (name,), Address(pattern=pattern)))
    oldest = prepare(Target("role:w", (name,), Address(pattern=pattern, pick="oldest")))
    each = prepare(Target("role:w", (name,), Address(pattern=pattern, pick="each")))
    assert [one["pid"] for one in oldest["victims"]] == pids[:1]
    assert [one["pid"] for one in oldest["spared"]] == pids[1:]
    assert [one["pid"] for one in each["victims"]] == pids
    made = Made(Path(), (name,), {}, {})
    assert vouched(each, made) == f"process {pids[0]} ({name}), process {pids[1]} ({name})"
    pause = known()["process.pause"]
    pause.start(each)
    assert [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] for pid in pids] == ["T", "T"]
    pause.stop(each)
    assert [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] for pid in pids] != ["T", "T"]


def test_a_twin_that_is_spared_is_not_taken_for_a_replacement(twins: Any) -> None:
    pattern, name, pids = twins
    kill = known()["process.kill"]
    undo = kill.prepare(
        Target("role:w", (name,), Address(pattern=pattern, pick="oldest")), kill.settings.model_validate({"hold": True})
    )
    watch = _Replacements(undo)
    watch.look()
    watch._scanned = 0.0
    assert watch.missed() == ""
    assert Path(f"/proc/{pids[1]}/stat").read_text().rpartition(") ")[2][0] != "T"


PLUGIN = '''
from dataclasses import dataclass
from chaoskit.adapters.base import Adapter, token
from chaoskit.faults.base import Seen
from chaoskit.faults.database import DbError

@dataclass(frozen=True, kw_only=True)
class Mine(Adapter):
    """A database of mine."""
    kind = "database"
    via = "mine"
    seen_by = undone_by = ends = "me"
    name: str
    @classmethod
    def faults(cls):
        return (MineError(),)
    def look(self):
        return (self.name,)

class MineError(DbError):
    kind = "db.error"
    def prepare(self, target, settings):
        return token(target)
    def start(self, undo):
        return Seen((1.0, 2.0), "mine " + undo["at"]["name"])
'''
USE = """
from chaoskit.run.inject import order
from chaoskit.run.planning import Asked, plan_for
asked = order("db.error", "database:d", (), {"via": "mine", "name": "n"}, {}, 5)
print(asked.kind.start(asked.kind.prepare(asked.target, asked.settings)).detail)
"""


def test_an_adapter_of_another_package_is_plugged_in_alike_and_a_broken_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine_adapter.py").write_text(PLUGIN)
    installed(tmp_path, "mine", "[chaoskit.adapters]\nmine = mine_adapter:Mine\n")
    assert python(tmp_path, "-c", USE).stdout == "mine n\n"
    installed(tmp_path, "broken", "[chaoskit.adapters]\nlost = json:JSONDecoder\n")
    done = python(tmp_path, "-m", "chaoskit", "list", "--handles")
    assert done.returncode == 2
    assert "adapter 'lost' (json:JSONDecoder): lacks" in done.stderr


def test_journals_note_the_way_and_never_more_than_where_a_secret_lies(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://u:hush@h/d")
    found = handles("database: {a: {via: postgres, table: t, dsn_file: dsn}}", str(tmp_path / "p.yml"))
    noted = json.dumps(found.of("database")["a"].at_attached("").journaled())
    assert '"via": "postgres"' in noted
    assert "hush" not in noted


def test_a_plan_says_what_does_not_end_by_itself_and_a_run_wants_it_confirmed(tmp_path: Path) -> None:
    bundle, profile, scenario = write_bundle(tmp_path / "bundle"), tmp_path / "staging.yml", tmp_path / "drill.yml"
    data, link = f"slice: {{data: {{via: path, path: {tmp_path}}}}}", "link: {db: {via: path, path: /}}"
    steps = "  - inject: disk.fill\n    target: {slice: data}\n    with: {size: 1MiB}\n  - wait: 5s\n"
    scenario.write_text(f"chaoskit: 1\ntitle: t\nrunbook: r\nsteps:\n{steps}expect: nothing\n")
    profile.write_text(f"{HEAD}{data}\n")
    plan = plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle)))[0]
    assert plan.endless == ("slice:data",)
    assert [one for one in plan.warnings if "a run wants --confirm slice:data" in one]
    with pytest.raises(Refused) as caught:
        refuse_unconfirmed([plan], "staging")
    assert [one.hint for one in caught.value.problems] == ["add --confirm slice:data"]
    refuse_unconfirmed([plan], "staging,slice:data")
    scenario.write_text(scenario.read_text().replace("disk.fill", "cpu.burn").replace("    with: {size: 1MiB}\n", ""))
    with pytest.raises(BadInput, match=r"cpu.burn cannot be done on slice:data via path \(it carries disk.fill\)"):
        plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle)))
    profile.write_text(f"{HEAD}link: {{db: {{via: nft, to: '127.0.0.1:1'}}}}\n")
    scenario.write_text(
        "chaoskit: 1\ntitle: t\nrunbook: r\nsteps:\n  - {inject: tcp.reset, as: cut, target: {link: db}}\n"
        "  - wait: 5s\n  - {change: cut, with: {ratio: 50%}}\n  - wait: 5s\nexpect: nothing\n"
    )
    with pytest.raises(BadInput, match=r"cut is tcp.reset via nft, which has no levels to change"):
        plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle)))
    profile.write_text(f"{HEAD}{link}\n")
    with pytest.raises(BadInput, match="'via' of the link 'db' cannot be the text 'path'"):
        plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle)))


def test_all_that_a_fault_does_by_its_token_is_handed_to_the_adapter() -> None:
    """A method of faults that is added and not handed on would undo with the kind's own way what an adapter did."""
    by_token = {
        name
        for kind in (Fault, Changeable)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if list(inspect.signature(method).parameters)[1:2] == ["undo"]
    }
    assert by_token >= {"start", "stop", "vouch", "change"}
    assert by_token == {name for name in vars(_ThroughFault) if not name.startswith("_")} - {"prepare"}
