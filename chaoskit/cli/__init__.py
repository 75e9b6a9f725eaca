"""The commands: the only place that prints or exits. Everything of ours that goes wrong ends in a sentence."""

from __future__ import annotations

import sys
import traceback

import click

from chaoskit.cli.bundle import bundle_group
from chaoskit.cli.check import check_command
from chaoskit.cli.commands import chaoskit
from chaoskit.cli.diff import diff_command
from chaoskit.cli.explain import explain_command
from chaoskit.cli.gate import gate_command
from chaoskit.cli.inject import inject_command
from chaoskit.cli.new import new_command, schema_command
from chaoskit.cli.rehearse import rehearse_command
from chaoskit.cli.safety import heal_command, status_command, stop_command, unlock_command
from chaoskit.cli.witness import witness_group
from chaoskit.errors import BadInput, ChaoskitError, ExitCode
from chaoskit.report.text import clean, clean_lines

chaoskit.add_command(bundle_group)
chaoskit.add_command(check_command)
chaoskit.add_command(diff_command)
chaoskit.add_command(explain_command)
chaoskit.add_command(gate_command)
chaoskit.add_command(new_command)
chaoskit.add_command(rehearse_command)
chaoskit.add_command(schema_command)
chaoskit.add_command(witness_group)

for command in (inject_command, heal_command, status_command, stop_command, unlock_command):
    chaoskit.add_command(command)


def main() -> None:
    """The entry point; exits with a code of `ExitCode`."""
    sys.exit(int(run(sys.argv[1:])))


def run(arguments: list[str]) -> ExitCode:
    """Runs one command line and returns how it ended; prints what a person must know to standard error."""
    try:
        result = chaoskit.main(arguments, prog_name="chaoskit", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ExitCode.PASS if ended.exit_code == 0 else ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.ABORTED
    except BadInput as error:
        for problem in error.problems:
            click.echo(clean(str(problem)), err=True)
        return error.exit_code
    except ChaoskitError as error:
        click.echo(clean_lines(str(error)), err=True)
        return error.exit_code
    except BrokenPipeError:
        return ExitCode.PASS
    except Exception:
        traceback.print_exc()
        click.echo("this is a bug in chaoskit, not in your files", err=True)
        return ExitCode.BUG
    return result if isinstance(result, ExitCode) else ExitCode.PASS
