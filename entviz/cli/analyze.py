"""``entviz analyze``: entropy and importance across depth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from entviz.blocks import KINDS
from entviz.cli import metric_options
from entviz.cli.keeping import Keeper, add_keeping
from entviz.cli.reporting import about, add_report, write_report
from entviz.cli.shared import add_command, print_json, print_table, progress_bar, read_subject, tell, words
from entviz.estimators import METRICS, default_metrics, specs_in_order

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.cli.shared import Subject


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "analyze", run, "Measure the entropy at every site and the importance of every block."
    )
    command.add_argument(
        "--metric",
        default=",".join(default_metrics()),
        help=f"some of {', '.join(METRICS)} (default: %(default)s)",
    )
    metric_options.add(command, METRICS)
    command.add_argument("--level", default=",".join(KINDS), help="some of layer, attn, mlp (default: all)")
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.analysis import analyze

    metrics, levels = metric_options.applied(options, words(options.metric)), words(options.level)
    with Keeper(options) as keeper:
        subject = read_subject(options)
        with progress_bar("analyze") as progress:
            analysis = analyze(subject.loaded, subject.windows, metrics, levels, progress=progress)
        if options.json:
            print_json(analysis.to_json(), subject.notes)
        else:
            _print(analysis, str(subject))
        tell(subject.notes + analysis.notes)
        _keep(keeper, subject, analysis, metrics, levels)
    if options.report is not None:
        from entviz.report import of_analysis

        write_report(options.report, of_analysis(analysis, about(options, subject)))


def _keep(
    keeper: Keeper, subject: Subject, analysis: Analysis, metrics: Sequence[str], levels: Sequence[str]
) -> None:
    from entviz.blocks import in_order_of_kind
    from entviz.workbench.tasks import Analyze

    task = Analyze(keeper.request(subject), specs_in_order(metrics), in_order_of_kind(levels))
    keeper.keep(task, subject.loaded, subject.windows.fingerprint, analysis)


def _print(analysis: Analysis, where: str) -> None:
    print(where)
    if not analysis.sites.empty:
        print_table("Entropy at each site (nats)", analysis.sites, "site")
        for metric in dict.fromkeys(analysis.sites["metric"]):
            print(f"Turning point by {metric}: layer {analysis.turning_point(metric)}.")
    print_table("Entropy increase (nats); for cosine, importance = 1 - similarity", analysis.blocks, "block")
