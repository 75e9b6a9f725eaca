"""The commands: the only place that prints or exits. Every error of chaoskit ends in a sentence."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing takes as long as Python takes to start
if TYPE_CHECKING:  # nothing more is imported before signals are heeded
    import signal
    from types import FrameType

    from chaoskit.errors import ExitCode
else:
    import _signal as signal  # the part in C: around it the module makes enums, which takes as long again

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_JUDGING = ("run", "gate", "rehearse", "verify", "check", "diff", "doctor", "sla")
"""Commands whose exit code is their answer, whether or not their output can be written."""


def main() -> None:
    """The entry point; exits with a code of `ExitCode`."""
    # Importing takes the better part of a second, in which nothing is begun that would have to be taken back.
    _on_signals(_end_early)
    import atexit
    import importlib

    atexit.register(_on_signals, signal.SIG_IGN)  # the last word: else a second Ctrl-C would be the exit code
    from chaoskit.cli import outputs

    outputs.in_utf8()
    outputs.outlast()
    importlib.import_module("chaoskit.cli.all").fetch(*(sys.argv[1:2] or ("",)))

    _on_signals(_interrupt)
    code = run(sys.argv[1:])
    _on_signals(lambda *_: os._exit(int(code)))
    sys.exit(int(outputs.settle(code, judges=bool(set(sys.argv[1:2]) & set(_JUDGING)))))


def run(arguments: list[str]) -> ExitCode:
    """Runs one command line and returns how it ended; prints what a person must know to standard error."""
    import traceback

    import click

    from chaoskit import files
    from chaoskit.cli.all import chaoskit
    from chaoskit.errors import BadInput, ExitCode
    from chaoskit.report.text import clean, clean_lines
    from chaoskit.surroundings import lacking

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
    except Exception as error:
        ours = lacking(error)
        if ours is None:
            traceback.print_exc()
            click.echo("this is a bug in chaoskit, not in your files", err=True)
            return ExitCode.BUG
        if isinstance(ours, BadInput):
            for problem in ours.problems:
                click.echo(clean(str(problem)), err=True)
        else:
            click.echo(clean_lines(str(ours)), err=True)
        return ours.exit_code
    finally:
        files.as_before()
    return result if isinstance(result, ExitCode) else ExitCode.PASS


def _on_signals(handler: signal._HANDLER) -> None:
    """Ctrl-C, SIGTERM and SIGHUP lead there; those that were ignored at the start (nohup) stay ignored."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _end_early(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(4)  # ExitCode.ABORTED, which is not imported yet


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
