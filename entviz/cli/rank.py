"""``entviz rank``: any criterion's order of blocks, and a prune set for a budget."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from entviz.cli import metric_options
from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import (
    add_command,
    measured_on,
    print_json,
    progress_bar,
    protection,
    read_sample,
    tell,
)
from entviz.criteria import CRITERIA, ByAnalysis, EntroDrop, known
from entviz.errors import OptionError
from entviz.estimators import entropies

if TYPE_CHECKING:
    from entviz.criteria.ranking import Ranking
    from entviz.studies import RankingOptions


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(commands, "rank", run, "Print blocks in the order in which a criterion drops them.")
    command.add_argument(
        "--criterion",
        default="entrodrop",
        help=f"{', '.join(CRITERIA)} (default: %(default)s)",
    )
    command.add_argument(
        "--estimator",
        default=EntroDrop.estimator,
        help=f"entropy for entrodrop: {', '.join(entropies())} (default: %(default)s)",
    )
    metric_options.add(command, entropies())
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
    command.add_argument(
        "--seed", type=int, default=0, help="seed of the criterion random (default: %(default)s)"
    )
    command.add_argument(
        "--seconds", type=float, default=120, help="duration of the criterion search (default: %(default)s)"
    )
    command.add_argument(
        "--stage", type=int, choices=[2], help="for entrodrop; 2 drops only blocks after the turning point"
    )
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.studies import Rank

    by = _by(options)
    sample, notes = read_sample(options)
    with runner_for(options) as runner, progress_bar("rank") as progress:
        outcome = runner.run_now(Rank(sample, by), progress)
    ranking = outcome.result
    if options.json:
        print_json(ranking.to_json(), notes)
    else:
        _print(ranking, measured_on(outcome))
    tell(notes + ranking.notes)
    write_report_of(options, outcome)


def _by(options: argparse.Namespace) -> RankingOptions:
    """The options of the ranking. An order that does not depend on the number of blocks is stored once, as on the
    dashboard.
    """
    from entviz.criteria.budget import Budget
    from entviz.studies import RankingOptions

    criterion = known(options.criterion)
    if options.stage is not None and "stage" not in criterion.options():
        raise OptionError(f"--stage is for entrodrop: leave it out for {criterion.name}.")
    (estimator,) = metric_options.applied(options, (options.estimator,))
    wanted, budget = Budget.parse(options.budget), options.budget.strip()
    by_number = wanted.unit == "blocks" and not issubclass(criterion, ByAnalysis)
    return RankingOptions(
        options.criterion,
        estimator,
        options.level or criterion.level,
        int(wanted.amount) if by_number else str(int(wanted.amount)) if wanted.unit == "blocks" else budget,
        options.protect,
        options.stage,
        options.seed,
        float(options.seconds),
    )


def _print(ranking: Ranking, where: str) -> None:
    criterion = known(ranking.criterion)
    print(where, f"{criterion.title}: {criterion.source}")
    table = ranking.scores.set_index("block")
    print(f"\n{'rank':>4}  {'block':<10} score")
    for place, block in enumerate(ranking.order, start=1):
        score = table.at[str(block), "score"]
        mark = "  drop" if block in ranking.drop else ""
        print(f"{place:>4}  {block!s:<10} {'' if score != score else f'{score:.6g}'}{mark}")
    if ranking.overflowing:
        print(f"\nLast, as the model overflows without it: {', '.join(ranking.overflowing)}.")
    print(f"\nProtected: {', '.join(table.index[table['protected']]) or 'none'}")
    print(f"--drop {ranking.drop}" if ranking.drop else "Give --budget to choose a prune set.")
