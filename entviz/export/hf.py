"""``hf``: a checkpoint that plain transformers loads, with whole layers really gone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from entviz.blocks import PruneSet
from entviz.export.order import Format, Order, Written, parts_of_layers
from entviz.progress import Progress

LOADING: Final = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{directory}", dtype="auto")
tokenizer = AutoTokenizer.from_pretrained("{directory}")"""


def _limits(model: str, drop: PruneSet) -> list[str]:
    parts = parts_of_layers(drop)
    if not parts:
        return []
    some = ", ".join(parts[:3]) + (", …" if len(parts) > 3 else "")
    return [
        f"Not whole layers: {some}. The output projections of these blocks are set to zero: the same numbers "
        "everywhere, but they take the same time and room as before. Only whole layers make the model faster and "
        "smaller."
    ]


def _write(order: Order, directory: Path, progress: Progress) -> Written:
    from entviz.export.checkpoint import compare, write_checkpoint

    progress(0, 2)
    zeroed = write_checkpoint(order, directory)
    progress(1, 2)
    check = compare(order, directory, progress=lambda *_: progress(1, 2))
    return Written(LOADING, check=check, zeroed=zeroed, notes=_limits(order.loaded.name, order.drop))


FORMAT: Final = Format(
    name="hf",
    title="Transformers checkpoint",
    purpose="Loads with plain transformers, and with whatever loads its checkpoints, with no code of entviz.",
    file=None,
    objection=lambda model, drop: None,
    limits=_limits,
    write=_write,
)
