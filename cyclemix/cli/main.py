"""The command line: stages.py has one subcommand per stage, images.py and studies.py those for users."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from cyclemix.cli import images, studies
from cyclemix.cli.options import spread
from cyclemix.cli.stages import stages

EXIT_CODES = (
    "Exit status: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted, 143 stopped by SIGTERM."
)
INTERRUPTED = 130
"""128 + SIGINT, as in shells."""

app = typer.Typer(
    help="Cardiac MR segmentation from scribbles.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(images.commands)
app.add_typer(studies.commands)
app.add_typer(stages)


@app.callback()
def common(
    debug: Annotated[
        bool, typer.Option("--debug", help="print the traceback of errors; anywhere on the line")
    ] = False,
) -> None:
    """Cardiac MR segmentation from scribbles."""


def main() -> None:
    """Run the command line; errors that a user can fix end with one message and exit status 1."""
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form, datefmt="%H:%M:%S")
    signal.signal(signal.SIGTERM, _stop)
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(args=spread(arguments), prog_name="cyclemix")
    except (ValueError, FloatingPointError, OSError) as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        typer.echo(f"cyclemix: error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:  # while a stage is imported; inside of it typer does the same
        sys.exit(INTERRUPTED)


def _stop(number: int, frame: FrameType | None) -> None:
    """Log a message and terminate by the signal; finished files are kept.

    A training catches the signal itself and writes a checkpoint.
    """
    text = "SIGTERM: stopped; finished files are kept; the same command continues"
    logging.getLogger(__name__).warning(text)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
