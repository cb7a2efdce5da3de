"""``entviz generate``: a greedy continuation without the dropped blocks."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from entviz.cli.keeping import Keeper, add_keeping, placed
from entviz.cli.reporting import about_text, add_report, write_report
from entviz.cli.shared import (
    add_beginning,
    add_command,
    load_model,
    print_json,
    progress_bar,
    read_drop,
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
        "--max-new-tokens", type=int, default=24, metavar="N", help="at most this many (default: 24)"
    )
    command.add_argument(
        "--no-cache", action="store_true", help="run the whole sequence again for each token"
    )
    add_beginning(command)
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.evaluation.generation import generate
    from entviz.workbench.tasks import Generate

    notes: list[str] = []
    prompt, drop = typed(options.prompt, notes.append), read_drop(options)
    with Keeper(options) as keeper:
        loaded = load_model(options)
        with progress_bar("generate") as progress:
            found = generate(
                loaded,
                prompt,
                drop,
                max_new_tokens=options.max_new_tokens,
                use_cache=not options.no_cache,
                begin=options.begin,
                progress=progress,
            )
        if options.json:
            print_json(found.to_json(), notes)
        else:
            _print(found)
        tell((*notes, *found.notes))
        task = Generate(placed(options.model), prompt, drop, options.max_new_tokens, options.begin)
        # The tokens are the same without a cache, but the speeds are not.
        cache = "none" if options.no_cache else None
        keeper.keep(task, loaded, task.read(loaded).fingerprint, found, cache=cache)
    if options.report is not None:
        from entviz.report import of_generation
        from entviz.report.ending import title_of

        prompted = about_text(options, loaded, prompt, title_of(prompt, task.describe()))
        write_report(
            options.report,
            of_generation(found, prompted, options.max_new_tokens, cached=not options.no_cache),
        )


def _print(found: Generation) -> None:
    print(found.text)
    print(
        f"{counted(found.new_tokens, 'new token')}, "
        f"{found.decode_tokens_per_second:.1f} a second, "
        f"{f'without {found.drop}' if found.drop else 'by the dense model'}.",
        file=sys.stderr,
    )
