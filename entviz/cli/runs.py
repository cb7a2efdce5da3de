"""``entviz runs``: the stored results of commands and of the dashboard."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

from entviz.blocks import PruneSet
from entviz.cli.running import note
from entviz.cli.shared import print_json
from entviz.errors import OptionError, StoreError

_MOST = 10_000
_FIELDS = ("key", "kind", "created", "model", "description", "options", "summary", "program")


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    purpose = "List what was computed and kept, by these commands and by the dashboard, the newest first."
    command = commands.add_parser("runs", help="list what was computed and kept", description=purpose)
    command.set_defaults(command=run)
    command.add_argument("--kind", help="only one kind, such as analysis or evaluation")
    command.add_argument("--model", metavar="M", help="only of this model")
    command.add_argument(
        "--contains", default="", metavar="WORDS", help="only runs whose text has these words"
    )
    command.add_argument(
        "--drop",
        metavar="BLOCKS",
        help="only runs that drop at least these blocks; dense: runs that drop none",
    )
    command.add_argument("--limit", type=int, default=50, metavar="N", help="at most N runs (default: 50)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")


def run(options: argparse.Namespace) -> None:
    """List the runs.

    Raises ``StoreError`` if stored results cannot be read now.
    """
    from entviz.studies.listing import as_csv, dropped, found, listing
    from entviz.studies.registry import open_store, part_kinds, stored_studies

    if options.kind is not None and options.kind not in stored_studies():
        raise OptionError(
            f"'{options.kind}' is not a kind of run: choose from {', '.join(stored_studies())}."
        )
    if not 1 <= options.limit <= _MOST:
        raise OptionError(f"--limit must be from 1 to {_MOST:,}, not {options.limit}.")
    drop = None if options.drop is None else PruneSet.parse("" if options.drop == "dense" else options.drop)
    # Nothing is written here; the reason why it cannot be read is reported below.
    store = open_store(announce=lambda _: None)
    runs = store.runs(
        kind=options.kind,
        without=part_kinds(),
        model=options.model,
        contains=options.contains,
        drop=drop,
        limit=options.limit,
    )
    unreadable = store.unreadable
    store.close()
    if unreadable is not None:
        raise StoreError(unreadable)
    for notice in store.notices:
        note(notice)
    if options.json:
        print_json({"runs": [{name: getattr(one, name) for name in _FIELDS} for one in runs]})
    elif options.csv:
        print(as_csv(listing(runs)), end="")
    elif not runs:
        print(
            "entviz: there are no such runs. Results of commands and of the dashboard are listed here.",
            file=sys.stderr,
        )
    for one in runs if not options.json and not options.csv else ():
        when = datetime.fromtimestamp(one.created).astimezone()
        without = f"; dropped {dropped(one)}" if dropped(one) else ""
        print(f"{when:%Y-%m-%d %H:%M}  {one.kind:<12} {one.model}: {one.description}")
        print(f"{'':<18}{found(one)}{without}")
