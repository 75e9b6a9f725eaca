"""For each adapter: its thing, started; faults by hand on it; and what the thing's own tool says while one is in."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.kill_adapters import Broken
from tests import fake_systemctl, fake_tc
from tests import toxiproxy as fake_toxiproxy
from tests.staging_servers import (
    answers,
    docker,
    docker_server,
    postgres_server,
    program,
    psql,
    rabbit_server,
    redis_server,
    supervisor_server,
    supervisorctl,
)


def at(*pairs: str) -> list[str]:
    """The words that say where a handle is."""
    return [word for pair in pairs for word in ("--at", pair)]


def postgres(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A table with a lock, and with a trigger."""
    dsn = stack.enter_context(postgres_server())
    file = folder / "dsn"
    file.write_text(dsn)
    where = at("via=postgres", f"dsn_file={file}", "table=orders")

    def wrong() -> list[str]:
        sessions = psql(dsn, "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'chaoskit\\_%'")
        locks = psql(dsn, "SELECT mode FROM pg_locks WHERE relation = 'orders'::regclass AND mode LIKE '%xclusiveLock'")
        triggers = psql(dsn, "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'chaoskit%'")
        functions = psql(dsn, "SELECT proname FROM pg_proc WHERE proname LIKE 'chaoskit%'")
        functions += psql(dsn, "SELECT relname FROM pg_class WHERE relname LIKE 'chaoskit%'")
        inserted = psql(dsn, "SET lock_timeout = '200ms'; INSERT INTO orders (what) VALUES ('tea')")
        return [*filter(None, (sessions, locks, triggers, functions)), *([inserted] if "error" in inserted else [])]

    slow = ["db.slow", "--target", "database:orders", *where, "--with", "locked=800ms", "--with", "every=1s"]
    return (
        Broken("db.slow", slow, wrong),
        Broken("db.error", ["db.error", "--target", "database:orders", *where], wrong),
    )


PROGRAMS = """
[program:worker]
command=/bin/sleep 100000
numprocs=2
process_name=worker-%(process_num)d
autorestart=true
startsecs=0
"""


def stands_still(pid: str) -> bool:
    """Whether a process is stopped, or gone."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "T"


def supervisor(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """One of two workers, killed and kept down, stopped, paused."""
    sock = stack.enter_context(supervisor_server(PROGRAMS))
    where = ["--target", "role:worker=worker-1", *at("via=supervisor", "program=worker", f"server=unix://{sock}")]

    def wrong() -> list[str]:
        found = []
        for line in supervisorctl(sock, "status").splitlines():
            name, state, *more = line.split()
            if state != "RUNNING" or stands_still(more[1].rstrip(",")):
                found.append(f"{name} is {state if state != 'RUNNING' else 'stopped'}")
        return found

    return tuple(
        Broken(kind, [kind, *where, *more], wrong)
        for kind, more in (("process.kill", ["--with", "hold=true"]), ("process.stop", []), ("process.pause", []))
    )


def rq(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A queue without a worker: jobs that wait, and failed ones; rq itself is asked."""
    import redis
    from rq import Queue

    url = stack.enter_context(redis_server())
    connection = redis.Redis.from_url(url)
    queue = Queue("tasks", connection=connection)
    for _ in range(3):
        queue.enqueue("time.sleep", 0)

    def wrong() -> list[str]:
        found = [f"{one} waits" for one in queue.get_job_ids()] + [
            f"{one} failed" for one in queue.failed_job_registry.get_job_ids(cleanup=False)
        ]
        found += [f"key {key.decode()}" for key in connection.scan_iter("*chaoskit*")]
        theirs = [one for one in found if "chaoskit" not in one]
        return [one for one in found if "chaoskit" in one] + ([] if len(theirs) == 3 else [f"others: {theirs}"])

    where = ["--target", "queue:tasks", *at("via=rq", f"url={url}", "queue=tasks"), "--with", "level=50"]
    return tuple(Broken(kind, [kind, *where], wrong) for kind in ("queue.flood", "queue.dead-letters"))


