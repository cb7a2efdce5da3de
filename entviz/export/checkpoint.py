"""A checkpoint for plain transformers without the dropped blocks, checked by loading it back.

    zeroed = write_checkpoint(order, directory)
    check = compare(order, directory)                 # raises ExportError where the losses differ

No weight is copied in memory: what is written is a view of the shared model with fewer layers (see
:mod:`entviz.surgery`), and a config of its own.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from entviz.blocks import PruneSet
from entviz.errors import EntvizError, ExportError
from entviz.evaluation.loss import evaluate
from entviz.export.order import Check, Order
from entviz.export.shrinking import smaller_config
from entviz.export.zeroing import probe, silenced
from entviz.models.checks import named_weights, read_json
from entviz.models.gguf import frugal_reading
from entviz.models.library_errors import telling_line
from entviz.models.memory import check_memory, estimate
from entviz.models.quiet import quiet
from entviz.models.transformers_calls import default_generation_config, read_gguf_model, read_model
from entviz.progress import Progress, silent
from entviz.surgery import replaced

# Of the mean loss a token, in nats. The same weights in the same type give the same sums, but for their order.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 2e-2}
_CHECKED_WINDOWS = 4


def write_checkpoint(order: Order, directory: Path) -> tuple[str, ...]:
    """Write weights, config, generation config and tokenizer; returns the names of the weights that were set to zero.

    Raises ``ExportError`` where the model cannot be written without these blocks.
    """
    anatomy = order.loaded.anatomy
    layers: list[nn.Module] = []
    zeroed: list[str] = []
    for place, index in enumerate(order.kept):
        attention, mlp = index in order.drop.attention, index in order.drop.mlp
        if attention or mlp:
            found = silenced(anatomy, index, attention=attention, mlp=mlp)
            layers.append(found.layer)
            zeroed += [f"{anatomy.layers_path}.{place}.{name}" for name in found.zeroed]
        else:
            layers.append(anatomy.steps[index].layer)
    save(order, {anatomy.layers_path: nn.ModuleList(layers)}, order.kept, directory)
    return tuple(zeroed)


def save(
    order: Order,
    replacements: dict[str, nn.Module],
    kept: list[int],
    directory: Path,
    settings: dict[str, Any] | None = None,
) -> None:
    """Write a view of the model with parts replaced, a config for its ``kept`` layers, and the tokenizer.

    ``settings`` are added to the config.
    """
    model = order.loaded.model
    view: Any = replaced(model, replacements)
    try:
        with quiet():
            view.__dict__["config"] = smaller_config(model.config, kept)
            for name, value in (settings or {}).items():
                setattr(view.config, name, value)
            view.__dict__["hf_quantizer"] = None  # the mark of a file that was quantized once
            view.__dict__["generation_config"] = _generation_config(model)
            view.save_pretrained(directory, max_shard_size="4GB")
            if order.loaded.optional_tokenizer is not None:
                order.loaded.optional_tokenizer.save_pretrained(directory)
    except (EntvizError, OSError):
        raise
    except (
        Exception
    ) as error:  # whatever fails in a config's own checks or in the writer, there is no checkpoint
        raise ExportError(
            f"{order.loaded.name} cannot be written without {order.drop or 'any block'} ({telling_line(error)}). "
            "If the disk is full, make room; otherwise export the prune set as a recipe."
        ) from error


def compare(order: Order, path: Path, drop: PruneSet | None = None, progress: Progress = silent) -> Check:
    """Load files with plain transformers and compare losses with entviz's own run without ``drop``.

    Args:
        path: a directory of safetensors, or a GGUF file.
        drop: the prune set that the files embody by themselves; the order's by default.

    Raises ``ExportError`` where they do not agree.
    """
    drop = order.drop if drop is None else drop
    loaded = order.loaded
    need = estimate(loaded.parameters, loaded.dtype.itemsize, config=loaded.model.config)
    check_memory(need, "Checking the export", "Make room, or export the prune set as a recipe")
    token_ids, wanted = _wanted(order, drop)
    written = _read_back(path, loaded.dtype).to(loaded.device).eval()
    found = []
    for number, window in enumerate(token_ids):
        progress(number, len(token_ids))
        found.append(token_losses(written, window.unsqueeze(0).to(loaded.device)))
    difference = float((torch.cat(found).double().cpu() - wanted).abs().mean())
    tolerance = TOLERANCES[loaded.dtype]
    if not difference <= tolerance:
        raise ExportError(
            f"What was written does not compute what entviz measured: the losses differ by {difference:.2g} nats a "
            f"token. {type(loaded.model).__name__} depends on its layers' numbers in a way that this format cannot "
            "express, so it was not kept. Export the prune set as a recipe instead."
        )
    return Check(int(wanted.numel()), difference, tolerance)


def _read_back(path: Path, dtype: torch.dtype) -> Any:
    """The model as plain transformers loads it from what was written."""
    try:
        with quiet():
            if path.is_dir():
                values = read_json(path / "config.json", path.name)
                model, info = read_model(path, named_weights(path, path.name), values, dtype)
            else:
                with frugal_reading():
                    model, info = read_gguf_model(path, dtype)
        wrong = sorted({*info["missing_keys"], *info["unexpected_keys"]})
        if wrong:
            raise ValueError(f"it lacks or has too many weights, such as {wrong[0]}")
    except Exception as error:  # whatever the loader trips over, nobody else could load it either
        raise ExportError(
            f"What was written does not load again ({telling_line(error)}), so it was not kept. Export the prune set "
            "as a recipe instead."
        ) from error
    return model


def token_losses(model: Any, token_ids: Tensor) -> Tensor:
    """The loss of each token (windows, tokens - 1) but a window's first, by the model's own forward pass."""
    with torch.inference_mode():
        logits = model(input_ids=token_ids, use_cache=False).logits[:, :-1].float()
        losses = functional.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten(), reduction="none")
    return losses.reshape(token_ids.shape[0], -1)


def _wanted(order: Order, drop: PruneSet) -> tuple[Tensor, Tensor]:
    """Token ids (windows, tokens), and the losses that entviz finds on them: those measured, or on a probe."""
    evaluation = order.evaluation
    if evaluation is None or drop != order.drop:
        from entviz.corpus import windows_from_token_ids

        most = order.loaded.anatomy.most_tokens or 48
        ids = probe(order.loaded.anatomy, windows=2, tokens=min(48, most)).tolist()
        windows = windows_from_token_ids(ids, order.loaded.vocabulary_size)
        dtype = str(order.loaded.dtype).removeprefix("torch.")
        evaluation = evaluate(order.loaded, windows, drop, dtype=dtype)
    count = _CHECKED_WINDOWS
    return torch.tensor(evaluation.token_ids[:count]), torch.tensor(evaluation.token_nll[:count]).double()


def _generation_config(model: Any) -> Any:
    """A copy of how the model generates; a plain one where its own would be refused when it is written."""
    config = copy.deepcopy(model.generation_config)
    try:
        if config is not None:
            config.validate(strict=True)
        return config
    except ValueError:
        return default_generation_config(model.config)
