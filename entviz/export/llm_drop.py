"""``llm-drop``: unchanged weights, and lists of the blocks to skip in the format of the LLM-Drop repository.

He et al., *What Matters in Transformers? Not All Attention is Needed*, 2024, arXiv 2406.15786;
https://github.com/CASE-Lab-UMD/LLM-Drop.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from entviz.blocks import PruneSet
from entviz.export.request import ExportRequest, Format, FormatOutput, loading_lines
from entviz.progress import Progress

# The modeling files in that repository, by model type: configuration_dropped_NAME.py, modeling_dropped_NAME.py.
CLASSES: Final = {"llama": "Llama", "mistral": "Mistral", "gemma2": "Gemma2"}
FOLDER: Final = "src/llmtuner/compression/prune/models"


def _limits(model: str, drop: PruneSet) -> list[str]:
    return [
        "The blocks are skipped only by the modeling files of the LLM-Drop repository (Llama, Mistral, Gemma 2 and a "
        "few more). Plain transformers pays no attention to the lists and runs the dense model."
    ]


def _write(request: ExportRequest, directory: Path, progress: Progress) -> FormatOutput:
    from entviz.export.checking import compare
    from entviz.export.checkpoint import save

    kind: str = request.loaded.model.config.model_type
    progress(0, 2)
    notes = save(request, {}, list(range(request.loaded.layers)), directory, _settings(request.drop, kind))
    _for_older_code(directory / "config.json")
    progress(1, 2)
    check = compare(request, directory, PruneSet(), progress=lambda *_: progress(1, 2))
    notes = [*_limits(request.loaded.name, request.drop), *notes]
    notes.append(
        "The weights are those of the dense model; the comparison above is with the dense model, too."
    )
    if kind in CLASSES:
        files = f"configuration_dropped_{kind}.py and modeling_dropped_{kind}.py"
        notes.append(f"Copy {files} from {FOLDER} of that repository into this directory.")
    else:
        files = "configuration and modeling files"
        notes.append(
            f"That repository has no modeling file for the type {kind}: one has to be written first."
        )
    lines = f"# With the LLM-Drop repository's {files} copied into the directory:\n"
    return FormatOutput(lines + loading_lines(request, "trust_remote_code=True"), check=check, notes=notes)


def _settings(drop: PruneSet, kind: str) -> dict[str, Any]:
    lists: dict[str, Any] = {"drop_attn_list": sorted(drop.attention), "drop_mlp_list": sorted(drop.mlp)}
    if kind in CLASSES:
        lists["auto_map"] = {
            "AutoConfig": f"configuration_dropped_{kind}.{CLASSES[kind]}Config",
            "AutoModelForCausalLM": f"modeling_dropped_{kind}.{CLASSES[kind]}ForCausalLM",
        }
    return lists


def _for_older_code(path: Path) -> None:
    """Add the old names of settings that have new names in newer configs, because that code is for transformers 4."""
    config = json.loads(path.read_text("utf-8"))
    config["torch_dtype"] = config.get("dtype")
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
        kind = scaling.get("rope_type", "default")
        config["rope_theta"] = rope["rope_theta"]
        config["rope_scaling"] = None if kind == "default" else scaling | {"type": kind}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


FORMAT: Final = Format(
    name="llm-drop",
    title="LLM-Drop checkpoint",
    purpose="For the LLM-Drop code, which skips dropped attentions and MLPs, so that they cost no time.",
    weights=lambda request: request.loaded.bytes,
    objection=lambda model, drop: None,
    limits=_limits,
    write=_write,
    no_repair="The LLM-Drop code skips blocks of the original weights, and cannot hold a repair. Export a Transformers "
    "checkpoint, which holds it.",
    keeps_layers=True,
)
