"""``entviz trust``: which criterion predicts damage on a model and a text."""

from __future__ import annotations

import argparse
from typing import Any

from entviz.cli.shared import add_command, measured_on, model_and_windows, print_json, progress_bar, words

ENTROPIES = ("bucket", "knn", "renyi")


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "trust", run, "Tell how well each criterion's scores predict measured damage.", casts=True
    )
    command.add_argument(
        "--level", default="attn", help="layer, attn, mlp or attn+mlp (default: %(default)s)"
    )
    command.add_argument(
        "--estimators",
        default=",".join(ENTROPIES),
        help="entropies to judge, matrix among them (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Do it, and print what came of it."""
    from entviz.comparison.trust import trust
    from entviz.comparison.trust_verdict import verdict

    loaded, windows = model_and_windows(options)
    with progress_bar("trust") as progress:
        found = trust(
            loaded,
            windows,
            options.level,
            estimators=words(options.estimators),
            dtype=options.dtype,
            progress=progress,
        )
    if options.json:
        print_json(found.to_json() | {"verdict": verdict(found)})
        return
    print(
        measured_on(loaded, windows), "Damage: loss increase when a block alone is dropped.", *verdict(found)
    )
    for scope, name in (("all", "every block"), ("inner", "without the first two layers and the last")):
        table = found.correlations[found.correlations["scope"] == scope].drop(columns="scope")
        print(f"\nRank correlation with damage over {name}, 95% intervals")
        print(table.to_string(index=False, float_format="{:.3f}".format))
