"""``entviz analyze``: entropy and importance across depth."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from entviz.blocks import KINDS
from entviz.cli import metric_options
from entviz.cli.repairing import add_repair, repair_from
from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import (
    add_command,
    measured_on,
    print_json,
    print_table,
    progress_bar,
    read_recipe_of,
    read_sample,
    tell,
    words,
)
from entviz.estimators import METRICS, default_metrics
from entviz.progress import part
from entviz.words.massive import massive_ones

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.studies import StoredStudy


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
    command.add_argument(
        "--drop",
        default="",
        metavar="BLOCKS",
        help="measure the pruned model: attn.5,layer.7 or @recipe.json (default: the dense model)",
    )
    command.add_argument(
        "--without-massive",
        action="store_true",
        help="measure without tokens that have massive activations: those whose norm is above 10 times the median norm "
        "of their window's tokens at some site; also measures with all tokens, and says what changes "
        "(default: all tokens)",
    )
    add_repair(command)
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.studies import Analyze, AnalyzePruned

    metrics, levels = metric_options.applied(options, words(options.metric)), words(options.level)
    recipe = read_recipe_of(options)
    drop, repair = recipe.drop, repair_from(options, recipe)
    sample, notes = read_sample(options)

    def study(without: bool) -> StoredStudy[Analysis]:
        if drop or repair is not None:
            return AnalyzePruned(sample, metrics, levels, drop, repair=repair, without_massive=without)
        return Analyze(sample, metrics, levels, without_massive=without)

    every = None
    with runner_for(options) as runner, progress_bar("analyze") as progress:
        if options.without_massive:  # with all tokens first, as that also says which are massive
            every = runner.run_now(study(False), part(progress, 0, 0.5)).result
            progress = part(progress, 0.5, 1)
        outcome = runner.run_now(study(options.without_massive), progress)
    analysis = outcome.result
    if options.json:
        changed = {} if every is None else {"changes": _changes(every, analysis)}
        print_json(analysis.to_json() | changed, notes)
    else:
        _print(analysis, measured_on(outcome))
        if every is not None:
            _print_changes(every, analysis)
    tell(notes + analysis.notes)
    write_report_of(options, outcome)


def _changes(every: Analysis, without: Analysis) -> list[dict[str, Any]]:
    from entviz.comparison.massive.changes import changes

    return [change.to_json() for change in changes(every, without).values()]


def _print_changes(every: Analysis, without: Analysis) -> None:
    from entviz.figures import massive

    if not massive.are_in(every):
        print("\nNo token has massive activations here, so nothing changes without.")
        return
    print(f"\nWhat changes without massive tokens. {massive.headline(every, without, every.metrics)}")
    print(f"{massive.table(every, without, every.metrics).to_string(index=False)}\n")


def _print(analysis: Analysis, where: str) -> None:
    print(where)
    if analysis.drop:
        print(f"Dropped: {analysis.drop}" + (f", repaired by {analysis.repair}" if analysis.repair else ""))
    if not analysis.sites.empty:
        print_table("Entropy at each site (nats)", analysis.sites, "site")
        for metric in dict.fromkeys(analysis.sites["metric"]):
            print(f"Turning point by {metric}: layer {analysis.turning_point(metric)}.")
        if analysis.massive is not None and len(analysis.massive) and not analysis.without_massive:
            print(f"{massive_ones(analysis.massive, analysis.windows)} --without-massive measures without.")
    print_table("Entropy increase (nats); for cosine, importance = 1 - similarity", analysis.blocks, "block")
