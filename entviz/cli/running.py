"""How a command has a study computed: by the same runner as the pages, at once.

    with runner_for(options) as runner, progress_bar("analyze") as progress:
        outcome = runner.run_now(study, progress)

What a command can ask for and a page cannot is part of the study, and so of the key that the result is kept under. A
command always computes, whatever is kept. If nothing can be kept it says so on standard error, and does its work.
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
    """Add the option that keeps nothing."""
    command.add_argument(
        "--no-keep",
        dest="keep",
        action="store_false",
        help="do not keep the result (otherwise the runs command and the Runs page list it)",
    )


@contextmanager
def runner_for(options: argparse.Namespace) -> Iterator[Runner]:
    """A runner that keeps results, unless ``--no-keep`` was given or the command keeps none.

    Raises ``OptionError`` at once where the environment sets a bound that is none, not after the work is done.
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
    """Say something on standard error that stops no command."""
    print(f"entviz: {sentence}", file=sys.stderr)
