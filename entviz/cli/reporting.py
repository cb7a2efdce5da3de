"""What ``--report`` adds to a command: one HTML file with the figures, the numbers and the text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from entviz.errors import ExportError

if TYPE_CHECKING:
    from entviz.cli.shared import Subject
    from entviz.report import About


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the option."""
    command.add_argument("--report", metavar="F.html", help="also write a report that opens in any browser")


def about(options: argparse.Namespace, subject: Subject) -> About:
    """What a report is about: what was measured, and the options that named it."""
    from entviz.report import About
    from entviz.report.views import title_of

    if subject.text is None:
        return About(options.model, "", subject.name)
    return About(options.model, subject.text, title_of(subject.text, " ".join(subject.text.split())[:80]))


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
