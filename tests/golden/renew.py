"""Records the golden histories anew, by real runs, or judges the stored ones anew after an intended change.

    .venv/bin/python -m tests.golden.renew              records all of them, about half a minute each
    .venv/bin/python -m tests.golden.renew kept quiet   records these
    .venv/bin/python -m tests.golden.renew --judge      runs nothing: writes the verdicts of the stored histories anew

A recording is kept only if its verdict says what its recipe demands; what tells of this machine is taken out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click
import msgspec
import psutil

from chaoskit import bundle
from chaoskit.events import AnyEvent, Header, Invoke, decode, encode
from chaoskit.history import parse_history, read_history
from chaoskit.verify.verdict import Verdict, to_json
from chaoskit.verify.verify import verify
from tests.golden.recipes import RECIPES, Recipe, changed

GOLDEN = Path(__file__).parent
LONGEST_S = 170
TRIES = 3
NO_BOOT = "00000000-0000-0000-0000-000000000000"


def record(recipe: Recipe, scratch: Path) -> bytes:
    """Runs a recipe to its end and gives the history that it left."""
    folder, out = scratch / "bundle", scratch / "runs"
    shutil.copytree(bundle.folder(), folder)
    for file, old, new in recipe.changes:
        (folder / file).write_text(changed((folder / file).read_text(), old, new))
    for file, text in recipe.add:
        (folder / file).write_text((folder / file).read_text() + text)
    scenario = scratch / "worker-unhealthy.yml"
    scenario.write_text(recipe.scenario)
    command = [sys.executable, "-m", "chaoskit", "run", str(scenario), "--bundle", str(folder), "--out", str(out)]
    command += [word for setting in recipe.settings for word in ("--set", setting)]
    log = scratch / "log"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        too_long = threading.Timer(LONGEST_S, run.kill)
        too_long.start()
        assert run.stdout is not None
        children: list[psutil.Process] = []
        do = recipe.do
        with log.open("w") as said:
            for line in run.stdout:
                said.write(line)
                if do is not None and recipe.when in line:
                    children = psutil.Process(run.pid).children(recursive=True)
                    do(psutil.Process(run.pid))
                    do = None
        run.wait(timeout=20)
        too_long.cancel()
        psutil.wait_procs(children, timeout=20)
    runs = [path for path in out.glob("*-worker-unhealthy*") if not path.is_symlink()] if out.exists() else []
    if not runs:
        raise click.ClickException(f"there was no run:\n{log.read_text()}")
    return (runs[0] / "events.jsonl").read_bytes()


def scrubbed(data: bytes, scratch: Path) -> bytes:
    """Without anything that tells of the machine: folders, kernel, boot."""
    lines = data.replace(str(scratch).encode(), b"RUN").splitlines(keepends=True)
    return b"".join(encode(_scrub(decode(line))) + b"\n" if line.endswith(b"\n") else line for line in lines)


def _scrub(event: AnyEvent) -> AnyEvent:
    if isinstance(event, Header):
        return msgspec.structs.replace(event, versions={**event.versions, "system": "Linux"}, origin=None)
    if isinstance(event, Invoke) and "boot" in event.undo:
        return msgspec.structs.replace(event, undo={**event.undo, "boot": NO_BOOT})
    return event


def missing(recipe: Recipe, verdict: Verdict) -> list[str]:
    """What the recipe demands and the verdict does not say."""
    wanted = [
        f"no row has {row}"
        for row in recipe.rows
        if not any(
            (one.hop, one.result) == (row.hop, row.result) and row.to in one.to and row.words in one.reason
            for one in verdict.rows
        )
    ]
    return wanted + [
        f"{one.result} {one.about} {one.hop} {one.to}: {one.reason}"
        for one in verdict.rows
        if one.result in recipe.never
    ]


def renew(name: str) -> bool:
    """Records one history; whether it says what it must."""
    recipe = RECIPES[name]
    for attempt in range(TRIES):
        with tempfile.TemporaryDirectory() as folder:
            data = scrubbed(record(recipe, Path(folder)), Path(folder))
        verdict = verify(parse_history(data, name))
        lacking = missing(recipe, verdict)
        click.echo(f"{name}, try {attempt + 1}: {verdict.result}, {len(data)} bytes")
        for line in lacking:
            click.echo(f"  {line}")
        if not lacking:
            (GOLDEN / f"{name}.jsonl").write_bytes(data)
            (GOLDEN / f"{name}.verdict.json").write_bytes(to_json(verdict))
            return True
        (Path(tempfile.gettempdir()) / f"golden-{name}.jsonl").write_bytes(data)
    return False


def judge_anew() -> list[str]:
    """Writes the stored histories' verdicts anew; the names of those that changed."""
    changed_names = []
    for path in sorted(GOLDEN.glob("*.jsonl")):
        verdict = path.with_suffix(".verdict.json")
        fresh = to_json(verify(read_history(path)))
        if not verdict.exists() or verdict.read_bytes() != fresh:
            before = (
                {json.dumps(row) for row in json.loads(verdict.read_bytes())["rows"]} if verdict.exists() else set()
            )
            verdict.write_bytes(fresh)
            changed_names.append(path.stem)
            for row in json.loads(fresh)["rows"]:
                if json.dumps(row) not in before:
                    click.echo(f"{path.stem}: {row['result']} {row['about']} {row['hop']} {row['to']} {row['reason']}")
    return changed_names


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--judge", is_flag=True, help="Run nothing; write the verdicts of the stored histories anew.")
def main(names: tuple[str, ...], judge: bool) -> None:
    if judge:
        click.echo(f"changed: {', '.join(judge_anew()) or 'none'}")
        return
    unknown = sorted(set(names) - set(RECIPES))
    if unknown:
        raise click.UsageError(f"no such recipe: {', '.join(unknown)}; known: {', '.join(RECIPES)}")
    failed = [name for name in names or RECIPES if not renew(name)]
    if failed:
        raise click.ClickException(f"not recorded, the verdict was another: {', '.join(failed)}")


if __name__ == "__main__":
    main()
