"""``entviz export``: a pruned model written to a directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from entviz.cli.shared import (
    add_command,
    load_model,
    print_json,
    progress_bar,
    read_recipe_of,
    read_subject,
    tell,
)
from entviz.errors import ExportError, OptionError


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "export", run, "Write a pruned model to a directory.", text_required=False
    )
    command.add_argument("--drop", required=True, metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json")
    command.add_argument("--out", required=True, metavar="DIR", help="the directory to write")
    command.add_argument(
        "--format", default="hf", help="hf, recipe, mergekit, llama.cpp or llm-drop (default: %(default)s)"
    )
    command.add_argument(
        "--criterion", metavar="WORDS", help="how the blocks were chosen, for the model card"
    )
    command.add_argument("--force", action="store_true", help="replace an earlier export there")


def run(options: argparse.Namespace) -> None:
    """Run the command and print the result."""
    from entviz.export import export
    from entviz.export.place import check_target
    from entviz.export.registry import FORMATS

    recipe, target = read_recipe_of(options), Path(options.out)
    drop = recipe.drop
    objection = FORMATS[options.format].objection(options.model, drop)
    if objection is not None:
        raise ExportError(objection)
    check_target(target, replace=options.force)  # before anything takes time
    evaluation, text = None, ""
    said: tuple[str, ...] = ()
    if options.text is None and options.text_file is None and options.token_ids is None:
        if options.windows is not None or options.window_length is not None:
            raise OptionError("--windows and --window-length cut a text: give one, or leave them out.")
        if not options.begin:
            raise OptionError("--no-bos is for the text to measure on: give one, or leave it out.")
        loaded = load_model(options)
    else:
        from entviz.evaluation.loss import evaluate

        subject = read_subject(options)
        loaded, windows = subject.loaded, subject.windows
        files = options.text_file or options.token_ids
        text = Path(files).name if files else f'"{options.text[:60]}"'
        with progress_bar("evaluate") as progress:
            evaluation = evaluate(loaded, windows, drop, dtype=options.dtype, progress=progress)
        said = subject.notes + evaluation.notes
        tell(said)
    with progress_bar("export") as progress:
        found = export(
            loaded,
            drop,
            options.format,
            target,
            evaluation=evaluation,
            text=text,
            criterion=options.criterion or recipe.criterion,
            replace=options.force,
            progress=progress,
        )
    if options.json:
        print_json(found.to_json(), said)
        return
    print(f"Written to {found.directory}, {found.bytes / 1e6:.1f} MB: {', '.join(found.files)}.")
    if evaluation is not None:
        from entviz.evaluation.perplexity import in_words

        dense, pruned = (
            in_words(value, ".4f") for value in (evaluation.dense_perplexity, evaluation.perplexity)
        )
        print(f"Perplexity {dense} dense, {pruned} pruned.")
    if found.check is not None:
        print(found.check.sentence)
    print(f"\n{found.loading}")
    for note in found.notes:
        print(f"Note: {note}", file=sys.stderr)
