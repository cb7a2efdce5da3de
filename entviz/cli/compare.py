"""``entviz compare``: criteria by budgets."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entviz.cli.keeping import Keeper, add_keeping, placed
from entviz.cli.reporting import about, add_report, write_report
from entviz.cli.shared import add_command, print_json, progress_bar, read_subject, tell, words
from entviz.comparison.grid.contenders import timed, usual
from entviz.errors import OptionError

if TYPE_CHECKING:
    from entviz.cli.shared import Subject
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.grid.texts import Split
    from entviz.tasks import Task
    from entviz.workbench.comparing import Compare


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
    command.add_argument("--budgets", default="4,8,12", help="each as for rank (default: %(default)s)")
    command.add_argument("--level", default="attn", help="some of layer, attn, mlp, attn+mlp (default: attn)")
    command.add_argument("--calibration-text-file", metavar="F", help="what the criteria choose by")
    command.add_argument(
        "--calibration-windows",
        type=int,
        metavar="N",
        help="how many windows they choose by, taken evenly from that file (default: all of it); without one, from the "
        "start of the text (default: its first half)",
    )
    command.add_argument(
        "--search-windows",
        type=int,
        metavar="N",
        help="how many windows of the calibration file the search chooses by, which can use more in its time than "
        "others in theirs (default: four times as many as they)",
    )
    command.add_argument("--seeds", type=int, default=3, help="random prune sets a budget (default: 3)")
    command.add_argument("--seconds", type=float, default=120, help="for search, a budget (default: 120)")
    command.add_argument("--task", metavar="NAME-or-FILE", help="multiple-choice items to answer too")
    command.add_argument("--limit", type=int, metavar="N", help="only the task's first so many items")
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.comparison.grid.grid import compare
    from entviz.tasks import read_task

    if options.limit is not None and options.task is None:
        raise OptionError("--limit is for the items of a --task: name one, or leave it out.")
    if options.search_windows is not None and not timed(words(options.criteria)):
        raise OptionError(
            "--search-windows are for the criterion search: add it to --criteria, or leave them out."
        )
    task = read_task(options.task) if options.task is not None else None
    with Keeper(options) as keeper:
        subject = read_subject(options)
        loaded = subject.loaded
        text, parts, notes = _parts(options, subject)
        subject = replace(subject, notes=(*subject.notes, *notes))
        with progress_bar("compare") as progress:
            found = compare(
                loaded,
                parts.calibration,
                parts.measured,
                words(options.criteria),
                words(options.budgets),
                searched=parts.searched,
                levels=words(options.level),
                seeds=options.seeds,
                seconds=options.seconds,
                task=task,
                limit=options.limit,
                begin=options.begin,
                dtype=options.dtype,
                kept=keeper.parts(loaded),
                progress=progress,
            )
        if options.json:
            print_json(found.to_json(), subject.notes)
        else:
            _print(found)
        tell(subject.notes)
        asked = _asked(options, subject, text, parts, task)
        keeper.keep(
            asked,
            loaded,
            parts.fingerprint,
            found,
            dtype=found.dtype if found.dtype != "float32" else None,
            **_apart(asked, subject, parts),
        )
    if options.report is not None:
        from entviz.report import of_comparison

        chosen_by = replace(subject, text=text) if text else subject
        write_report(options.report, of_comparison(found, about(options, chosen_by), asked.options()))


def _parts(options: argparse.Namespace, subject: Subject) -> tuple[str, Split, list[str]]:
    """The text that criteria choose by (empty for token ids), the windows to choose by and to measure on, and notes."""
    from entviz.comparison.grid.texts import Split, split, spread
    from entviz.text.files import read_text

    count = options.calibration_windows
    if options.calibration_text_file is None:
        if options.search_windows is not None:
            raise OptionError("--search-windows are taken from a --calibration-text-file: name one.")
        return subject.text or "", split(subject.windows, count), []
    notes: list[str] = []
    text = read_text(options.calibration_text_file, options.encoding, note=notes.append)
    every = subject.loaded.windows(text, window_length=subject.length, begin=options.begin)
    chosen_by, searched = spread(every, count), None
    if timed(words(options.criteria)):
        most = min(4 * len(chosen_by), len(every))
        searched = spread(every, most if options.search_windows is None else options.search_windows)
        if searched.fingerprint == chosen_by.fingerprint:
            searched = None
    return text, Split(chosen_by, subject.windows, searched), notes


def _asked(
    options: argparse.Namespace, subject: Subject, text: str, parts: Split, task: Task | None
) -> Compare:
    """The same as the dashboard asks for it."""
    from entviz.workbench import Request
    from entviz.workbench.comparing import Compare

    criteria, other = words(options.criteria), subject.text or _ids(subject)
    return Compare(
        Request(placed(options.model), text, len(parts.calibration), subject.length, options.begin),
        criteria,
        words(options.budgets),
        words(options.level),
        options.seeds,
        # Nothing but the search depends on it.
        float(options.seconds) if timed(criteria) else Compare.seconds,
        (other,) if options.calibration_text_file is not None else (),
        task,
        options.limit if task is not None else None,
    )


def _apart(asked: Compare, subject: Subject, parts: Split) -> dict[str, str]:
    """What was gone through otherwise than the dashboard would have it, in words; empty where the same was."""
    if subject.text is None:
        return {"measured": _ids(subject)} if asked.measure_on else {}
    if asked.read(subject.loaded).fingerprint == parts.fingerprint:
        return {}
    chosen_by, measured = len(parts.calibration), len(parts.measured)
    search = f", {len(parts.searched)} for the search" if parts.searched is not None else ""
    return {"windows": f"{chosen_by} to choose by and {measured} to measure on{search}"}


def _ids(subject: Subject) -> str:
    return f"token ids of {subject.name}"


def _print(found: Comparison) -> None:
    import pandas as pd

    from entviz.comparison.grid.verdict import verdict
    from entviz.evaluation.perplexity import in_words

    print(
        f"{found.model}: chosen by {found.calibration_windows} windows, measured on {found.windows} "
        f"{'of the same ' if found.overlap else ''}windows of {found.window_length} tokens, in {found.dtype}."
    )
    columns = ["title", "level", "budget", "perplexity", "kl", "top1_agreement", "parameters_kept", "speedup"]
    columns += ["accuracy", "accuracy_normalized"] if found.task else []
    dense = found.dense.assign(title="Dense", level="", budget="")
    table = pd.concat([dense, found.table()], ignore_index=True)[[*columns, "drop"]]
    table["perplexity"] = [in_words(value, ".4g") for value in table["perplexity"]]
    print(table.to_string(index=False, float_format="{:.4g}".format, max_colwidth=60))
    print("", *(f"- {sentence}" for sentence in [*verdict(found), *found.notes]), sep="\n")
