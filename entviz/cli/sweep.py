"""``entviz sweep``: models by criteria by budgets by repairs on texts and tasks, on one worker or many."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from entviz.cli.running import note
from entviz.cli.shared import print_json, progress_bar
from entviz.errors import EntvizError, OptionError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from entviz.store import Store
    from entviz.sweep.config import SweepConfig
    from entviz.sweep.crew import Crew
    from entviz.sweep.plan import Plan
    from entviz.sweep.table import SweepTable

_MOST_WORKERS = 10_000


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    purpose = (
        "Measure models by criteria by budgets by repairs on texts and tasks, as a file describes. What is kept is not "
        "measured again, so a sweep that was stopped goes on."
    )
    command = commands.add_parser(
        "sweep", help="measure models by criteria by budgets by repairs", description=purpose
    )
    command.set_defaults(command=run)
    command.add_argument("config", metavar="CONFIG.yaml", help="what to measure; docs/sweep.md describes it")
    command.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="how many workers measure at the same time (default: 1, in this process; more need entviz[ray])",
    )
    command.add_argument(
        "--address",
        metavar="A",
        help="a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; local starts Ray on this machine",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="only count the cells, the bytes and the hours"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")


def run(options: argparse.Namespace) -> None:
    """Run the sweep, and print its table.

    Raises ``EntvizError`` at the end if cells have failed, after the table is printed.
    """
    from entviz.studies.registry import open_store
    from entviz.sweep.config import read_config
    from entviz.sweep.sweep import sweep

    if options.workers is not None and not 1 <= options.workers <= _MOST_WORKERS:
        raise OptionError(f"--workers must be from 1 to {_MOST_WORKERS:,}, not {options.workers}.")
    config = read_config(options.config)
    store = open_store(announce=note)
    try:
        if options.dry_run:
            _print_plan(_plan(config, store, options.workers or 1), options.json)
            return
        with _crew(options, config, store) as crew, progress_bar("sweep") as progress:
            table = sweep(config, store, crew, progress=progress, told=note)
    finally:
        store.close()
    _print(table, options)
    failed = table.counts()["failed"]
    if failed:
        raise EntvizError(
            f"{failed} of {len(table.rows)} cells failed, for the reasons above. Correct the cause and run the sweep "
            "again: only what is missing is measured."
        )


def _crew(options: argparse.Namespace, config: SweepConfig, store: Store) -> AbstractContextManager[Crew]:
    from entviz.sweep.crew import Alone

    if options.address is None and options.workers in (None, 1):
        return nullcontext(Alone(config, store))
    from entviz.sweep.rays import RayCrew

    return RayCrew(config, options.workers, None if options.address == "local" else options.address)


def _plan(config: SweepConfig, store: Store, workers: int) -> Plan:
    from entviz.sweep.plan import plan_of

    return plan_of(config, store, workers, told=note)


def _print_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json(plan.to_json())
        return
    print("\n".join(plan.in_words()))


def _print(table: SweepTable, options: argparse.Namespace) -> None:
    from entviz.studies.listing import as_csv

    if options.json:
        print_json(table.to_json())
    elif options.csv:
        print(as_csv(table.frame()), end="")
    else:
        shown = table.frame().drop(columns=["reason", "nll"], errors="ignore")
        # Written out here, as pandas would show every number of a column with the same decimals.
        print(shown.to_string(index=False, na_rep="", float_format="{:.4g}".format, max_colwidth=60))
        counts = table.counts()
        known = sum(row.known for row in table.rows)
        print(
            f"\n{counts['done']} of {len(table.rows)} cells done, {known} of them known before, "
            f"{counts['failed']} failed. The Sweep page and the runs command list them."
        )
