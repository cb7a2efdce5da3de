"""``entviz interactions``: pairs of blocks."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from entviz.blocks import Block
from entviz.cli.shared import add_command, measured_on, model_and_windows, print_json, progress_bar, words


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


def run(options: argparse.Namespace) -> None:
    """Do it, and print what came of it."""
    from entviz.comparison.interactions import interactions
    from entviz.comparison.plan import plan
    from entviz.figures.interactions import headline

    blocks = [Block.parse(word) for word in words(options.blocks)] or None
    loaded, windows = model_and_windows(options)
    planned = plan(loaded, windows, options.level, blocks=blocks)
    print(
        f"entviz: {planned.pairs:,} pairs, about {planned.seconds_pairs:.0f} seconds here.", file=sys.stderr
    )
    with progress_bar("interactions") as progress:
        found = interactions(
            loaded, windows, options.level, blocks=blocks, dtype=options.dtype, progress=progress
        )
    if options.json:
        print_json(found.to_json())
        return
    print(measured_on(loaded, windows), *headline(found, "loss"))
    table = found.table().sort_values("loss_interaction", ascending=False)
    table = table[["first", "second", *(column for column in table if column.startswith("loss_"))]]
    print("\nPairs by their loss increase beyond the sum of the two, nats a token")
    print(table.to_string(index=False, float_format="{:.4f}".format))
