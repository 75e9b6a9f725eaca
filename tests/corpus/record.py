"""Histories of whole commands as they are today, each with what `verify` says of it: verdict, exit code, complaint.

    .venv/bin/python -m tests.corpus.record gate FOLDER        stores every run below FOLDER as gate-NAME
    .venv/bin/python -m tests.corpus.record --judge            runs nothing: writes what verify says anew, and names it

A run's own verdict must be the one that verify gives: a rehearsal has no other judge.
What tells of the machine that recorded them is taken out. A verdict that changes is read before it is stored.
"""

from __future__ import annotations

import lzma
import re
from pathlib import Path

import click

from chaoskit.errors import BadInput
from chaoskit.history import parse_history
from chaoskit.verify.verdict import to_json
from chaoskit.verify.verify import verify
from tests.golden.renew import scrubbed

CORPUS = Path(__file__).parent
PROJECT = Path(__file__).parents[2]


def said(data: bytes, name: str) -> bytes:
    """What `chaoskit verify` says of a history: its verdict as JSON, which has the exit code, or its complaint."""
    try:
        return to_json(verify(parse_history(data, name)))
    except BadInput as error:
        return f"exit 2\n{error}\n".encode()


def history(name: str) -> bytes:
    """A stored history, as it was written."""
    return lzma.decompress((CORPUS / f"{name}.jsonl.xz").read_bytes())


def names() -> list[str]:
    """All stored histories."""
    return sorted(path.name.removesuffix(".jsonl.xz") for path in CORPUS.glob("*.jsonl.xz"))


def told(name: str) -> bytes:
    """What was said of it when it was stored."""
    return lzma.decompress((CORPUS / f"{name}.said.xz").read_bytes())


def store(name: str, data: bytes) -> None:
    """Writes a history and what is said of it."""
    (CORPUS / f"{name}.jsonl.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    tell(name, data)


def tell(name: str, data: bytes) -> None:
    """Writes what is said of a history today."""
    (CORPUS / f"{name}.said.xz").write_bytes(lzma.compress(said(data, name), preset=9))


@click.command(help=__doc__)
@click.argument("kind", required=False)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--judge", is_flag=True)
def main(kind: str | None, folders: tuple[Path, ...], judge: bool) -> None:
    if judge:
        for name in names():
            data = history(name)
            if said(data, name) != told(name):
                tell(name, data)
                click.echo(name)
        return
    for folder in folders:
        for path in sorted(folder.rglob("events.jsonl")):
            name = f"{kind}-{re.sub('^[0-9TZ-]+-', '', path.parent.name)}"
            data, verdict = path.read_bytes(), path.with_name("verdict.json")
            if verdict.exists() and said(data, name) != verdict.read_bytes():
                raise click.ClickException(f"verify says something else of {path.parent} than was said when it ran")
            for place, instead in ((PROJECT, b"PROJECT"), (Path.home(), b"HOME")):
                data = data.replace(str(place).encode(), instead)
            store(name, scrubbed(data, folder.resolve()))
            click.echo(f"{name}: {len(history(name))} bytes")


if __name__ == "__main__":
    main()
