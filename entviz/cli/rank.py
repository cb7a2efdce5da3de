"""``entviz rank``: any criterion's order of blocks, and a prune set for a budget."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
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
from entviz.criteria import CRITERIA, Criterion, EntroDrop, known
from entviz.criteria.baselines import Random
from entviz.criteria.search import Search
from entviz.criteria.spec import criterion_of, parts
from entviz.criteria.switches import Switch, all_switches
from entviz.errors import OptionError
from entviz.estimators import entropies
from entviz.repair.registry import METHODS
from entviz.words.phrases import listed

if TYPE_CHECKING:
    from entviz.criteria.ranking import Ranking
    from entviz.studies import RankingOptions


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(commands, "rank", run, "Print blocks in the order in which a criterion drops them.")
    command.add_argument(
        "--criterion",
        default="entrodrop",
        help=f"{', '.join(CRITERIA)}; with options after colons as in a comparison (default: %(default)s)",
    )
    command.add_argument(
        "--estimator",
        help=f"entropy for entrodrop: {', '.join(entropies())} (default: {EntroDrop.estimator})",
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
    command.add_argument("--seed", type=int, help=f"seed of the criterion random (default: {Random.seed})")
    command.add_argument(
        "--seconds", type=float, help=f"duration of the criterion search (default: {Search.seconds:g})"
    )
    command.add_argument(
        "--stage", type=int, choices=[2], help="for entrodrop; 2 drops only blocks after the turning point"
    )
    command.add_argument(
        "--repair",
        metavar="NAME",
        help=f"for {', '.join(_owners('repair'))}. Choose what costs least once repaired: {', '.join(METHODS)}",
    )
    for switch in _flags():
        command.add_argument(
            f"--{switch.word}",
            dest=switch.name,
            action="store_true",
            help=f"for {', '.join(_owners(switch.name))}. {switch.purpose}",
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

    given, _ = criterion_of(options.criterion)
    written = {
        each.name: getattr(given, each.name)
        for each in fields(given)
        if getattr(given, each.name) != each.default
        or (each.name == "estimator" and parts(options.criterion)[1])
    }
    for name in ("estimator", "stage", "seed", "seconds", "repair", *(switch.name for switch in _flags())):
        value = getattr(options, name)
        if value is None or value is False:
            continue
        if name in written:
            raise OptionError(
                f"--{name} and {options.criterion} both give the {name}: leave one of them out."
            )
        if name not in given.options() and name not in ("estimator", "seed", "seconds"):
            raise OptionError(f"--{name} is for {listed(_owners(name))}: leave it out for {given.name}.")
        written[name] = value
    (estimator,) = metric_options.applied(options, (written.pop("estimator", EntroDrop.estimator),))
    wanted, budget = Budget.parse(options.budget), options.budget.strip()
    by_number = wanted.unit == "blocks" and replace(given, **_own(given, written)).needs != "analysis"
    return RankingOptions(
        given.name,
        estimator,
        options.level or given.level,
        int(wanted.amount) if by_number else str(int(wanted.amount)) if wanted.unit == "blocks" else budget,
        options.protect,
        written.pop("stage", None),
        written.pop("seed", Random.seed),
        float(written.pop("seconds", Search.seconds)),
        more=tuple(written.items()),
    )


def _own(criterion: Criterion, options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in criterion.options()}


def _flags() -> list[Switch]:
    """The switches of criteria that are flags here."""
    return [switch for switch in all_switches(CRITERIA.values()).values() if switch.on is True]


def _owners(option: str) -> list[str]:
    return [criterion.name for criterion in CRITERIA.values() if option in criterion.options()]


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
