"""`CHAOSKIT_SLICE=MARK python -m chaoskit.crm --config FILE.json`: start a CRM and serve until SIGTERM.

Standard output gets one line of JSON when everything serves; see the package's documentation.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path

import msgspec

from chaoskit.crm.config import Config, admin_token, load, own_slice
from chaoskit.errors import BadInput, ChaoskitError
from chaoskit.host.lines import Lines


def main() -> int:
    """Run the CRM; the exit code follows chaoskit.errors.ExitCode."""
    parser = argparse.ArgumentParser(prog="python -m chaoskit.crm", description="The reference CRM.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE.json")
    try:
        config = load(parser.parse_args().config)
        _serve(config, own_slice(), admin_token(config))
    except ChaoskitError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


def _serve(config: Config, mark: str, token: str) -> None:
    gc.disable()  # the imports below make much and no garbage; the supervisor switches it on again
    os.environ["SPT_NOENV"] = "1"  # keeps process titles from overwriting the environment, where the mark is looked for
    from setproctitle import setproctitle

    from chaoskit.crm import database, queue
    from chaoskit.crm.physics import REQUESTS
    from chaoskit.crm.supervisor import Supervisor, title
    from chaoskit.crm.wiring import open_wiring

    setproctitle(title(mark, "supervisor"))
    try:
        Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"data_dir {config.data_dir}: {error.strerror}") from None
    wiring = open_wiring(config, mark, token)
    database.prepare(config)
    queue.prepare(config)
    supervisor = Supervisor(wiring)
    supervisor.start()
    ports = {name: wiring.port(name) for name in wiring.sockets}
    line = {"ready": True, **ports, "pids": supervisor.pids(), "requests": REQUESTS}
    Lines(1, 0).send(msgspec.json.encode(line))
    supervisor.run()


if __name__ == "__main__":
    raise SystemExit(main())
