"""With all of chaoskit gone the effect ends by itself on the target; and an effect that is too weak is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit.adapters import base
from chaoskit.adapters.cgroup import Cgroup
from chaoskit.adapters.docker import Docker, Engine
from chaoskit.adapters.nft import Nft
from chaoskit.adapters.postgres import Postgres, PostgresSlow
from chaoskit.adapters.rabbitmq import RabbitMq
from chaoskit.adapters.rq import Rq
from chaoskit.faults import slice as slices
from chaoskit.faults.base import Fault, FaultError, Settings, Target
from chaoskit.faults.registry import known, known_actions
from chaoskit.handles.base import Handle
from chaoskit.host.slices import processor_s
from chaoskit.waiting import await_true
from tests.staging_servers import answers, docker, docker_server, postgres_server, psql, rabbit_server, redis_server

pytestmark = [pytest.mark.staging, pytest.mark.timeout(180)]
SPARE_S = 2.0


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """What is begun ends by itself after two seconds, not after fifteen."""
    monkeypatch.setattr(base, "SPARE_S", SPARE_S)
    monkeypatch.setattr(slices, "_SPARE_S", SPARE_S)
    with ExitStack() as one:
        yield one


def begun(handle: Handle, kind: str, max_s: float = 1.0, **settings: Any) -> tuple[Fault[Any], dict[str, Any]]:
    names = handle.things(lambda _: ()) or ()
    assert names, handle.unreachable("x", ())
    address = replace(handle.at_attached(""), max_s=max_s)
    fault = known()[kind]
    undo = fault.prepare(Target(f"{handle.kind}:x", names, address), fault.settings.model_validate(settings))
    fault.start(json.loads(json.dumps(undo)))
    return fault, undo


def table(stack: ExitStack, folder: Path) -> tuple[Postgres, str]:
    dsn = stack.enter_context(postgres_server())
    (folder / "dsn").write_text(dsn)
    return Postgres(table="orders", dsn_file=str(folder / "dsn")), dsn


def test_a_trigger_lets_everything_pass_after_the_deadline_in_its_text(stack: ExitStack, tmp_path: Path) -> None:
    orders, dsn = table(stack, tmp_path)
    fault, undo = begun(orders, "db.error", operation="insert")
    insert = "INSERT INTO orders (what) VALUES ('tea')"
    assert f"refused for a drill ({undo['id']})" in psql(dsn, insert)
    assert psql(dsn, "DELETE FROM orders WHERE false") == ""
    assert await_true(lambda: psql(dsn, insert) == "", 10, 0.2)
    assert "passes" in fault.lapse(undo)
    fault.stop(undo)
    assert psql(dsn, f"SELECT proname FROM pg_proc WHERE proname = '{undo['id']}'") == ""


def test_a_share_of_the_statements_is_refused_exactly_and_our_own_looks_do_not_count(
    stack: ExitStack, tmp_path: Path
) -> None:
    orders, dsn = table(stack, tmp_path)
    fault, undo = begun(orders, "db.error", max_s=60.0, ratio="40%")
    refused = []
    for number in range(1, 11):
        assert fault.lapse(undo) == ""
        if "refused for a drill" in psql(dsn, "INSERT INTO orders (what) VALUES ('tea')"):
            refused.append(number)
    assert refused == [3, 5, 8, 10]
    fault.stop(undo)
    assert psql(dsn, f"SELECT relname FROM pg_class WHERE relname = '{undo['id']}'") == ""


def test_a_lock_whose_owner_stands_still_ends_by_the_servers_own_timeout(stack: ExitStack, tmp_path: Path) -> None:
    orders, dsn = table(stack, tmp_path)
    fault = PostgresSlow()
    target = Target("database:x", ("orders",), replace(orders.at_attached(""), max_s=1.0))
    undo = fault.prepare(target, fault.settings.model_validate({"locked": "500ms", "every": "600ms"}))
    insert = "SET lock_timeout = '100ms'; INSERT INTO orders (what) VALUES ('tea')"

    def taken_and_left() -> None:
        with fault.locking(undo) as lock:
            lock.take()
            assert lock.kept_out()
            assert "error" in psql(dsn, insert)
            # From here on nothing of ours moves.
            assert await_true(lambda: psql(dsn, insert) == "", 10, 0.2)
            lock.let_go()

    with pytest.raises(FaultError, match="idle-in-transaction"):
        taken_and_left()


def test_a_table_that_another_holds_is_no_lock_of_ours(stack: ExitStack, tmp_path: Path) -> None:
    """And nothing is queued behind it for long."""
    orders, dsn = table(stack, tmp_path)
    import psycopg

    with psycopg.connect(dsn) as theirs:
        theirs.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
        with pytest.raises(FaultError, match="lock timeout"):
            begun(orders, "db.slow", locked="500ms", every="600ms")


def test_a_container_that_is_still_being_stopped_is_not_taken_for_one_that_runs(stack: ExitStack) -> None:
    """The engine goes on with a stop whose client is dead, and calls the container running meanwhile."""
    if os.geteuid():
        pytest.skip("dockerd needs root")
    sock = stack.enter_context(docker_server())
    handle = Docker(container="hx", socket=sock)
    fault = known()["process.stop"]
    undo = fault.prepare(Target("role:x", ("hx",), replace(handle.at_attached(""), max_s=60.0)), Settings())
    client = subprocess.Popen(["docker", "-H", sock, "stop", "--time", "10", "hx"], stdout=subprocess.DEVNULL)
    assert await_true(lambda: Engine(handle.keys()).state("hx").said == "being stopped", 8, 0.1)
    client.kill()
    client.wait()
    assert b"true" in docker(sock, "inspect", "-f", "{{.State.Running}}", "hx").stdout, "by the engine's own word"
    fault.stop(undo)
    found = Engine(handle.keys()).inspect("hx")["State"]
    assert found["Running"]
    assert found["Pid"] != undo["before"]["hx"]["process"]["pid"], "it is another process: the stop is over"


def test_a_rule_of_nftables_matches_nothing_after_its_elements_timeout(stack: ExitStack) -> None:
    if os.geteuid():
        pytest.skip("nftables need root")
    port = int(stack.enter_context(redis_server()).rpartition(":")[2].partition("/")[0])
    fault, undo = begun(Nft(to=f"127.0.0.1:{port}"), "tcp.reset")
    stack.callback(lambda: fault.stop(undo))
    assert not answers(port)
    assert await_true(lambda: answers(port), 10, 0.2)
    assert "has timed out" in fault.lapse(undo)


def test_jobs_of_rq_and_messages_of_rabbitmq_have_a_ttl(stack: ExitStack, tmp_path: Path) -> None:
    import pika
    import redis

    url = stack.enter_context(redis_server())
    connection = redis.Redis.from_url(url)
    for kind in ("queue.flood", "queue.dead-letters"):
        begun(Rq(queue="tasks", url=url), kind, level=5)
    assert len(list(connection.scan_iter("rq:job:chaoskit_*"))) == 7 + 5, "with two to spare"
    assert await_true(lambda: not list(connection.scan_iter("rq:job:chaoskit_*")), 10, 0.2)
    amqp = stack.enter_context(rabbit_server())
    (tmp_path / "url").write_text(amqp)
    with pika.BlockingConnection(pika.URLParameters(amqp)) as rabbit:
        channel = rabbit.channel()
        channel.queue_declare("tasks", durable=True)
        begun(RabbitMq(queue="tasks", url_file=str(tmp_path / "url")), "queue.flood", level=5)

        def ready() -> int:
            return int(channel.queue_declare("tasks", passive=True).method.message_count)

        assert ready() >= 5
        assert await_true(lambda: ready() == 0, 10, 0.2)


def test_burners_end_by_their_own_clock_and_a_group_that_gets_too_little_is_told(stack: ExitStack) -> None:
    cpu, name = Path("/sys/fs/cgroup/cpu"), f"chaoskit-test-{os.getpid()}"
    if os.geteuid() or not (cpu / "cpu.cfs_quota_us").exists():
        pytest.skip("needs root, and a CPU controller of control groups of version 1")
    for root in (cpu, cpu.with_name("cpuacct"), cpu.with_name("memory")):
        (root / name).mkdir()
        stack.callback((root / name).rmdir)
    group = Cgroup(path=f"/{name}")

    def inside() -> list[str]:
        return (cpu / name / "cgroup.procs").read_text().split()

    fault, undo = begun(group, "cpu.burn", cores=0.3)
    assert inside()
    assert await_true(lambda: not inside(), 10, 0.2), "nothing but the clock ended them"
    fault.stop(undo)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    stack.callback(busy.wait)
    stack.callback(busy.kill)
    for controller in ("cpu", "cpuacct"):
        (cpu.with_name(controller) / name / "cgroup.procs").write_text(str(busy.pid))
    fault, undo = begun(group, "cpu.burn", 30.0, cores=0.5, top_up=True, burners=1)
    (burner,) = slices.find(undo)
    assert await_true(lambda: processor_s(busy.pid) > 0.5, 20, 0.2)
    assert processor_s(burner.pid) < 0.2, "what others in the group use counts: by itself it has used half a second's"
    fault.stop(undo)
    busy.kill()
    busy.wait()
    (cpu / name / "cpu.cfs_quota_us").write_text("10000")  # a tenth of a core
    with pytest.raises(FaultError, match=r"weaker than asked for: 0\.1\d* of 0\.3 cores"):
        begun(group, "cpu.burn", cores=0.3)
    assert await_true(lambda: not inside(), 10, 0.2)


def test_dead_letters_are_replayed_by_real_workers_and_others_stay(stack: ExitStack) -> None:
    import redis
    from rq import Queue

    url = stack.enter_context(redis_server())
    handle = Rq(queue="tasks", url=url)
    fault, undo = begun(handle, "queue.dead-letters", max_s=60.0, level=4)
    queue = Queue("tasks", connection=redis.Redis.from_url(url))
    assert queue.failed_job_registry.count == 4
    action = known_actions()["queue.replay"]
    target = Target("queue:tasks", ("tasks",), handle.at_attached(""))

    words = [sys.executable, "-m", "rq.cli", "worker", "tasks", "--burst", "--max-jobs", "3", "--url", url]
    given = action.settings.model_validate({"count": 3, "within_s": 30.0})
    found: list[Any] = []
    replay = threading.Thread(target=lambda: found.append(action.run(target, given)))
    replay.start()
    assert await_true(lambda: queue.count == 3, 10)
    subprocess.run(words, check=True, timeout=60, capture_output=True)
    replay.join(30)
    assert found[0][1] == {"replayed": 3, "left": 1}
    fault.stop(undo)
    assert queue.failed_job_registry.count == 0
    assert list(queue.connection.scan_iter("rq:job:*")) == []
