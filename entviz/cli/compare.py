"""``entviz compare``: criteria by budgets."""

from __future__ import annotations

import argparse
from typing import Any

from entviz.cli.shared import add_command, model_and_windows, print_json, progress_bar, words


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
        default="entrodrop:bucket,entrodrop:knn,entrodrop:renyi,cosine,random",
        help="criteria as for rank; entrodrop takes its estimator after a colon (default: %(default)s)",
    )
    command.add_argument("--budgets", default="4,8,12", help="each as for rank (default: %(default)s)")
    command.add_argument("--level", default="attn", help="some of layer, attn, mlp, attn+mlp (default: attn)")
    command.add_argument("--calibration-text-file", metavar="F", help="what the criteria choose by")
    command.add_argument(
        "--calibration-windows",
        type=int,
        metavar="N",
        help="how many windows they choose by (default: all of that file, or else the first half of the text)",
    )
    command.add_argument("--seeds", type=int, default=3, help="random prune sets a budget (default: 3)")
    command.add_argument("--seconds", type=float, default=120, help="for search, a budget (default: 120)")
    command.add_argument("--task", metavar="NAME-or-FILE", help="multiple-choice items to answer too")
    command.add_argument("--limit", type=int, metavar="N", help="only the task's first so many items")


def run(options: argparse.Namespace) -> None:
    """Do it, and print what came of it."""
    import pandas as pd

    from entviz.comparison.grid import compare
    from entviz.comparison.kept import StoredParts
    from entviz.comparison.texts import Split, split
    from entviz.comparison.verdict import verdict
    from entviz.corpus import read_text, windows_from_text
    from entviz.store import Store
    from entviz.tasks import read_task

    task = read_task(options.task) if options.task is not None else None
    loaded, windows = model_and_windows(options)
    if options.calibration_text_file is not None:
        text = read_text(options.calibration_text_file, options.encoding)
        count, length = options.calibration_windows, windows.token_ids.shape[1]
        parts = Split(windows_from_text(text, loaded.tokenizer, windows=count, window_length=length), windows)
    else:
        parts = split(windows, options.calibration_windows)
    store = Store()
    try:
        with progress_bar("compare") as progress:
            found = compare(
                loaded,
                parts.calibration,
                parts.measured,
                words(options.criteria),
                words(options.budgets),
                levels=words(options.level),
                seeds=options.seeds,
                seconds=options.seconds,
                task=task,
                limit=options.limit,
                dtype=options.dtype,
                kept=StoredParts(store, loaded),
                progress=progress,
            )
    finally:
        store.close()
    if options.json:
        print_json(found.to_json())
        return
    print(
        f"{loaded.name}: chosen by {found.calibration_windows} windows, measured on {found.windows} "
        f"{'of the same ' if found.overlap else ''}windows of {found.window_length} tokens, in {found.dtype}."
    )
    columns = ["title", "level", "budget", "perplexity", "kl", "top1_agreement", "parameters_kept", "speedup"]
    columns += ["accuracy", "accuracy_normalized"] if found.task else []
    dense = found.dense.assign(title="Dense", level="", budget="")
    table = pd.concat([dense, found.table()], ignore_index=True)[[*columns, "drop"]]
    print(table.to_string(index=False, float_format="{:.4g}".format, max_colwidth=60))
    print("", *(f"- {sentence}" for sentence in [*verdict(found), *found.notes]), sep="\n")
