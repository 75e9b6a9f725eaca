"""`up` names what a fault by hand needs: the proxy, the queue, the file with their token, the database, the titles."""

from __future__ import annotations

import re
from pathlib import Path

from chaoskit.localize.configuration import Localized, Ports
from chaoskit.run.up import addresses
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.local import LocalStack


def test_every_address_that_a_fault_by_hand_is_given_is_named(tmp_path: Path) -> None:
    ports = Ports(*range(1, 1 + len(Ports.__dataclass_fields__)))
    programs = Binaries(Path("p"), Path("t"), Path("a"), Path("m"), {})
    stack = LocalStack(tmp_path, programs, Localized({}, (), ()), ports, 60.0, None)
    stack.addresses = {"api": 101, "proxy_admin": 102, "admin": 103}
    found = addresses(stack, 1025)
    assert found["proxy"] == "http://127.0.0.1:102"
    assert found["queue"] == "http://127.0.0.1:103"
    assert Path(found["token file"]).name == "token"
    assert Path(found["database"]).name == "crm.db"
    assert found["SMTP"] == "127.0.0.1:1025"
    assert re.search(found["worker title"], f"crm[{stack.slice}] worker worker-1")
