"""``recipe``: the prune set alone, for entviz."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from entviz.export.place import MARK
from entviz.export.request import ExportRequest, Format, FormatOutput
from entviz.progress import Progress


def _write(request: ExportRequest, directory: Path, progress: Progress) -> FormatOutput:
    # recipe.json itself is written with every format.
    return FormatOutput(
        f'entviz evaluate --model {shlex.quote(request.loaded.name)} --drop @"{{directory}}/{MARK}" --text-file F.txt',
        language="bash",
    )


FORMAT: Final = Format(
    name="recipe",
    title="Recipe",
    purpose="The prune set and what it was measured to cost, a small file that entviz reads again.",
    weights=None,
    objection=lambda model, drop: None,
    limits=lambda model, drop: [],
    write=_write,
    no_repair="",
)
