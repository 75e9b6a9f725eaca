"""`new`, `attach` and `schema`: a first scenario or profile, and what an editor needs to help with the next one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from shlex import join

import click

from chaoskit.alerting import promise_schema
from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli.sources import PROFILE, config_options, or_shipped
from chaoskit.draft.write import draft
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.scenario import loader
from chaoskit.scenario import profile as profiles
from chaoskit.scenario.catalog import find_profile, scenario_names
from chaoskit.stack.local import inventory
from chaoskit.stack.original import understood

_SCHEMAS = {
    "scenario": loader.SCENARIO.document,
    "profile": profiles.PROFILE.document,
    "promise": promise_schema.DOCUMENT,
}
_WORDS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


@click.command("new")
@click.option("--alert", required=True, metavar="NAME", help="The alert that the scenario is to prove.")
@config_options
@PROFILE
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: scenarios/NAME.yml]")
def new_command(alert: str, files: ConfigFiles, profile: str, out: Path | None) -> None:
    """Write a first scenario for an alert; starts nothing, and never overwrites a file.

    Exit codes: 0 written, 2 the file is there already, no such alert, or something cannot be read.
    """
    config = understood(or_shipped(files).load(complete=True))
    read = profiles.load_profile_file(find_profile(profile))
    text, model = draft(config, alert, scenario_names().values(), read, inventory())
    file = out or Path("scenarios") / f"{_name(alert)}.yml"
    write_new(file, text)
    words = [str(file), *files.words, *(("--profile", profile) if profile != "local" else ())]
    click.echo(f"wrote {file}" + (f", with the fault of {model}" if model else ""))
    if not model:
        click.echo("how to raise this alert is not known: put your programs where it says ./break-it and ./mend-it")
    given = join(words)
    click.echo(f"next: chaoskit plan {given}, then: chaoskit run {given}")


@click.command("schema")
@click.argument("what", type=click.Choice(tuple(_SCHEMAS)))
def schema_command(what: str) -> None:
    """Print the JSON Schema of scenarios, profiles or promises, for editors."""
    click.echo(json.dumps(_SCHEMAS[what], indent=2, ensure_ascii=False))


@click.command("attach")
@click.option("--prometheus", required=True, metavar="URL", help="Where the system's Prometheus answers.")
@click.option("--alertmanager", required=True, metavar="URL", help="Where the system's Alertmanager answers.")
@click.option(
    "--environment", default="", metavar="NAME", help="The environment's name; asked of Prometheus unless given."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("profiles/staging.yml"),
    show_default=True,
    help="The file to write; an existing one is left alone.",
)
def attach_command(prometheus: str, alertmanager: str, environment: str, out: Path) -> None:
    """Write a first profile for a running system, each line with its reason; touches nothing of that system.

    Exit codes: 0 written, 2 the file is there already, or Prometheus or Alertmanager gives no answer.
    """
    from chaoskit.draft.attach import written  # which a first scenario does not need
    from chaoskit.draft.surroundings import surroundings

    found = surroundings()
    write_new(out, written(prometheus.rstrip("/"), alertmanager.rstrip("/"), environment, found))
    click.echo(f"wrote {out}, with {len(found)} handles for what was found on this host")
    click.echo(f"next: read {out}, then: chaoskit doctor --profile {out} --bundle DIR")


def write_new(file: Path, text: str) -> None:
    """Write a file that is not there yet; raises BadInput where one is."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as fresh:
            fresh.write(text)
    except FileExistsError:
        hint = "nothing was changed; name another file with --out"
        raise BadInput(Problem(Place(str(file)), "is there already", hint)) from None
    except OSError as error:
        raise BadInput(Problem(Place(str(file)), f"cannot be written: {error.strerror}", "try another --out")) from None


def _name(alert: str) -> str:
    """WorkerUnhealthy as worker-unhealthy, HighLatencyP95 as high-latency-p95."""
    return "-".join(_WORDS.findall(alert)).lower() or "new"
