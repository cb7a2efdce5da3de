"""The option ``--report``: one HTML file with the figures, the numbers and the text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.errors import ExportError

if TYPE_CHECKING:
    from entviz.runtime.runner import Outcome


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the option."""
    command.add_argument(
        "--report",
        type=report_file,
        metavar="F.html",
        help="also write a report that opens in any browser",
    )


def report_file(path: str) -> str:
    """The path of a report, checked before any slow work."""
    try:
        is_directory, has_place = Path(path).is_dir(), Path(path).absolute().parent.is_dir()
    except (OSError, ValueError):  # not a possible file name
        is_directory = has_place = False
    if is_directory:
        raise argparse.ArgumentTypeError(f"{path} is a directory; name the file to write")
    if not has_place:
        raise argparse.ArgumentTypeError(f"there is no directory to write {path} into")
    return path


def write_report_of(
    options: argparse.Namespace, outcome: Outcome[Any], pieces: Sequence[Sequence[str]] | None = None
) -> None:
    """Write the report of a command's result, if ``--report`` is given.

    Args:
        pieces: the text of each token of the study's ``token_rows``.

    Raises:
        ExportError: if it cannot be written.
    """
    from entviz.studies import StoredStudy
    from entviz.studies.reporting import about_run
    from entviz.studies.results import run_of

    study = outcome.study
    if options.report is None or not isinstance(study, StoredStudy):
        return
    run = run_of(study, outcome.loaded, outcome.result)
    about = replace(about_run(run, study.text), model=options.model, device=options.device or "")
    _write(options.report, study.report(outcome.result, about, run.options, pieces))


def _write(path: str, html: str) -> None:
    try:
        Path(path).write_text(html, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ExportError(f"The report cannot be written to {path}: {reason}.") from None
