"""`python -m chaoskit.crm --config FILE.json`: start a CRM and serve until SIGTERM.

Standard output gets one line of JSON when everything serves; see the package's documentation. The process starts
itself once more in place (same pid) to carry the slice's mark in its environment, where other processes can read
it: /proc shows the environment of the last exec only. SPT_NOENV keeps process titles from overwriting that.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path

import msgspec

from chaoskit.crm.config import SLICE_ENV, Config, admin_token, load
from chaoskit.errors import BadInput, ChaoskitError


def main() -> int:
    """Run the CRM; the exit code follows chaoskit.errors.ExitCode."""
    parser = argparse.ArgumentParser(prog="python -m chaoskit.crm", description="The reference CRM.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE.json")
    path: Path = parser.parse_args().config
    try:
        config = load(path)
        marked = os.environ.get(SLICE_ENV) == config.slice and os.environ.get("SPT_NOENV") == "1"
        if not marked:
            environment = {**os.environ, SLICE_ENV: config.slice, "SPT_NOENV": "1"}
            os.execve(sys.executable, [sys.executable, "-m", "chaoskit.crm", "--config", str(path)], environment)
        _serve(config, admin_token(config))
    except ChaoskitError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


def _serve(config: Config, token: str) -> None:
    gc.disable()  # the imports below make much and no garbage; the supervisor switches it on again
    from setproctitle import setproctitle

    from chaoskit.crm import database, queue
    from chaoskit.crm.process import title
    from chaoskit.crm.supervisor import Supervisor
    from chaoskit.crm.traffic import REQUESTS
    from chaoskit.crm.wiring import open_wiring

    setproctitle(title(config.slice, "supervisor"))
    try:
        Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"data_dir {config.data_dir}: {error.strerror}") from None
    wiring = open_wiring(config, token)
    database.prepare(config)
    queue.prepare(config)
    supervisor = Supervisor(wiring)
    supervisor.start()
    ports = {name: wiring.port(name) for name in wiring.sockets}
    line = {"ready": True, **ports, "pids": supervisor.pids(), "requests": REQUESTS}
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()
    supervisor.run()


if __name__ == "__main__":
    raise SystemExit(main())
