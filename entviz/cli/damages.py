"""``entviz damages``: what dropping each further block would cost; or which dropped block costs which token."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from entviz.cli.reporting import add_report, write_report_of
from entviz.cli.running import add_keeping, runner_for
from entviz.cli.shared import (
    add_command,
    measured_on,
    print_json,
    progress_bar,
    read_drop,
    read_sample,
    tell,
    words,
)
from entviz.errors import OptionError

if TYPE_CHECKING:
    from entviz.comparison.damages.block_damages import BlockDamages
    from entviz.comparison.damages.token_damages import TokenDamages


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    command = add_command(
        commands, "damages", run, "Measure what dropping each further block would cost.", casts=True
    )
    command.add_argument(
        "--drop",
        default="",
        metavar="BLOCKS",
        help="what is dropped already: attn.5,layer.7 or @recipe.json (default: nothing)",
    )
    command.add_argument(
        "--level", default="attn,mlp", help="some of layer, attn, mlp (default: %(default)s)"
    )
    command.add_argument(
        "--by-token",
        action="store_true",
        help="instead: what each dropped block costs each token of the text, by putting it back alone",
    )
    add_report(command)
    add_keeping(command)


def run(options: argparse.Namespace) -> None:
    """Run the command: print the result and keep it."""
    from entviz.studies import MeasureDamages

    if options.by_token:
        _run_by_token(options)
        return
    drop, levels = read_drop(options), words(options.level)
    sample, notes = read_sample(options)
    study = MeasureDamages(sample, drop, levels, options.dtype)
    with runner_for(options) as runner, progress_bar("damages") as progress:
        outcome = runner.run_now(study, progress)
    found = outcome.result
    if options.json:
        print_json(found.to_json(), notes)
    else:
        _print(found, measured_on(outcome))
    tell(notes + found.notes)
    write_report_of(options, outcome)


def _run_by_token(options: argparse.Namespace) -> None:
    from entviz.studies import MeasureTokenDamages
    from entviz.text.spelling import spell

    drop = read_drop(options)
    if not drop:
        raise OptionError("--by-token measures what dropped blocks cost: name them after --drop.")
    sample, notes = read_sample(options)
    with runner_for(options) as runner, progress_bar("damages") as progress:
        outcome = runner.run_now(MeasureTokenDamages(sample, drop, options.dtype), progress)
    found, spoken = outcome.result, outcome.loaded.optional_tokenizer
    pieces = None if spoken is None else [spell(spoken, row) for row in MeasureTokenDamages.token_rows(found)]
    if options.json:
        print_json(found.to_json(), notes)
    else:
        _print_by_token(found, measured_on(outcome), pieces)
    tell(notes + found.notes)
    write_report_of(options, outcome, pieces)


def _print_by_token(found: TokenDamages, where: str, pieces: list[list[str]] | None) -> None:
    from entviz.figures.token_damages import worst_sentence

    print(where, f"In {found.dtype}.")
    print(f"Dropped: {found.drop}")
    print("\nWhat each dropped block costs: a token's loss, less that with the block put back alone; nats")
    table = found.table().sort_values("cost", ascending=False)
    print(table.to_string(index=False, float_format="{:.4f}".format))
    if pieces is not None:
        print("", *(worst_sentence(found, block, pieces) for block in found.measured), sep="\n")
    if found.overflowing:
        print(f"With {', '.join(found.overflowing)} put back alone, the model overflows.")


def _print(found: BlockDamages, where: str) -> None:
    from entviz.figures.damages import headline

    print(where, f"In {found.dtype}.")
    print(f"Dropped: {found.drop or 'nothing'}")
    print(f"Loss {found.nll:.4f} nats a token, KL from dense {found.kl:.4f} nats.\n")
    print(headline(found))
    table = found.blocks.sort_values("loss").drop(columns=["kind", "index"])
    print("\nIf this block is dropped too, nats a token; reach is half of the 95% interval")
    print(table.to_string(index=False, float_format="{:.4f}".format))
