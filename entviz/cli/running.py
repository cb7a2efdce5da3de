"""Compute the study of a command, with the same runner as the pages and without a queue.

    with runner_for(options) as runner, progress_bar("analyze") as progress:
        outcome = runner.run_now(study, progress)

Options that only a command can set are part of the study, and so of the key of the stored result. A command always
computes, even if the result is stored. If results cannot be stored, it says so on standard error and continues.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entviz.runtime.runner import Runner


def add_keeping(command: argparse.ArgumentParser) -> None:
    """Add the option that does not store the result."""
    command.add_argument(
        "--no-keep",
        dest="keep",
        action="store_false",
        help="do not keep the result (otherwise the runs command and the Runs page list it)",
    )


@contextmanager
def runner_for(options: argparse.Namespace) -> Iterator[Runner]:
    """A runner that stores results, unless ``--no-keep`` was given or the command stores none.

    Raises ``OptionError`` for an invalid limit in the environment, before the work begins.
    """
    from entviz.runtime.model_cache import ModelCache
    from entviz.runtime.runner import Runner
    from entviz.studies.registry import open_store

    store = open_store(announce=note) if getattr(options, "keep", False) else None
    try:
        yield Runner(store, ModelCache(1))
    finally:
        if store is not None:
            store.close()
            if store.held:
                note("What this command has found was not kept.")


def note(sentence: str) -> None:
    """Print a note on standard error; the command continues."""
    print(f"entviz: {sentence}", file=sys.stderr)
