"""``entviz evaluate``: the cost of a prune set on a text or a task."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any, cast

from entviz.cli.repairing import add_repair, repair_from
from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import (
    add_command,
    loading_of,
    measured_on,
    print_json,
    progress_bar,
    read_recipe_of,
    read_sample,
    tell,
)
from entviz.errors import OptionError
from entviz.words.phrases import decimals

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.repaired import RepairedEvaluation
    from entviz.evaluation.tasks import TaskResult
    from entviz.statistics import Interval
    from entviz.studies import Evaluate


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands,
        "evaluate",
        run,
        "Measure what a prune set costs on a text or a task.",
        task=True,
        casts=True,
    )
    command.add_argument(
        "--drop", default="", metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json (default: nothing)"
    )
    add_repair(command)
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.studies import Evaluate, EvaluateRepaired
    from entviz.text.spelling import spell

    if options.task is not None:
        _score_task(options)
        return
    if options.limit is not None:
        raise OptionError(
            "--limit is for the items of a --task; --windows limits how much of a text is read."
        )
    recipe = read_recipe_of(options)
    sample, notes = read_sample(options)
    drop, repair = recipe.drop, repair_from(options, recipe)
    if repair is None:
        study: Evaluate = Evaluate(sample, drop, options.dtype)
    else:
        study = EvaluateRepaired(sample, drop, options.dtype, repair)
    with runner_for(options) as runner, progress_bar("evaluate") as progress:
        outcome = runner.run_now(study, progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json(), notes)
    else:
        _print(found, measured_on(outcome))
        if isinstance(study, EvaluateRepaired):
            _print_repaired(cast("RepairedEvaluation", found))
    tell(notes + found.notes)
    spoken = outcome.loaded.optional_tokenizer  # without one, the report has the numbers and no text
    rows = study.token_rows(found)
    write_report_of(options, outcome, None if spoken is None else [spell(spoken, row) for row in rows])


def _print_repaired(found: RepairedEvaluation) -> None:
    from entviz.evaluation.perplexity import in_words

    print(
        f"Repaired by {found.repair}, fitted on {found.calibration_tokens:,} tokens: {found.fitted_on}. The numbers "
        f"above are with the repair.\nWithout it: perplexity {in_words(found.plain_perplexity, '.4f')}, loss "
        f"{found.plain_nll:.4f} nats a token, KL {found.plain_kl:.4f} nats."
    )
    if found.recovered is not None:
        print(f"Share of the loss increase recovered on this text: {decimals(100 * found.recovered, 1)}%.")


def _print(found: Evaluation, where: str) -> None:
    from entviz.evaluation.perplexity import in_words

    print(where, f"{found.tokens} tokens scored, in {found.dtype}.", sep="\n")
    print(f"Dropped: {found.drop or 'nothing'}\n")
    print(f"{'':<28}{'dense':>14}{'pruned':>14}")
    dense, pruned = (in_words(value, ".4f") for value in (found.dense_perplexity, found.perplexity))
    print(f"{'perplexity':<28}{dense:>14}{pruned:>14}")
    print(f"{'loss per token (nats)':<28}{found.dense_nll:>14.4f}{found.nll:>14.4f}")
    increase = found.nll_increase
    print(f"{'loss increase (nats)':<28}{'':>14}{decimals(increase.mean, 4):>14}{_plus_minus(increase)}")
    print(f"{'KL from dense (nats)':<28}{0:>14.4f}{found.kl:>14.4f}{_plus_minus(found.kl_interval)}")
    print(f"{'top-1 agreement with dense':<28}{1:>14.1%}{found.top1_agreement:>14.1%}")
    print(
        f"{'parameters (millions)':<28}{found.parameters_dense / 1e6:>14.2f}{found.parameters_pruned / 1e6:>14.2f}"
    )
    print(f"{'weight memory (MB)':<28}{found.bytes_dense / 1e6:>14.1f}{found.bytes_pruned / 1e6:>14.1f}")
    print("\n± is the 95% interval for more text like this one. It allows for correlated tokens.")


def _plus_minus(found: Interval) -> str:
    return f" ± {found.reach:.4f}" if math.isfinite(found.reach) else ""


def _score_task(options: argparse.Namespace) -> None:
    from entviz.studies import ScoreTask, TaskItems
    from entviz.tasks import BUILT_IN, read_task, task_titles

    if options.windows is not None or options.window_length is not None:
        raise OptionError(
            "--windows and --window-length are for a text; for the items of a --task, use --limit."
        )
    recipe, task = read_recipe_of(options), read_task(options.task)
    repair = repair_from(options, recipe)
    # As on the dashboard: a task of the hub is kept by its name, any other task with its items.
    of_the_hub = options.task in task_titles() and options.task not in BUILT_IN
    named = options.task if of_the_hub else task
    items = TaskItems(options.model, named, options.limit, options.begin, loading_of(options))
    with runner_for(options) as runner, progress_bar("evaluate") as progress:
        outcome = runner.run_now(ScoreTask(items, recipe.drop, options.dtype, repair), progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json())
    else:
        _print_accuracy(found, outcome.loaded.name)
    tell(found.notes)
    write_report_of(options, outcome)


def _print_accuracy(found: TaskResult, model: str) -> None:
    print(
        f"{model}: {found.task}, {found.items} items, in {found.dtype}.\nDropped: {found.drop or 'nothing'}"
        + (f", repaired by {found.repair}\n" if found.repair else "\n")
    )
    for name, share, error in (
        ("accuracy", found.accuracy, found.standard_error),
        ("accuracy, length-normalized", found.accuracy_normalized, found.standard_error_normalized),
    ):
        print(f"{name:<28}{share:>14.1%}" + (f"  +- {error:.1%}" if error == error else ""))
    print(f"{'blind guessing':<28}{found.chance:>14.1%}")
