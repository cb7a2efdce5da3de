"""The command line: a file for each command, with results as readable tables or as JSON.

    python -m entviz evaluate --text-file story.txt --windows 4 --window-length 128 --drop attn.25,attn.26 --json

Results go to standard output, progress and messages to standard error. User errors print one sentence and exit with
status 2. Faults of entviz print one sentence and exit with status 1, and the log has the traceback. An interrupt exits
with status 130. A new command is a file in this package with ``add`` and ``run``, and an entry in ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from entviz import logs
from entviz.cli import (
    analyze,
    compare,
    damages,
    dashboard,
    evaluate,
    export,
    generate,
    interactions,
    rank,
    runs,
    sweep,
    trust,
)
from entviz.errors import EntvizError
from entviz.failure import in_a_sentence
from entviz.version import __version__

COMMANDS = (
    *(dashboard, analyze, rank, evaluate, damages, generate, compare, trust, interactions, export, runs),
    sweep,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    logs.start(tracebacks=False)
    try:
        options.command(options)
        sys.stdout.flush()
        return 0
    except EntvizError as error:
        print(f"entviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("entviz: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the program that reads the output, such as `head`, has closed it
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the outer net: a sentence here, the traceback in the log
        failed = in_a_sentence(" ".join(sys.argv if arguments is None else arguments), error)
        print(f"entviz: {failed} The log is {logs.log_file()}.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="entviz",
        description="See a decoder language model's entropy change with depth, drop blocks, and read what it costs.",
    )
    parser.add_argument("--version", action="version", version=f"entviz {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
