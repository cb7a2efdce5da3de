"""``entviz analyze``: entropy and importance across depth."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from entviz.blocks import KINDS
from entviz.cli.reporting import about, add_report, write_report
from entviz.cli.shared import (
    add_command,
    measured_on,
    model_and_windows,
    print_json,
    print_table,
    progress_bar,
    words,
)

if TYPE_CHECKING:
    from entviz.analysis import Analysis


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "analyze", run, "Measure the entropy at every site and the importance of every block."
    )
    command.add_argument(
        "--metric",
        default="bucket,knn,renyi,cosine",
        help="some of bucket, knn, renyi, matrix, cosine (default: %(default)s)",
    )
    command.add_argument("--level", default=",".join(KINDS), help="some of layer, attn, mlp (default: all)")
    add_report(command)


def run(options: argparse.Namespace) -> None:
    """Do it, and print what came of it."""
    from entviz.analysis import analyze

    loaded, windows = model_and_windows(options)
    with progress_bar("analyze") as progress:
        analysis = analyze(loaded, windows, words(options.metric), words(options.level), progress=progress)
    if options.json:
        print_json(analysis.to_json())
    else:
        _print(analysis, measured_on(loaded, windows))
    if options.report is not None:
        from entviz.report import of_analysis

        write_report(options.report, of_analysis(analysis, about(options)))


def _print(analysis: Analysis, where: str) -> None:
    print(where)
    if not analysis.sites.empty:
        print_table("Entropy at each site (nats)", analysis.sites, "site")
        for metric in dict.fromkeys(analysis.sites["metric"]):
            print(f"Turning point by {metric}: layer {analysis.turning_point(metric)}.")
    print_table("Entropy increase (nats); for cosine, importance = 1 - similarity", analysis.blocks, "block")
