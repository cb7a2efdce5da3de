"""A checkpoint for plain transformers without the dropped blocks.

    zeroed, notes = write_checkpoint(order, directory)

No weight is copied in memory: the writer gets a view of the shared model with fewer layers (see
:mod:`entviz.decoder.views`), and a separate config.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from entviz.decoder.views import replaced
from entviz.errors import EntvizError, ExportError
from entviz.export.folding import Folded
from entviz.export.generating import valid_generation_config
from entviz.export.request import ExportRequest
from entviz.export.shrinking import smaller_config
from entviz.export.zeroing import silenced
from entviz.models.library_errors import telling_line
from entviz.models.quiet import quiet


def write_checkpoint(
    request: ExportRequest, directory: Path, folded: Folded | None = None
) -> tuple[tuple[str, ...], list[str]]:
    """Write weights, config, generation config and tokenizer, with the repair if one was folded.

    Returns the names of the weights that were set to zero, and the notes of :func:`save`.

    Raises ``ExportError`` if the model cannot be written without these blocks.
    """
    anatomy = request.loaded.anatomy
    layers: list[nn.Module] = []
    zeroed: list[str] = []
    for place, index in enumerate(request.kept):
        attention, mlp = index in request.drop.attention, index in request.drop.mlp
        if attention or mlp:
            found = silenced(anatomy, index, attention=attention, mlp=mlp)
            layers.append(found.layer)
            zeroed += [f"{anatomy.layers_path}.{place}.{name}" for name in found.zeroed]
        else:
            layers.append(anatomy.split_layers[index].layer)
    settings: dict[str, Any] = {}
    if folded is not None:
        settings = folded.settings
        layers = [folded.layer(layer, index) for layer, index in zip(layers, request.kept, strict=True)]
    replacements: dict[str, nn.Module] = {anatomy.layers_path: nn.ModuleList(layers)}
    notes = save(request, replacements, request.kept, directory, settings)
    return tuple(zeroed), notes


def save(
    request: ExportRequest,
    replacements: dict[str, nn.Module],
    kept: list[int],
    directory: Path,
    settings: dict[str, Any] | None = None,
) -> list[str]:
    """Write a view of the model with parts replaced, a config for its ``kept`` layers, and the tokenizer.

    ``settings`` are added to the config. Returns sentences about everything that could not be written unchanged.
    """
    model = request.loaded.model
    generation_config, note = valid_generation_config(model.generation_config)
    view: Any = replaced(model, replacements)
    try:
        with quiet():
            view.__dict__["config"] = smaller_config(model.config, kept)
            for name, value in (settings or {}).items():
                setattr(view.config, name, value)
            view.__dict__["hf_quantizer"] = None  # the mark of a file that was quantized once
            view.__dict__["generation_config"] = generation_config
            view.save_pretrained(directory, max_shard_size="4GB")
            if request.loaded.optional_tokenizer is not None:
                request.loaded.optional_tokenizer.save_pretrained(directory)
    except (EntvizError, OSError):
        raise
    except (
        Exception
    ) as error:  # whatever fails in a config's own checks or in the writer, there is no checkpoint
        raise ExportError(
            f"{request.loaded.name} cannot be written without {request.drop or 'any block'} ({telling_line(error)}). "
            "If the disk is full, make room; otherwise export the prune set as a recipe."
        ) from error
    return [note] if note else []
