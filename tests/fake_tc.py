"""tc for tests, which behaves as documented: one device with the kernel's own discipline at its root.

It takes a discipline where none of another's is, and deletes by handle alone. Where the kernel has no netem, this is
all that can be tried.
"""

from __future__ import annotations

import sys
from pathlib import Path

CLEAN = '[{"kind": "noqueue", "handle": "0:", "root": true}]'
PROGRAM = """
import json, sys
from pathlib import Path

file, words = Path(__file__).parent.parent / "qdiscs", sys.argv[1:]
there = json.loads(file.read_text())


def save(found):
    file.with_name(".qdiscs").write_text(json.dumps(found))
    file.with_name(".qdiscs").rename(file)


if "show" in words:
    print(json.dumps(there))
elif "add" in words:
    handle, options = words[words.index("handle") + 1], words[words.index("netem") + 1 :]
    if there[0]["handle"] != "0:":
        sys.exit("Error: Exclusivity flag on, cannot modify.")
    save([{"kind": "netem", "handle": handle, "root": True, "options": options}])
else:
    if there[0]["handle"] != words[words.index("handle") + 1]:
        sys.exit("Error: Invalid handle.")
    save([{"kind": "noqueue", "handle": "0:", "root": True}])
"""


def install(folder: Path) -> tuple[Path, Path]:
    """The folder of the program, to be put before PATH, and the file of what is at the device's root."""
    program, file = folder / "bin" / "tc", folder / "qdiscs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\n{PROGRAM}")
    program.chmod(0o755)
    file.write_text(CLEAN)
    return program.parent, file
