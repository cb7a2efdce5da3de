"""``entviz compare``: criteria by budgets."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, note, runner_for
from entviz.cli.shared import add_command, print_json, progress_bar, read_sample, tell, words
from entviz.comparison.grid.contenders import timed, usual, with_repairs
from entviz.errors import OptionError
from entviz.progress import silent
from entviz.repair.registry import METHODS

if TYPE_CHECKING:
    from entviz.comparison.grid.estimate import Estimate
    from entviz.comparison.grid.result import Comparison
    from entviz.studies import Compare


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands,
        "compare",
        run,
        "Compare criteria at several budgets by what their prune sets cost.",
        casts=True,
    )
    command.add_argument(
        "--criteria",
        default=",".join(usual()),
        help="criteria as for rank; entrodrop takes its estimator after a colon (default: %(default)s)",
    )
    command.add_argument(
        "--repairs",
        default="",
        metavar="NAMES",
        help="repairs that every prune set is measured with besides, fitted on the text that the criteria choose by "
        f"and on text that the model writes itself: some of {', '.join(METHODS)}",
    )
    command.add_argument("--budgets", default="4,8,12", help="each as for rank (default: %(default)s)")
    command.add_argument("--level", default="attn", help="some of layer, attn, mlp, attn+mlp (default: attn)")
    command.add_argument("--calibration-text-file", metavar="F", help="text file that the criteria choose by")
    command.add_argument(
        "--calibration-windows",
        type=int,
        metavar="N",
        help="number of windows that the criteria choose by, spread evenly over that file (default: all of it); "
        "without such a file, from the start of the text (default: its first half)",
    )
    command.add_argument(
        "--search-windows",
        type=int,
        metavar="N",
        help="number of windows of the calibration file that the search chooses by; it can use more text than other "
        "criteria in the same time (default: four times as many as the others)",
    )
    command.add_argument(
        "--seeds", type=int, default=3, help="number of random prune sets for each budget (default: 3)"
    )
    command.add_argument(
        "--seconds", type=float, default=120, help="seconds of search for each budget (default: 120)"
    )
    command.add_argument("--task", metavar="NAME-or-FILE", help="multiple-choice items to evaluate as well")
    command.add_argument("--limit", type=int, metavar="N", help="only the first N items of the task")
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="only say how long it would take here, as busy as the machine is",
    )
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    if options.limit is not None and options.task is None:
        raise OptionError("--limit is for the items of a --task: name a task, or leave the option out.")
    if options.search_windows is not None and not timed(words(options.criteria)):
        raise OptionError(
            "--search-windows is for the criterion search: add search to --criteria, or leave the option out."
        )
    if options.search_windows is not None and options.calibration_text_file is None:
        raise OptionError(
            "--search-windows needs a --calibration-text-file to take the windows from: name one."
        )
    study, notes = _study(options)
    with runner_for(options) as runner:
        begun = runner.begin(study)
        estimated = runner.estimate(begun, silent, fresh=True)
        if options.dry_run:
            _print_estimate(estimated, options.json)
            return
        note(f"{estimated.in_words()}.")
        with progress_bar("compare") as progress:
            outcome = runner.run_now(begun, progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json(), notes)
    else:
        _print(found)
    tell(notes)
    write_report_of(options, outcome)


def _print_estimate(found: Estimate, as_json: bool) -> None:
    if as_json:
        print_json({"prune_sets": found.prune_sets, "seconds": found.seconds})
    else:
        print(f"{found.in_words()}.")


def _study(options: argparse.Namespace) -> tuple[Compare, tuple[str, ...]]:
    """The requested comparison, and notes about how its texts were read."""
    from entviz.studies import Compare
    from entviz.studies.comparison import Cut
    from entviz.tasks import read_task
    from entviz.text.files import read_text

    task = read_task(options.task) if options.task is not None else None
    criteria = with_repairs(words(options.criteria), words(options.repairs))
    sample, notes = read_sample(options)
    cut = Cut(None, options.calibration_windows, options.search_windows)
    if options.calibration_text_file is not None:
        more: list[str] = []
        text = read_text(options.calibration_text_file, options.encoding, note=more.append)
        cut, notes = replace(cut, measured=sample), (*notes, *more)
        sample = replace(sample, text=text, windows=None, ids=None)
    study = Compare(
        sample,
        criteria,
        words(options.budgets),
        words(options.level),
        options.seeds,
        # Nothing but the search depends on it.
        float(options.seconds) if timed(criteria) else Compare.seconds,
        task=task,
        limit=options.limit if task is not None else None,
        dtype=options.dtype,
        cut=cut,
    )
    return study, notes


def _print(found: Comparison) -> None:
    import pandas as pd

    from entviz.comparison.grid.verdict import verdict
    from entviz.evaluation.perplexity import in_words

    print(
        f"{found.model}: chosen by {found.calibration_windows} windows, measured on {found.windows} "
        f"{'of the same ' if found.overlap else ''}windows of {found.window_length} tokens, in {found.dtype}."
    )
    columns = ["title", "level", "budget", "perplexity", "kl", "top1_agreement", "parameters_kept"]
    columns += ["speedup", "speedup_low", "speedup_high"]
    columns += ["accuracy", "accuracy_normalized"] if found.task else []
    dense = found.dense.assign(title="Dense", level="", budget="")
    table = pd.concat([dense, found.table()], ignore_index=True)[[*columns, "drop"]]
    table["perplexity"] = [in_words(value, ".4g") for value in table["perplexity"]]
    print(table.to_string(index=False, float_format="{:.4g}".format, max_colwidth=60))
    print("", *(f"- {sentence}" for sentence in [*verdict(found), *found.notes]), sep="\n")
