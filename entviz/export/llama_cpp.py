"""``llama.cpp``: the argument that makes llama-quantize leave layers out, and the GGUF file itself if possible.

A model loaded from a GGUF file is copied from that file, with its quantized tensors unchanged. A model loaded from
safetensors is written in its own number type, for the architectures in :mod:`entviz.export.gguf_writing`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from entviz.blocks import PruneSet
from entviz.errors import ExportError
from entviz.export.request import ExportRequest, Format, FormatOutput, loading_lines, only_layers
from entviz.models import CATALOG
from entviz.progress import Progress
from entviz.words.phrases import listed

if TYPE_CHECKING:
    from torch import Tensor

    from entviz.repair.repair import Repair

FILE: Final = "prune-layers.txt"
WEIGHTS: Final = "pruned.gguf"

_WITHOUT_FILE: Final = "llama-quantize {argument} model.gguf pruned.gguf COPY"


def prune_layers(drop: PruneSet) -> str:
    """The argument of llama-quantize, such as ``--prune-layers 5,7``."""
    return f"--prune-layers {','.join(str(block.index) for block in drop)}"


def source_file(model: str) -> Path | None:
    """The GGUF file that a model's name refers to, or None if the model is stored as safetensors."""
    entry = CATALOG.get(model)
    if entry is not None:
        return entry.packaged.path() if entry.packaged is not None else None
    path = Path(model).expanduser()
    try:
        if path.is_file() and path.suffix == ".gguf":
            return path
        packed = list(path.glob("*.gguf")) if path.is_dir() else []
        return packed[0] if len(packed) == 1 and not any(path.glob("*.safetensors")) else None
    except OSError:
        return None


def _objection(model: str, drop: PruneSet) -> str | None:
    if not drop:
        return "llama.cpp needs a layer to leave out, and the prune set is empty."
    return only_layers(drop, "llama.cpp", "Drop whole layers, or export a Transformers checkpoint.")


def _limits(model: str, drop: PruneSet) -> list[str]:
    if source_file(model) is not None:
        return ["The tensors that stay are copied quantized as they are."]
    return [
        "A GGUF file is written for a few architectures (Llama, Qwen 2 and 3); for others only the argument, for a "
        "GGUF file of the model that you have."
    ]


def _repaired(request: ExportRequest, notes: list[str]) -> tuple[dict[str, Tensor], Repair | None]:
    """The new weights in the number type of the model, and the repair as written; notes are added."""
    if request.repair is None:
        return {}, None
    from entviz.export.folding import fold

    folded = fold(request.loaded, request.repair, request.kept, adds_biases=False)
    notes[:] = [f"{notes[0]} That leaves the layers out, and does not repair.", *folded.said]
    dtype, path = request.loaded.dtype, request.loaded.anatomy.layers_path
    return {name: weight.to(dtype) for name, weight in folded.weights(path).items()}, folded.repair


def _write(request: ExportRequest, directory: Path, progress: Progress) -> FormatOutput:
    argument = prune_layers(request.drop)
    (directory / FILE).write_text(argument + "\n", "utf-8")
    source = source_file(request.loaded.name)
    target = directory / WEIGHTS
    notes = [f"For a GGUF file of the whole model that you have: {_WITHOUT_FILE.format(argument=argument)}"]
    try:
        weights, repair = _repaired(request, notes)
        if source is not None:
            from entviz.export.gguf_copying import copy_gguf

            copy_gguf(source, target, request.kept, request.loaded.layers, progress, weights)
        else:
            from entviz.export.gguf_writing import write_gguf

            write_gguf(request, target, progress, weights)
        from entviz.export.checking import compare
        from entviz.models.gguf import misread_by_transformers

        check = compare(request, target, repair=repair)
        lines = f'# llama.cpp: llama-cli -m "{{directory}}/{WEIGHTS}"\n'
        misread = misread_by_transformers(target)
        if not misread:
            return FormatOutput(
                lines + loading_lines(request, "", f'gguf_file="{WEIGHTS}"'), check=check, notes=notes
            )
        notes.insert(
            0,
            f"transformers' own reader of GGUF files drops what this one says about {listed(misread)}. Load it with "
            "llama.cpp or entviz, or export a Transformers checkpoint.",
        )
        return FormatOutput(
            f'llama-cli -m "{{directory}}/{WEIGHTS}"', language="bash", check=check, notes=notes
        )
    except ExportError as error:  # the argument is useful by itself, unless a repair was asked for
        if request.repair is not None:
            raise
        target.unlink(missing_ok=True)
        notes.insert(0, f"No GGUF file was written: {error}")
        return FormatOutput(_WITHOUT_FILE.format(argument=argument), language="bash", notes=notes)


FORMAT: Final = Format(
    name="llama.cpp",
    title="llama.cpp",
    purpose="A GGUF file without the layers, and the --prune-layers argument of llama-quantize.",
    weights=lambda request: request.bytes,
    objection=_objection,
    limits=_limits,
    write=_write,
    no_repair="",
    adds_biases=False,
)
