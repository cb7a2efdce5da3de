"""``entviz generate``: a greedy continuation without the dropped blocks."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from entviz.cli.repairing import add_repair, repair_from
from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import (
    add_beginning,
    add_command,
    loading_of,
    print_json,
    progress_bar,
    read_recipe_of,
    tell,
    typed,
)
from entviz.words.phrases import counted

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(commands, "generate", run, "Continue a prompt greedily.", text=False)
    command.add_argument("--prompt", required=True, metavar="P", help="the text to continue")
    command.add_argument(
        "--drop", default="", metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json (default: nothing)"
    )
    command.add_argument(
        "--max-new-tokens",
        type=int,
        default=24,
        metavar="N",
        help="largest number of new tokens (default: 24)",
    )
    command.add_argument(
        "--no-cache", action="store_true", help="run the whole sequence again for each token"
    )
    add_beginning(command)
    add_repair(command)
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.studies import Generate, Prompt

    notes: list[str] = []
    prompt = Prompt(options.model, typed(options.prompt, notes.append), options.begin, loading_of(options))
    recipe = read_recipe_of(options)
    study = Generate(
        prompt,
        recipe.drop,
        options.max_new_tokens,
        cached=not options.no_cache,
        repair=repair_from(options, recipe),
    )
    with runner_for(options) as runner, progress_bar("generate") as progress:
        outcome = runner.run_now(study, progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json(), notes)
    else:
        _print(found)
    tell((*notes, *found.notes))
    write_report_of(options, outcome)


def _print(found: Generation) -> None:
    from entviz.figures.generation import speeds

    print(found.text)
    by = f"without {found.drop}" if found.drop else "by the dense model"
    by += f", repaired by {found.repair}" if found.repair else ""
    print(f"{counted(found.new_tokens, 'new token')} {by}. {speeds(found)}".strip(), file=sys.stderr)
