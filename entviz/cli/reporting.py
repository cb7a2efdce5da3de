"""What ``--report`` adds to a command: one HTML file with the figures, the numbers and the text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from entviz.errors import ExportError

if TYPE_CHECKING:
    from entviz.report import About


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the option."""
    command.add_argument("--report", metavar="F.html", help="also write a report that opens in any browser")


def about(options: argparse.Namespace) -> About:
    """What a report is about, from the options that named the model and the text."""
    from entviz.corpus import read_text
    from entviz.report import About
    from entviz.report.views import title_of

    if options.token_ids is not None:
        return About(options.model, "", Path(options.token_ids).name)
    text = options.text if options.text is not None else read_text(options.text_file, options.encoding)
    return About(options.model, text, title_of(text, " ".join(text.split())[:80]))


def write_report(path: str, html: str) -> None:
    """Write it, over an earlier one.

    Raises:
        ExportError: where it cannot be written.
    """
    try:
        Path(path).write_text(html, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ExportError(f"The report cannot be written to {path}: {reason}.") from None
