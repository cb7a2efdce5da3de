"""The options of commands that take a repair of the prune set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from entviz.errors import OptionError

NONE = "none"

if TYPE_CHECKING:
    from entviz.export.recipe import Recipe
    from entviz.repair.choice import RepairChoice


def add_repair(command: argparse.ArgumentParser) -> None:
    """Add ``--repair`` and the options of its calibration text."""
    from entviz.repair.registry import METHODS

    group = command.add_argument_group("repair")
    group.add_argument(
        "--repair",
        metavar="NAME",
        help=f"repair the prune set in closed form: {', '.join(METHODS)}; or none, to leave out the repair of a recipe",
    )
    group.add_argument(
        "--repair-text-file",
        action="append",
        default=[],
        metavar="F",
        help="text to fit the repair on, which should be other text than the one measured; may be given several times, "
        "once for each kind of text",
    )
    group.add_argument(
        "--repair-self-written",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether it is fitted on text that the model writes itself too (default: yes)",
    )
    group.add_argument(
        "--repair-windows",
        type=int,
        metavar="N",
        help="so many windows in all, shared equally by the kinds of text (default: 6 for a bias, and for others as "
        "many as they need of this model, at least 16)",
    )
    group.add_argument(
        "--repair-window-length",
        type=int,
        metavar="N",
        help="tokens in each of these windows (default: 256, and 64 for a bias)",
    )


def repair_from(options: argparse.Namespace, recipe: Recipe) -> RepairChoice | None:
    """The repair that the options ask for, or else that of the recipe; or None.

    Raises ``OptionError`` for text without a repair to fit on it, or a recipe's repair whose text is not given.
    """
    from entviz.repair.choice import RepairChoice
    from entviz.text.files import read_text

    if options.repair == NONE or (options.repair is None and recipe.repair is None):
        if options.repair_text_file:
            raise OptionError(
                "--repair-text-file is the text that a repair is fitted on: name one by --repair."
            )
        return None
    encoding = getattr(options, "encoding", "utf-8")
    texts = tuple(read_text(file, encoding) for file in options.repair_text_file)
    if options.repair is None and recipe.repair is not None:
        return recipe.repair.choice(texts)
    return RepairChoice(
        options.repair,
        texts,
        windows=options.repair_windows,
        window_length=options.repair_window_length,
        self_written=options.repair_self_written,
    )
