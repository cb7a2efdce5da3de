"""``mergekit``: a passthrough merge that copies the kept layers.

Goddard et al., *Arcee's MergeKit*, 2024, arXiv 2403.13257; https://github.com/arcee-ai/mergekit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from entviz.blocks import PruneSet
from entviz.export.request import ExportRequest, Format, FormatOutput, hub_name, only_layers
from entviz.models import CATALOG
from entviz.progress import Progress

FILE: Final = "mergekit.yaml"


def _objection(model: str, drop: PruneSet) -> str | None:
    if model.lower().endswith(".gguf"):
        return "mergekit reads safetensors, and this model is a GGUF file. Export a Transformers checkpoint."
    return only_layers(drop, "mergekit", "Drop whole layers, or export a Transformers checkpoint.")


def _limits(model: str, drop: PruneSet) -> list[str]:
    limits = ["mergekit has to know the architecture, and makes the checkpoint on your side."]
    if model in CATALOG and CATALOG[model].packaged is not None:
        limits.append(
            f"entviz measured a quantized copy; mergekit takes the original weights of {hub_name(model)}, whose "
            "losses differ a little."
        )
    return limits


def kept_ranges(kept: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of consecutive layers as (first, one past the last)."""
    starts = [kept[0], *(after for before, after in pairwise(kept) if after != before + 1)]
    ends = [*(before + 1 for before, after in pairwise(kept) if after != before + 1), kept[-1] + 1]
    return list(zip(starts, ends, strict=True))


def mergekit_yaml(model: str, kept: Sequence[int], dtype: str) -> str:
    """The content of mergekit's configuration file."""
    lines = ["slices:"]
    for first, end in kept_ranges(kept):
        # A JSON text is also YAML, so a name cannot change the structure of the file.
        lines += [
            "  - sources:",
            f"      - model: {json.dumps(model)}",
            f"        layer_range: [{first}, {end}]",
        ]
    return "\n".join([*lines, "merge_method: passthrough", f"dtype: {dtype}"]) + "\n"


def _write(request: ExportRequest, directory: Path, progress: Progress) -> FormatOutput:
    dtype = str(request.loaded.dtype).removeprefix("torch.")
    text = mergekit_yaml(hub_name(request.loaded.name), request.kept, dtype)
    (directory / FILE).write_text(text, "utf-8")
    return FormatOutput(
        f'pip install mergekit\nmergekit-yaml "{{directory}}/{FILE}" ./merged',
        language="bash",
        notes=_limits(request.loaded.name, request.drop),
    )


FORMAT: Final = Format(
    name="mergekit",
    title="mergekit configuration",
    purpose="A few lines with which mergekit makes the smaller checkpoint from the original weights.",
    weights=None,
    objection=_objection,
    limits=_limits,
    write=_write,
    no_repair="mergekit copies layers of the original weights, and cannot hold a repair. Export a Transformers "
    "checkpoint, and name that as the model in mergekit.",
)
