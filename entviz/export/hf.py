"""``hf``: a checkpoint that plain transformers loads, with whole layers really gone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from entviz.blocks import PruneSet
from entviz.export.order import Format, Order, Written, loading_lines, parts_of_layers
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


def _write(order: Order, directory: Path, progress: Progress) -> Written:
    from entviz.export.checking import compare
    from entviz.export.checkpoint import write_checkpoint

    progress(0, 2)
    zeroed, notes = write_checkpoint(order, directory)
    progress(1, 2)
    check = compare(order, directory, progress=lambda *_: progress(1, 2))
    notes = [*_limits(order.loaded.name, order.drop), *notes]
    return Written(loading_lines(order, 'dtype="auto"'), check=check, zeroed=zeroed, notes=notes)


FORMAT: Final = Format(
    name="hf",
    title="Transformers checkpoint",
    purpose="Loads with plain transformers, and with whatever loads its checkpoints, with no code of entviz.",
    weights=lambda order: order.bytes,
    objection=lambda model, drop: None,
    limits=_limits,
    write=_write,
)
