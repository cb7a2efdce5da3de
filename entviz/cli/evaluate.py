"""``entviz evaluate``: what a prune set costs on a text or a task."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from entviz.cli.keeping import Keeper, add_keeping, placed
from entviz.cli.reporting import about, about_text, add_report, write_report
from entviz.cli.shared import add_command, load_model, print_json, progress_bar, read_drop, read_subject, tell
from entviz.errors import OptionError
from entviz.words.phrases import decimals

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.tasks import TaskResult
    from entviz.statistics import Interval


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
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.evaluation.loss import evaluate
    from entviz.workbench.tasks import Evaluate

    if options.task is not None:
        with Keeper(options) as keeper:
            _evaluate_task(options, keeper)
        return
    if options.limit is not None:
        raise OptionError(
            "--limit is for the items of a --task; --windows limits how much of a text is read."
        )
    drop = read_drop(options)
    with Keeper(options) as keeper:
        subject = read_subject(options)
        loaded, windows = subject.loaded, subject.windows
        with progress_bar("evaluate") as progress:
            found = evaluate(loaded, windows, drop, dtype=options.dtype, progress=progress)
        if options.json:
            print_json(found.to_json(), subject.notes)
        else:
            _print(found, str(subject))
        tell(subject.notes + found.notes)
        task = Evaluate(keeper.request(subject), drop, options.dtype)
        keeper.keep(task, loaded, windows.fingerprint, found)
    if options.report is not None:
        from entviz.report import of_evaluation
        from entviz.text.spelling import spell

        spoken = loaded.optional_tokenizer  # without one, the report has the numbers and no text
        pieces = None if spoken is None else [spell(spoken, row) for row in found.token_ids.tolist()]
        write_report(options.report, of_evaluation(found, pieces, about(options, subject)))


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


def _evaluate_task(options: argparse.Namespace, keeper: Keeper) -> None:
    from entviz.evaluation.tasks import evaluate_task
    from entviz.tasks import BUILT_IN, read_task, task_titles
    from entviz.workbench.tasks import Score

    if options.windows is not None or options.window_length is not None:
        raise OptionError("--windows and --window-length cut a text; a --task has items. Use --limit.")
    drop, task = read_drop(options), read_task(options.task)
    loaded = load_model(options)
    with progress_bar("evaluate") as progress:
        found = evaluate_task(
            loaded,
            task,
            drop,
            dtype=options.dtype,
            limit=options.limit,
            begin=options.begin,
            progress=progress,
        )
    if options.json:
        print_json(found.to_json())
    else:
        _print_accuracy(found, loaded.name)
    tell(found.notes)
    # As the dashboard asks: a task of the hub by its name, any other as it was read.
    of_the_hub = options.task in task_titles() and options.task not in BUILT_IN
    named = options.task if of_the_hub else task
    asked = Score(placed(options.model), named, drop, options.limit, options.dtype, options.begin)
    keeper.keep(asked, loaded, task.fingerprint, found)
    if options.report is not None:
        from entviz.report import of_score

        title = f"the task {asked.describe()}"
        of_task = about_text(options, loaded, asked.text, title)
        write_report(options.report, of_score(found, of_task, options.limit))


def _print_accuracy(found: TaskResult, model: str) -> None:
    print(
        f"{model}: {found.task}, {found.items} items, in {found.dtype}.\nDropped: {found.drop or 'nothing'}\n"
    )
    for name, share, error in (
        ("accuracy", found.accuracy, found.standard_error),
        ("accuracy, length-normalized", found.accuracy_normalized, found.standard_error_normalized),
    ):
        print(f"{name:<28}{share:>14.1%}" + (f"  +- {error:.1%}" if error == error else ""))
    print(f"{'blind guessing':<28}{found.chance:>14.1%}")
