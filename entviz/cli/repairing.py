"""The options of commands that take a repair of the prune set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from entviz.errors import OptionError

if TYPE_CHECKING:
    from entviz.repair.choice import RepairChoice


def add_repair(command: argparse.ArgumentParser) -> None:
    """Add ``--repair`` and the options of its calibration text."""
    from entviz.repair.choice import WINDOW_LENGTH, WINDOWS
    from entviz.repair.registry import METHODS

    group = command.add_argument_group("repair")
    group.add_argument(
        "--repair",
        metavar="NAME",
        help=f"repair the prune set in closed form, and compare with it unrepaired: {', '.join(METHODS)}",
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
        default=WINDOWS,
        metavar="N",
        help="at most so many windows of each kind of text (default: %(default)s)",
    )
    group.add_argument(
        "--repair-window-length",
        type=int,
        default=WINDOW_LENGTH,
        metavar="N",
        help="tokens in each of these windows (default: %(default)s)",
    )


def repair_from(options: argparse.Namespace) -> RepairChoice | None:
    """The repair that the options ask for, or None. Raises ``OptionError`` for text without a repair to fit on it."""
    from entviz.repair.choice import RepairChoice
    from entviz.text.files import read_text

    if options.repair is None:
        if options.repair_text_file:
            raise OptionError(
                "--repair-text-file is the text that a repair is fitted on: name one by --repair."
            )
        return None
    return RepairChoice(
        options.repair,
        tuple(read_text(file, getattr(options, "encoding", "utf-8")) for file in options.repair_text_file),
        windows=options.repair_windows,
        window_length=options.repair_window_length,
        self_written=options.repair_self_written,
    )
