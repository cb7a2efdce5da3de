"""``entviz rank``: any criterion's order of blocks, and a prune set for a budget."""

from __future__ import annotations

import argparse
from typing import Any

from entviz.cli.shared import (
    add_command,
    measured_on,
    model_and_windows,
    print_json,
    progress_bar,
    protection,
)


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(commands, "rank", run, "Print blocks in the order in which a criterion drops them.")
    command.add_argument(
        "--criterion",
        default="entrodrop",
        help="entrodrop, cosine, block-influence, angular-distance, leave-one-out, sleb, finercut, last, random or "
        "search (default: %(default)s)",
    )
    command.add_argument("--estimator", default="knn", help="entropy for entrodrop (default: %(default)s)")
    command.add_argument("--level", help="layer, attn, mlp or attn+mlp (default: the criterion's own)")
    command.add_argument(
        "--budget", default="0", metavar="N", help="how much to drop: 8 (blocks), 20%%, 50MB, '15%% latency'"
    )
    command.add_argument(
        "--protect",
        type=protection,
        metavar="FIRST,LAST",
        help="layers never dropped at the start and the end (default: 2,1 for entrodrop, 0,0 for cosine)",
    )
    command.add_argument("--seed", type=int, default=0, help="of random (default: %(default)s)")
    command.add_argument("--seconds", type=float, default=120, help="for search (default: %(default)s)")
    command.add_argument("--stage", type=int, choices=[2], help="2: only blocks after the turning point")


def run(options: argparse.Namespace) -> None:
    """Do it, and print what came of it."""
    from entviz.pruning.choose import CRITERIA, choose

    loaded, windows = model_and_windows(options)
    with progress_bar("rank") as progress:
        ranking = choose(
            loaded,
            windows,
            options.criterion,
            level=options.level,
            budget=options.budget,
            estimator=options.estimator,
            protect=options.protect,
            stage=options.stage,
            seed=options.seed,
            seconds=options.seconds,
            progress=progress,
        )
    if options.json:
        print_json(ranking.to_json())
        return
    print(
        measured_on(loaded, windows),
        f"{CRITERIA[options.criterion].title}: {CRITERIA[options.criterion].source}",
    )
    table = ranking.scores.set_index("block")
    print(f"\n{'rank':>4}  {'block':<10} score")
    for place, block in enumerate(ranking.order, start=1):
        score = table.at[str(block), "score"]
        mark = "  drop" if block in ranking.drop else ""
        print(f"{place:>4}  {block!s:<10} {'' if score != score else f'{score:.6g}'}{mark}")
    print(f"\nProtected: {', '.join(table.index[table['protected']]) or 'none'}")
    print(f"--drop {ranking.drop}" if ranking.drop else "Give --budget to choose a prune set.")
