"""``entviz interactions``: pairs of blocks."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from entviz.blocks import Block
from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import add_command, measured_on, print_json, progress_bar, read_sample, tell, words
from entviz.words.phrases import duration

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands,
        "interactions",
        run,
        "Measure what pairs of blocks cost beyond the sum of the two.",
        casts=True,
    )
    command.add_argument(
        "--level", default="attn", help="layer, attn, mlp or attn+mlp (default: %(default)s)"
    )
    command.add_argument(
        "--blocks", default="", metavar="BLOCKS", help="only pairs of these blocks (default: all)"
    )
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.comparison.interactions.plan import plan
    from entviz.studies import MeasurePairs

    blocks = tuple(Block.parse(word) for word in words(options.blocks)) or None
    sample, notes = read_sample(options)
    with runner_for(options) as runner:
        begun = runner.begin(MeasurePairs(sample, options.level, blocks, options.dtype))
        planned = plan(begun.loaded, begun.windows, options.level, blocks=blocks)
        print(
            f"entviz: {planned.pairs:,} pairs, {duration(planned.seconds_pairs)} here.",
            file=sys.stderr,
        )
        with progress_bar("interactions") as progress:
            outcome = runner.run_now(begun, progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json(), notes)
    else:
        _print(found, measured_on(outcome))
    tell(notes + found.notes)
    write_report_of(options, outcome)


def _print(found: Interactions, where: str) -> None:
    from entviz.figures.interactions import headline

    print(where, *headline(found, "loss"))
    table = found.table().sort_values("loss_interaction", ascending=False)
    table = table[["first", "second", *(column for column in table if column.startswith("loss_"))]]
    print("\nPairs by their loss increase beyond the sum of the two, nats a token")
    print(table.to_string(index=False, float_format="{:.4f}".format))
