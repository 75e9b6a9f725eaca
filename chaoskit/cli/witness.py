"""`chaoskit witness`: what to add to an Alertmanager that runs already, and the endpoint that it then tells."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote

import click

from chaoskit.access import read_token, readable_by_others
from chaoskit.cli.console import Commands
from chaoskit.errors import BadInput, Problem
from chaoskit.events import Notice
from chaoskit.report.text import clean
from chaoskit.run.signals import signals_end
from chaoskit.witness.config import RECEIVER, additions, patched
from chaoskit.witness.server import PORT, Settings, WitnessServer, is_loopback
from chaoskit.witness.store import KEEP
from chaoskit.yaml_source import read_text

_FILE = click.Path(path_type=Path)
_SHOWN = 3


@click.group("witness", cls=Commands)
def witness_group() -> None:
    """Hear what the receivers of a running Alertmanager hear, beside them."""


@witness_group.command("config")
@click.option("--alertmanager", type=_FILE, required=True, metavar="FILE", help="Alertmanager's present configuration.")
@click.option("--url", default=f"http://127.0.0.1:{PORT}", show_default=True, help="The witness's address.")
@click.option("--token-file", default="", metavar="FILE", help="The token's file as Alertmanager finds it.")
@click.option("--recorder", default="", metavar="FILE", help="Have the event recorder write there, or to `witness`.")
@click.option("--whole", is_flag=True, help="Print the whole configuration, ready to deploy; comments get lost.")
def config_command(alertmanager: Path, url: str, token_file: str, recorder: str, whole: bool) -> None:
    """Print the route and the receiver entries to add to an existing Alertmanager configuration.

    With --recorder (Alertmanager 0.33 and later) its event recorder takes the place of the receivers' entries.
    """
    text = read_text(alertmanager)
    if whole:
        click.echo(patched(text, url, token_file, str(alertmanager), recorder), nl=False)
        click.echo("this is a file to deploy: secrets that stand in the configuration stand in it too", err=True)
        return
    found = additions(text, url, token_file, str(alertmanager), recorder)
    if not found:
        click.echo("nothing to add: the witness hears every receiver, and the canary has its route", err=True)
    for one in found:
        click.echo(f"# {one.place}: {one.what}")
        click.echo(one.yaml)
    if recorder:
        click.echo("Alertmanager needs --enable-feature=event-recorder on its command line", err=True)
    if found and not token_file and recorder in ("", "witness"):
        click.echo("no --token-file: fine for a witness on this machine's loopback that was given none", err=True)


@witness_group.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; others need a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--token-file", type=_FILE, metavar="FILE", help="The token of senders and followers.")
@click.option("--keep", type=click.IntRange(min=1), default=KEEP, show_default=True, help="Notices that are kept.")
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Speak HTTPS with this certificate (PEM).")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="The certificate's key, where it is in another file.")
def serve_command(
    host: str, port: int, token_file: Path | None, keep: int, tls_cert: Path | None, tls_key: Path | None
) -> None:
    """Run the witness: take Alertmanager's webhooks and tell runs what came, until Ctrl-C."""
    if tls_key is not None and tls_cert is None:
        raise BadInput(Problem(None, "--tls-key is given without --tls-cert", "give both"))
    token = read_token(token_file) if token_file is not None else ""
    server = WitnessServer(Settings(host, port, token, keep, tls_cert, tls_key), _tell)

    def ready() -> None:
        click.echo(f"witness  {server.url}")
        if token_file is not None:
            click.echo(f"token    in {token_file}")
            if readable_by_others(token_file):
                click.echo(f"note: every user of this machine can read the token: chmod o-r {quote(str(token_file))}")
            if tls_cert is None and not is_loopback(host):
                click.echo("note: without --tls-cert the token and the notices travel in clear")
        for line in _next(server.url, token_file):
            click.echo(line)

    with signals_end(lambda _why: server.end()):
        server.run(ready)
    store = server.store
    turned_away = ", ".join(f"{count} {reason}" for reason, count in sorted(store.refused.items()))
    click.echo(f"heard {store.last} notices" + (f"; turned away: {turned_away}" if turned_away else ""))


def _next(url: str, token_file: Path | None) -> list[str]:
    given = f" --token-file {token_file.resolve()}" if token_file is not None else ""
    return [
        "next:",
        f"  chaoskit witness config --alertmanager FILE --url {url}{given}    what Alertmanager needs",
        f"  witness: {url}    in the profile, below attached:" + (" (and its access)" if token_file else ""),
        "  chaoskit doctor --profile NAME    whether a canary arrives",
        "Ctrl-C ends it",
    ]


def _tell(notice: Notice) -> None:
    """One line for each notice."""
    clock = time.strftime("%H:%M:%S", time.localtime(notice.sent[1]))
    names = list(dict.fromkeys(alert.labels.get("alertname", "no name") for alert in notice.alerts))
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    receiver = "canary" if notice.receiver == RECEIVER else notice.receiver
    click.echo(clean(f"{clock} {receiver}: {notice.status} {shown}"))
