"""``entviz export``: a pruned model written to a directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.cli.repairing import add_repair, repair_from
from entviz.cli.running import runner_for
from entviz.cli.shared import (
    add_command,
    has_text,
    loading_of,
    print_json,
    progress_bar,
    read_recipe_of,
    read_sample,
    tell,
)
from entviz.errors import OptionError
from entviz.export.registry import FORMATS

if TYPE_CHECKING:
    from entviz.export import Exported
    from entviz.studies import ModelAlone, TextSample


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "export", run, "Write a pruned model to a directory.", text_required=False
    )
    command.add_argument("--drop", required=True, metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json")
    command.add_argument("--out", required=True, metavar="DIR", help="the directory to write")
    command.add_argument(
        "--format", default="hf", metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: %(default)s)"
    )
    command.add_argument(
        "--criterion", metavar="WORDS", help="how the blocks were chosen, for the model card"
    )
    add_repair(command)
    command.add_argument("--force", action="store_true", help="replace an earlier export in that directory")


def run(options: argparse.Namespace) -> None:
    """Run the command and print the result."""
    from entviz.models.notes import notes_on
    from entviz.studies import Export

    recipe = read_recipe_of(options)
    sample, notes = _sample(options)
    study = Export(
        sample,
        recipe.drop,
        options.format,
        Path(options.out),
        text_title=_text_title(options),
        criterion=options.criterion or recipe.criterion or "",
        dtype=options.dtype,
        replace=options.force,
        bounded=False,
        repair=repair_from(options, recipe),
    )
    with runner_for(options) as runner:
        begun = runner.begin(study)
        if begun.windows is not None:
            notes += notes_on(begun.loaded, begun.windows)
        tell(notes)
        with progress_bar("export") as progress:
            found = runner.run_now(begun, progress).result
    if options.json:
        print_json(found.to_json(), notes)
        return
    _print(found)


def _sample(options: argparse.Namespace) -> tuple[TextSample | ModelAlone, tuple[str, ...]]:
    """The model, with the text to measure it on if one is given, and notes about how the text was read."""
    from entviz.studies import ModelAlone

    if has_text(options):
        return read_sample(options)
    if options.windows is not None or options.window_length is not None:
        raise OptionError("--windows and --window-length are for a text: give a text, or leave them out.")
    if not options.begin:
        raise OptionError("--no-bos is for the text to measure on: give a text, or leave the option out.")
    return ModelAlone(options.model, loading_of(options)), ()


def _text_title(options: argparse.Namespace) -> str:
    file = options.text_file or options.token_ids
    if file:
        return Path(file).name
    return "" if options.text is None else f'"{options.text[:60]}"'


def _print(found: Exported) -> None:
    from entviz.evaluation.perplexity import in_words

    print(f"Written to {found.directory}, {found.bytes / 1e6:.1f} MB: {', '.join(found.files)}.")
    if (measured := found.recipe.measured) is not None:
        dense, pruned = in_words(measured.dense_perplexity, ".4f"), in_words(measured.perplexity, ".4f")
        repaired = "" if found.recipe.repair is None else f" and repaired by {found.recipe.repair.method}"
        print(f"Perplexity {dense} dense, {pruned} pruned{repaired}.")
    if found.check is not None:
        print(found.check.sentence)
    print(f"\n{found.loading}")
    for note in found.notes:
        print(f"Note: {note}", file=sys.stderr)
