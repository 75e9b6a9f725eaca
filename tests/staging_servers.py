"""Real servers for tests of adapters, from Debian's packages, each in a folder of its own and on loopback alone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from chaoskit.host.ports import reserve
from chaoskit.waiting import await_true

UP_S = 60.0


def program(name: str) -> str:
    """Where a program of a package is; empty where it is not installed."""
    found = [*sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    return str(found[-1]) if found else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


def answers(port: int) -> bool:
    """Whether a server of this machine takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


@contextmanager
def folder(user: str = "") -> Iterator[Path]:
    """A short folder, of another user's where that is named, and gone afterwards."""
    made = Path(mkdtemp(prefix="chaoskit-st-", dir="/tmp"))
    made.chmod(0o755)
    if user and not os.geteuid():
        entry = pwd.getpwnam(user)
        os.chown(made, entry.pw_uid, entry.pw_gid)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def serving(
    command: Sequence[str], at: Path, up: object, user: str = "", env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground until the end; `up` says when it can be used."""
    with (at / "log").open("wb") as log:
        process = subprocess.Popen(
            list(command),
            cwd=at,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            user=user if user and not os.geteuid() else None,
            group=pwd.getpwnam(user).pw_gid if user and not os.geteuid() else None,
            env={**os.environ, **(env or {})},
        )
        try:
            assert await_true(lambda: process.poll() is not None or up(), UP_S, 0.1), (at / "log").read_text()  # type: ignore[operator]
            assert process.poll() is None, (at / "log").read_text()
            yield process
        finally:
            # The whole group: some servers are begun by a script, which would leave them behind.
            for number, within_s in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(within_s)


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis."""
    with folder() as at:
        port = reserve(1)[0]
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(at)]
        with serving([program("redis-server"), *options], at, lambda: answers(port)):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres_server() -> Iterator[str]:
    """The connection string of a PostgreSQL with a table `orders` that has some rows, as its own unprivileged user."""
    with folder("nobody") as at:
        port, data = reserve(1)[0], at / "data"
        made = [program("initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        user = None if os.geteuid() else "nobody"
        subprocess.run(made, check=True, capture_output=True, cwd=at, user=user)
        options = ["-p", str(port), "-k", str(at), "-h", "127.0.0.1", "-c", "fsync=off"]
        ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        with serving(
            [program("postgres"), "-D", str(data), *options],
            at,
            lambda: subprocess.run(ready, check=False).returncode == 0,
            "nobody",
        ):
            dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            psql(dsn, "CREATE ROLE shop LOGIN; CREATE TABLE orders (id serial PRIMARY KEY, what text NOT NULL)")
            psql(dsn, "ALTER TABLE orders OWNER TO shop; GRANT CREATE ON SCHEMA public TO shop")
            psql(dsn, "INSERT INTO orders (what) SELECT 'tea' FROM generate_series(1, 5)")
            yield dsn.replace("postgres@", "shop@")


def psql(dsn: str, statement: str) -> str:
    """What PostgreSQL's own client says, as bare lines."""
    command = [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", statement]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.strip() if done.returncode == 0 else f"error: {done.stderr.strip()}"


@contextmanager
def supervisor_server(programs: str) -> Iterator[Path]:
    """The socket of a supervisord that runs these programs, sections of its configuration."""
    with folder() as at:
        sock = at / "s.sock"
        (at / "supervisord.conf").write_text(
            f"[unix_http_server]\nfile={sock}\n"
            f"[supervisord]\nnodaemon=true\npidfile={at}/pid\nlogfile={at}/sv.log\nchildlogdir={at}\nuser=root\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{sock}\n{programs}"
        )
        command = [program("supervisord"), "-n", "-c", str(at / "supervisord.conf")]
        with serving(command, at, lambda: "RUNNING" in supervisorctl(sock, "status"), env=clean_python()):
            yield sock


def supervisorctl(sock: Path, *words: str) -> str:
    """What supervisord's own client says."""
    command = [program("supervisorctl"), "-s", f"unix://{sock}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, env=clean_python()).stdout


def clean_python() -> dict[str, str]:
    """The environment of a system's own Python program, which ours must not lead elsewhere."""
    inside = str(Path(sys.executable).parent)
    path = ":".join(part for part in os.environ["PATH"].split(":") if part != inside)
    return {**{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}, "PATH": path}


@contextmanager
def rabbit_server() -> Iterator[str]:
    """The AMQP URL of a RabbitMQ, all of whose ports are on loopback."""
    with folder("rabbitmq") as at:
        port, dist = reserve(2)
        (at / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n")
        (at / "plugins").write_text("[].\n")
        with serving([program("rabbitmq-server")], at, lambda: answers(port), "rabbitmq", rabbit_environment(at, dist)):
            yield f"amqp://guest:guest@127.0.0.1:{port}/%2F"


def rabbit_environment(at: Path, dist: int) -> dict[str, str]:
    """What RabbitMQ's programs need to know."""
    return {
        "HOME": str(at),
        "RABBITMQ_NODENAME": f"chaoskit{dist}@localhost",
        "RABBITMQ_MNESIA_BASE": str(at / "mnesia"),
        "RABBITMQ_LOG_BASE": str(at / "logs"),
        "RABBITMQ_CONFIG_FILE": str(at / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(at / "plugins"),
        "RABBITMQ_DIST_PORT": str(dist),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


@contextmanager
def docker_server() -> Iterator[str]:
    """The socket's URL of a dockerd without networks, with an image `busybox` and a container `hx` that sleeps."""
    with folder() as at:
        sock = f"unix://{at}/d.sock"
        command = [program("dockerd"), "--bridge", "none", "--iptables=false", "--storage-driver", "vfs", "-H", sock]
        command += ["--data-root", f"{at}/data", "--exec-root", f"{at}/exec", "-p", f"{at}/pid"]
        with serving(command, at, lambda: docker(sock, "info").returncode == 0):
            image = at / "image" / "bin"
            image.mkdir(parents=True)
            shutil.copy("/bin/busybox", image / "busybox")
            for name in ("sh", "sleep"):
                (image / name).symlink_to("busybox")
            tar = subprocess.run(["tar", "-C", str(image.parent), "-c", "."], capture_output=True, check=True).stdout
            done = docker(sock, "import", "-", "busybox", given=tar)
            assert done.returncode == 0, done.stderr
            run = ["run", "-d", "--network", "none", "--name", "hx", "--restart", "always"]
            done = docker(sock, *run, "busybox", "/bin/sleep", "100000")
            assert done.returncode == 0, done.stderr
            try:
                yield sock
            finally:
                docker(sock, "rm", "-f", "hx")


def docker(sock: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Docker's own client."""
    command = ["docker", "-H", sock, *words]
    return subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)


def wait_s(seconds: float) -> None:
    """The instant at which a blow falls is what is tried, so it is waited for and not awaited."""
    time.sleep(seconds)
