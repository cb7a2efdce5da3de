"""``entviz rank``: any criterion's order of blocks, and a prune set for a budget."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entviz.cli import metric_options
from entviz.cli.keeping import Keeper, add_keeping
from entviz.cli.reporting import about, add_report, write_report
from entviz.cli.shared import add_command, print_json, progress_bar, protection, read_subject, tell
from entviz.criteria import CRITERIA, ByAnalysis, EntroDrop, known, rank
from entviz.errors import OptionError
from entviz.estimators import entropies

if TYPE_CHECKING:
    from entviz.cli.shared import Subject
    from entviz.criteria.ranking import Ranking
    from entviz.workbench.rankings import Choice


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
    command.add_argument("--seed", type=int, default=0, help="of random (default: %(default)s)")
    command.add_argument("--seconds", type=float, default=120, help="for search (default: %(default)s)")
    command.add_argument(
        "--stage", type=int, choices=[2], help="of entrodrop; 2: only blocks after the turning point"
    )
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    choice = _choice(options)
    with Keeper(options) as keeper:
        subject = read_subject(options)
        with progress_bar("rank") as progress:
            ranking = rank(
                subject.loaded, subject.windows, choice.criterion, **choice.settings, progress=progress
            )
        if options.json:
            print_json(ranking.to_json(), subject.notes)
        else:
            _print(ranking, str(subject))
        tell(subject.notes + ranking.notes)
        _keep(keeper, subject, choice, ranking)
    if options.report is not None:
        from entviz.report import of_ranking

        asked = choice.task(keeper.request(subject)).options()
        write_report(options.report, of_ranking(ranking, about(options, subject), asked))


def _choice(options: argparse.Namespace) -> Choice:
    """What is ranked by, with the budget as it is written."""
    from entviz.workbench.rankings import Choice

    criterion = known(options.criterion)
    if options.stage is not None and "stage" not in criterion.options():
        raise OptionError(f"--stage is for entrodrop: leave it out for {criterion.name}.")
    (estimator,) = metric_options.applied(options, (options.estimator,))
    return Choice(
        options.criterion,
        estimator,
        options.level or criterion.level,
        options.budget,
        options.protect,
        options.stage,
        options.seed,
        float(options.seconds),
    )


def _keep(keeper: Keeper, subject: Subject, choice: Choice, ranking: Ranking) -> None:
    """Keep it as the dashboard does: of an order that took trying and that no budget changes, one for all budgets."""
    from entviz.criteria.budget import Budget
    from entviz.criteria.ranking import ranking_in_order

    wanted = Budget.parse(choice.budget)
    budget: int | str = int(wanted.amount) if wanted.unit == "blocks" else str(choice.budget).strip()
    choice = replace(
        choice, budget=str(budget) if issubclass(known(choice.criterion), ByAnalysis) else budget
    )
    if choice.cut_later:
        ranking = ranking_in_order(ranking.criterion, ranking.order, ranking.scores, 0, ranking.notes)
    task = choice.task(keeper.request(subject))
    keeper.keep(task, subject.loaded, subject.windows.fingerprint, ranking)


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
