"""``entviz generate``: a greedy continuation without the dropped blocks."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from entviz.cli.shared import add_command, load_model, print_json, progress_bar, read_drop, typed


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
    command.add_argument("--no-cache", action="store_true", help="run the whole sequence anew for each token")


def run(options: argparse.Namespace) -> None:
    """Do it, and print what came of it."""
    from entviz.evaluation.generation import generate

    prompt, drop = typed(options.prompt), read_drop(options)
    loaded = load_model(options)
    with progress_bar("generate") as progress:
        found = generate(
            loaded,
            prompt,
            drop,
            max_new_tokens=options.max_new_tokens,
            use_cache=not options.no_cache,
            progress=progress,
        )
    if options.json:
        print_json(found.to_json())
        return
    print(found.text)
    print(
        f"{found.new_tokens} new tokens, {found.decode_tokens_per_second:.1f} a second, without {drop or 'nothing'}.",
        file=sys.stderr,
    )
