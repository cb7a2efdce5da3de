"""What ``--report`` adds to a command: one HTML file with the figures, the numbers and the text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from entviz.errors import ExportError

if TYPE_CHECKING:
    from entviz.cli.shared import Subject
    from entviz.models.loaded import LoadedModel
    from entviz.report import About


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the option."""
    command.add_argument(
        "--report",
        type=report_file,
        metavar="F.html",
        help="also write a report that opens in any browser",
    )


def report_file(path: str) -> str:
    """A place for a report, looked at before anything takes time."""
    try:
        is_directory, has_place = Path(path).is_dir(), Path(path).absolute().parent.is_dir()
    except (OSError, ValueError):  # a name that no file could have
        is_directory = has_place = False
    if is_directory:
        raise argparse.ArgumentTypeError(f"{path} is a directory; name the file to write")
    if not has_place:
        raise argparse.ArgumentTypeError(f"there is no directory to write {path} into")
    return path


def about(options: argparse.Namespace, subject: Subject) -> About:
    """What a report is about: what was measured, and the options that named it."""
    from entviz.report.ending import title_of

    if subject.text is None:
        return about_text(options, subject.loaded, "", f"token ids of {subject.name}")
    title = title_of(subject.text, " ".join(subject.text.split())[:80])
    return about_text(options, subject.loaded, subject.text, title)


def about_text(options: argparse.Namespace, loaded: LoadedModel, text: str, title: str) -> About:
    """The same of another text than the one that the options name."""
    import torch

    from entviz.report import About

    weights = "" if loaded.dtype == torch.float32 else str(loaded.dtype).removeprefix("torch.")
    device = options.device or ""
    return About(options.model, text, title, weights=weights, device=device, begin=options.begin)


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
