"""``hf``: a checkpoint that plain transformers loads, with dropped layers physically removed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from entviz.blocks import PruneSet
from entviz.export.request import ExportRequest, Format, FormatOutput, loading_lines, parts_of_layers
from entviz.progress import Progress
from entviz.words.phrases import some


def _limits(model: str, drop: PruneSet) -> list[str]:
    parts = parts_of_layers(drop)
    if not parts:
        return []
    return [
        f"Not whole layers: {some(parts, 3)}. The output projections of these blocks are set to zero: the same numbers "
        "everywhere, but they take the same time and room as before. Only whole layers make the model faster and "
        "smaller."
    ]


def _write(request: ExportRequest, directory: Path, progress: Progress) -> FormatOutput:
    from entviz.export.checking import compare
    from entviz.export.checkpoint import write_checkpoint
    from entviz.export.folding import fold

    progress(0, 2)
    folded = None if request.repair is None else fold(request.loaded, request.repair, request.kept)
    zeroed, notes = write_checkpoint(request, directory, folded)
    progress(1, 2)
    repair = None if folded is None else folded.repair
    check = compare(request, directory, progress=lambda *_: progress(1, 2), repair=repair)
    notes = [*_limits(request.loaded.name, request.drop), *(folded.said if folded else ()), *notes]
    return FormatOutput(loading_lines(request, 'dtype="auto"'), check=check, zeroed=zeroed, notes=notes)


FORMAT: Final = Format(
    name="hf",
    title="Transformers checkpoint",
    purpose="Loads with plain transformers, and with whatever loads its checkpoints, with no code of entviz.",
    weights=lambda request: request.bytes,
    objection=lambda model, drop: None,
    limits=_limits,
    write=_write,
    no_repair="",
)
