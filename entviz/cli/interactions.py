"""``entviz interactions``: pairs of blocks."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from entviz.blocks import Block
from entviz.cli.keeping import Keeper, add_keeping
from entviz.cli.reporting import about, add_report, write_report
from entviz.cli.shared import add_command, print_json, progress_bar, read_subject, tell, words

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
    command.add_argument("--blocks", default="", metavar="BLOCKS", help="only pairs of these (default: all)")
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.comparison.interactions.interactions import interactions
    from entviz.comparison.interactions.plan import plan
    from entviz.evaluation.precision import resolved
    from entviz.workbench.judging import MeasurePairs

    blocks = [Block.parse(word) for word in words(options.blocks)] or None
    with Keeper(options) as keeper:
        subject = read_subject(options)
        loaded, windows = subject.loaded, subject.windows
        dtype = resolved(options.dtype, loaded.device)
        planned = plan(loaded, windows, options.level, blocks=blocks)
        print(
            f"entviz: {planned.pairs:,} pairs, about {planned.seconds_pairs:.0f} seconds here.",
            file=sys.stderr,
        )
        with progress_bar("interactions") as progress:
            found = interactions(
                loaded, windows, options.level, blocks=blocks, dtype=dtype, progress=progress
            )
        if options.json:
            print_json(found.to_json(), subject.notes)
        else:
            _print(found, str(subject))
        tell(subject.notes + found.notes)
        named = list(found.blocks) if blocks is not None else None
        keeper.keep(
            MeasurePairs(keeper.request(subject), options.level),
            loaded,
            windows.fingerprint,
            found,
            blocks=named,
            dtype=dtype if dtype != "float32" else None,
        )
    if options.report is not None:
        from entviz.report import of_interactions

        write_report(options.report, of_interactions(found, about(options, subject), named, dtype))


def _print(found: Interactions, where: str) -> None:
    from entviz.figures.interactions import headline

    print(where, *headline(found, "loss"))
    table = found.table().sort_values("loss_interaction", ascending=False)
    table = table[["first", "second", *(column for column in table if column.startswith("loss_"))]]
    print("\nPairs by their loss increase beyond the sum of the two, nats a token")
    print(table.to_string(index=False, float_format="{:.4f}".format))