def redis_list(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """Two lists; redis-cli is asked."""
    url = stack.enter_context(redis_server())
    port = url.rpartition(":")[2].partition("/")[0]

    def cli(*words: str) -> list[str]:
        command = [program("redis-cli"), "-p", port, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split("\n")

    cli("RPUSH", "mails", "theirs")

    def wrong() -> list[str]:
        there = [one for key in ("mails", "dead") for one in cli("LRANGE", key, "0", "-1") if one]
        return [one for one in there if one != "theirs"] + ([] if "theirs" in there else ["theirs is gone"])

    where = ["--target", "queue:mails", *at("via=redis-list", f"url={url}", "queue=mails", "dead=dead")]
    where += ["--with", "level=50", "--confirm", "queue:mails"]
    return tuple(Broken(kind, [kind, *where], wrong) for kind in ("queue.flood", "queue.dead-letters"))


def rabbitmq(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """Two queues with one message of somebody else's; a client of RabbitMQ's own protocol is asked."""
    import pika

    url = stack.enter_context(rabbit_server())
    (folder / "url").write_text(url)

    def counts() -> dict[str, int]:
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            channel = connection.channel()
            return {one: channel.queue_declare(one, passive=True).method.message_count for one in ("tasks", "dead")}

    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        for name in ("tasks", "dead"):
            connection.channel().queue_declare(name, durable=True)
        connection.channel().basic_publish("", "tasks", b"theirs")

    def wrong() -> list[str]:
        found = counts()
        return [] if found == {"tasks": 1, "dead": 0} else [str(found)]

    where = ["--target", "queue:tasks", *at("via=rabbitmq", f"url_file={folder}/url", "queue=tasks", "dead=dead")]
    return tuple(
        Broken(kind, [kind, *where, "--with", "level=50"], wrong) for kind in ("queue.flood", "queue.dead-letters")
    )


def nft(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """Connections to a Redis; nft is asked, and redis-cli."""
    url = stack.enter_context(redis_server())
    port = url.rpartition(":")[2].partition("/")[0]

    def wrong() -> list[str]:
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        found = [line for line in tables.splitlines() if "chaoskit_" in line]
        return found + ([] if answers(int(port)) else ["Redis gives no answer"])

    where = ["--target", "link:cache", *at("via=nft", f"to=127.0.0.1:{port}")]
    return tuple(Broken(kind, [kind, *where], wrong) for kind in ("tcp.reset", "tcp.blackhole"))


def docker_(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A container; docker inspect is asked."""
    sock = stack.enter_context(docker_server())

    def wrong() -> list[str]:
        shown = docker(sock, "inspect", "-f", "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}", "hx").stdout
        return [] if shown.split() == [b"running", b"always"] else [shown.decode()]

    where = ["--target", "role:worker=hx", *at("via=docker", "container=hx", f"socket={sock}")]
    return tuple(
        Broken(kind, [kind, *where, *more], wrong)
        for kind, more in (("process.kill", ["--with", "hold=true"]), ("process.stop", []), ("process.pause", []))
    )


def container(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """What a container uses: docker top, its control group, its files."""
    sock = stack.enter_context(docker_server())

    def pid() -> str:
        return docker(sock, "inspect", "-f", "{{.State.Pid}}", "hx").stdout.decode().strip()

    def wrong() -> list[str]:
        groups = dict(line.split(":")[1:] for line in Path(f"/proc/{pid()}/cgroup").read_text().splitlines())
        group = Path("/sys/fs/cgroup/cpu") / groups.get("cpu", "/x").lstrip("/")
        inside = set((group / "cgroup.procs").read_text().split()) - {pid()}
        files = docker(sock, "exec", "hx", "busybox", "ls", "/").stdout.decode().split()
        return [f"process {one}" for one in inside] + [one for one in files if "chaoskit" in one]

    where = ["--target", "slice:shop", *at("via=container", "container=hx", f"socket={sock}")]
    return (
        Broken("cpu.burn", ["cpu.burn", *where, "--with", "cores=0.2"], wrong),
        Broken("memory.burn", ["memory.burn", *where, "--with", "size=50MiB"], wrong),
        Broken("disk.fill", ["disk.fill", *where, "--with", "size=5MiB", "--confirm", "slice:shop"], wrong),
    )


def cgroup(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A control group of the test's own, of whichever version."""
    roots = [root for one in ("cpu", "cpuacct", "memory", ".") if (root := Path("/sys/fs/cgroup") / one).is_dir()]
    roots = [root for root in roots if (root / "cgroup.procs").exists()]
    name = f"chaoskit-test-{os.getpid()}"
    for root in roots:
        (root / name).mkdir()
        stack.callback((root / name).rmdir)

    def wrong() -> list[str]:
        return [pid for root in roots for pid in (root / name / "cgroup.procs").read_text().split()]

    where = ["--target", "slice:shop", *at("via=cgroup", f"path=/{name}")]
    return (
        Broken("cpu.burn", ["cpu.burn", *where, "--with", "cores=0.2"], wrong),
        Broken("memory.burn", ["memory.burn", *where, "--with", "size=50MiB"], wrong),
    )


def path(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A folder; its files are looked at."""
    data = folder / "data"
    data.mkdir()
    where = ["--target", "slice:data", *at("via=path", f"path={data}"), "--confirm", "slice:data"]
    return (
        Broken("disk.fill", ["disk.fill", *where, "--with", "size=5MiB"], lambda: [one.name for one in data.iterdir()]),
    )


def first_on_path(stack: ExitStack, programs: Path) -> None:
    """Programs that are found before the system's own."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{programs}:{before}"
    stack.callback(os.environ.__setitem__, "PATH", before)


def systemd(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A stand-in: one of two units; its systemctl is asked, timers included, which never fire by themselves."""
    programs, units = fake_systemctl.install(folder)
    first_on_path(stack, programs)
    stack.callback(fake_systemctl.end, units)
    names = ("worker@1", "worker@2")
    for name in names:
        fake_systemctl.load(units, name)
        subprocess.run(["systemctl", "start", "--", f"{name}.service"], check=True)

    def wrong() -> list[str]:
        found = [timer.name for timer in units.glob("*.timer")]
        for name in names:
            show = ["systemctl", "show", "--property=ActiveState,MainPID", "--value", "--", f"{name}.service"]
            state, pid = subprocess.run(show, capture_output=True, text=True, check=True).stdout.split()
            if state != "active" or stands_still(pid):
                found.append(f"{name} is {state}, process {pid}")
        return found

    where = ["--target", "role:worker=worker@1", *at("via=systemd", "unit=worker@*")]
    return tuple(
        Broken(kind, [kind, *where, *more], wrong)
        for kind, more in (("process.kill", ["--with", "hold=true"]), ("process.stop", []), ("process.pause", []))
    )


def toxiproxy(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A stand-in: its list of toxics is looked at, and a connection through it."""
    one = stack.enter_context(fake_toxiproxy.running())

    def wrong() -> list[str]:
        found, begun = list(one.toxics), time.monotonic()
        with contextlib.suppress(OSError), socket.create_connection(one.address, 2) as line:
            line.settimeout(2)
            line.sendall(b"ping\r\n")
            if line.recv(100) == b"pong\r\n" and time.monotonic() - begun < 0.5:
                return found
        return [*found, "no prompt answer through the proxy"]

    where = ["--target", "link:db", *at("via=toxiproxy", f"url={one.url}", "proxy=db")]
    return tuple(
        Broken(kind, [kind, *where, *more], wrong)
        for kind, more in (("tcp.reset", []), ("tcp.blackhole", []), ("http.slow", ["--with", "by=900ms"]))
    )


def tc(stack: ExitStack, folder: Path) -> Sequence[Broken]:
    """A stand-in, which needs no netem of the kernel: what lies at the device's root is looked at."""
    programs, root = fake_tc.install(folder)
    first_on_path(stack, programs)

    def wrong() -> list[str]:
        return [] if root.read_text() == fake_tc.CLEAN else [root.read_text()]

    where = ["--target", "link:uplink", *at("via=tc", "dev=eth0"), "--confirm", "link:uplink"]
    return tuple(
        Broken(kind, [kind, *where, "--with", dose], wrong)
        for kind, dose in (("net.delay", "by=200ms"), ("net.loss", "ratio=10%"), ("net.rate", "rate=100KiB"))
    )


MAKERS: dict[str, Callable[[ExitStack, Path], Sequence[Broken]]] = {
    "postgres": postgres,
    "supervisor": supervisor,
    "rq": rq,
    "redis-list": redis_list,
    "rabbitmq": rabbitmq,
    "nft": nft,
    "docker": docker_,
    "container": container,
    "cgroup": cgroup,
    "path": path,
    "systemd": systemd,
    "toxiproxy": toxiproxy,
    "tc": tc,
}
"""By `via`; the last three are stand-ins that behave as documented, so that what is ours is tried under kills."""
