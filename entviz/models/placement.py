"""Where the parts of a model are kept: on GPUs, in the processor's memory, or on disk, one layer at a time in memory.

    placement = place(config, torch.bfloat16, "auto", {"cpu": 8_000_000_000})
    placement.weights                   # {"cuda:0": ..., "cpu": ..., "disk": ...}: bytes
    placement.device_map                # for transformers

``auto`` fills the GPUs, then the processor's memory, and leaves the rest on disk. ``disk`` leaves all layers on disk,
so that a model of any size needs the memory of its embeddings and one layer. accelerate brings weights to where they
run, and hidden states to the weights.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from entviz.cache_directory import cache_directory
from entviz.decoder.anatomy import find_layers
from entviz.errors import OptionError
from entviz.models.memory import available_bytes
from entviz.models.places import DISK, PLACEMENTS, PROCESSOR
from entviz.models.transformers_calls import skeleton
from entviz.progress import Progress, silent

_SHARE_OF_GPU = 0.8  # of its free memory, for weights; what is left is for hidden states and kernels


@dataclass(frozen=True)
class Placement:
    """Where a model's parts are kept.

    Attributes:
        device_map: the place of each module, by its path; None if all is in the processor's memory.
        weights: bytes of weights by place: ``cpu``, ``cuda:0`` ..., ``disk``.
        layer: bytes of the largest layer on disk, which is in memory while it runs.
    """

    device_map: dict[str, Any] | None = None
    weights: dict[str, int] = field(default_factory=dict)
    layer: int = 0

    @property
    def on_disk(self) -> bool:
        """Whether a part is on disk."""
        return bool(self.weights.get(DISK))


def place(
    config: Any,
    dtype: torch.dtype,
    wanted: str,
    memory: Mapping[str, int] | None = None,
    *,
    reserved: int = 0,
    progress: Progress = silent,
) -> Placement:
    """Decide where the parts of a model of this config are kept. Nothing is loaded.

    Args:
        config: its transformers config.
        dtype: the type of the weights in memory.
        wanted: ``auto`` or ``disk``.
        memory: the most bytes of weights in places: ``cpu``, ``0`` for the first GPU, and so on. By default what is
            free, less ``reserved`` on the processor.
        progress: called from time to time; it can raise ``Cancelled``.

    Raises:
        OptionError: if there is no such placement or GPU.
        ModelError: if no layers are found in the model.
    """
    if wanted not in PLACEMENTS:
        raise OptionError(f"There is no device map {wanted[:40]!r}. Choose one of {', '.join(PLACEMENTS)}.")
    model = skeleton(config, progress)
    most = _most(memory or {}, reserved)
    main = 0 if torch.cuda.is_available() and most.get("0", 1) else PROCESSOR
    modules = _layers_on_disk(model, main) if wanted == DISK else _filled(model, dtype, most, main)
    if set(modules.values()) == {PROCESSOR}:
        return Placement(None, {PROCESSOR: _bytes(model, dtype)})
    weights: dict[str, int] = {}
    seen: set[int] = set()
    for name, weight in model.named_parameters():
        if id(weight) not in seen:
            seen.add(id(weight))
            where = _name(_place_of(name, modules))
            weights[where] = weights.get(where, 0) + weight.numel() * dtype.itemsize
    path, layers = find_layers(model)
    on_disk = [
        _bytes(layer, dtype)
        for number, layer in enumerate(layers)
        if any(_place_of(f"{path}.{number}.{name}", modules) == DISK for name, _ in layer.named_parameters())
    ]
    return Placement(modules, weights, max(on_disk, default=0))


def rewritten_weights() -> Path:
    """Make a directory for weights that are not in a model's files as they are used, such as merged experts.

    It is in the cache directory, as a system's directory for temporary files may be in memory. Those of processes that
    have ended are deleted.
    """
    folder = cache_directory() / "offloaded"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        owner = old.name.partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=folder))


def delete_with(model: Any, folder: Path) -> None:
    """Delete a directory when a model is no longer in memory."""
    weakref.finalize(model, shutil.rmtree, str(folder), ignore_errors=True)


def _most(memory: Mapping[str, int], reserved: int) -> dict[str, int]:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for where in memory:
        if where != PROCESSOR and int(where) >= gpus:
            raise OptionError(f"This computer has no GPU {where}: it has {gpus}. Leave it out.")
    free = {str(gpu): int(torch.cuda.mem_get_info(gpu)[0] * _SHARE_OF_GPU) for gpu in range(gpus)}
    return free | {PROCESSOR: max(0, available_bytes() - reserved)} | dict(memory)


def _filled(model: Any, dtype: torch.dtype, most: Mapping[str, int], main: Any) -> dict[str, Any]:
    """Layers in order of depth on the GPUs, then in the processor's memory, then on disk; all else where it runs.

    What is not a layer is used by every run, and the head's weights are read in tiles, so it is never on disk. Where a
    part runs elsewhere than it is kept, there is room for one layer more.
    """
    modules = _around_layers(model, main)
    path, layers = find_layers(model)
    sizes = [_bytes(layer, dtype) for layer in layers]
    around = _bytes(model, dtype) - sum(sizes)
    places: list[Any] = [*sorted(int(where) for where in most if where != PROCESSOR), PROCESSOR]
    left = {where: most[str(where)] - (around if where == main else 0) for where in places}
    if sum(sizes) > sum(max(0, size) for size in left.values()) or main != PROCESSOR:
        left[main] -= max(sizes)
    number = 0
    for where in places:
        while number < len(layers) and sizes[number] <= left[where]:
            modules[f"{path}.{number}"] = where
            left[where] -= sizes[number]
            number += 1
    return modules | {f"{path}.{rest}": DISK for rest in range(number, len(layers))}


def _layers_on_disk(model: Any, main: Any) -> dict[str, Any]:
    path, layers = find_layers(model)
    return _around_layers(model, main) | {f"{path}.{number}": DISK for number in range(len(layers))}


def _around_layers(model: Any, main: Any) -> dict[str, Any]:
    """The place ``main`` for everything that is not in a layer."""
    modules: dict[str, Any] = {}
    module, prefix = model, ""
    for step in find_layers(model)[0].split("."):
        modules |= {f"{prefix}{name}": main for name, _ in module.named_children() if name != step}
        modules |= {f"{prefix}{name}": main for name, _ in module.named_parameters(recurse=False)}
        modules |= {f"{prefix}{name}": main for name, _ in module.named_buffers(recurse=False)}
        module, prefix = module.get_submodule(step), f"{prefix}{step}."
    return modules


def _place_of(name: str, modules: Mapping[str, Any]) -> Any:
    while name not in modules and name:
        name = name.rpartition(".")[0]
    return modules[name]


def _name(where: Any) -> str:
    return f"cuda:{where}" if isinstance(where, int) else str(where)


def _bytes(module: Any, dtype: torch.dtype) -> int:
    return (
        sum(weight.numel() for weight in {id(one): one for one in module.parameters()}.values())
        * dtype.itemsize
    )
