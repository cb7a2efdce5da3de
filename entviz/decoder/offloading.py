"""Weights that stay on disk, where accelerate has put them: read one by one, or for a module and many calls of it.

    weight = read(model, "model.layers.3.mlp.up_proj.weight")     # wherever it is kept
    with resident(layer):                                         # reads the layer's weights once
        for hidden, call in batches: call.run(layer, hidden)      # without it, every call reads them

accelerate gives a module whose weights are on disk a hook that reads them before each call and forgets them after it
(its "Big Model Inference"). That is right for a single call. Where many batches go through one layer after the other,
reading would take most of the time, so :func:`resident` reads once and lets the hook rest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_lock = threading.RLock()
# How many of those that are inside `resident` hold each module's weights in memory.
_holders: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def is_offloaded(module: nn.Module) -> bool:
    """Whether some weights of a module are kept on disk, or in memory that it does not run from."""
    return any(_hook(each) is not None for each in module.modules())


def running_device(module: nn.Module) -> torch.device:
    """The device on which a module runs: where accelerate brings its weights, or where they are."""
    device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    if device is not None:
        return torch.device(device)
    for weight in module.parameters():
        if not weight.is_meta:
            return weight.device
    return next((running_device(child) for child in module.children()), torch.device("cpu"))


def read(model: nn.Module, name: str) -> Tensor:
    """A weight or buffer of a model by its name, with its content wherever it is kept."""
    path, _, last = name.rpartition(".")
    module = model.get_submodule(path)
    found: Tensor = getattr(module, last)
    hook = _hook(module)
    return hook.weights_map[last] if found.is_meta and hook is not None else found


def keep_real_paths(model: nn.Module) -> None:
    """Have weights read from the files that they are in, and no longer by links to them, which may be deleted."""
    for module in model.modules():
        hook = _hook(module)
        files = getattr(hook.weights_map, "dataset", hook.weights_map) if hook is not None else None
        for entry in getattr(files, "index", {}).values():
            if entry.get("safetensors_file"):
                entry["safetensors_file"] = os.path.realpath(entry["safetensors_file"])
        if files is not None:
            return  # all hooks share one index


@contextmanager
def resident(module: nn.Module) -> Iterator[None]:
    """Keep the weights of a module in memory meanwhile, where it runs. Nothing is done if they are there already.

    All views of the module (see :mod:`entviz.decoder.views`) find them there. Threads can share them: the first that
    comes reads them, and the last that leaves forgets them.
    """
    parts = [(each, hook) for each in module.modules() if (hook := _hook(each)) is not None]
    held = []
    try:
        for each, hook in parts:
            with _lock:
                if not _holders.get(each):
                    _fill(each, hook)
                _holders[each] = _holders.get(each, 0) + 1
                held.append((each, hook))
        yield
    finally:
        for each, hook in held:
            with _lock:
                _holders[each] -= 1
                if not _holders[each]:
                    _empty(each, hook)


def _hook(module: nn.Module) -> Any:
    """accelerate's hook that brings the weights of this very module, or None."""
    hook = getattr(module, "_hf_hook", None)
    return hook if getattr(hook, "weights_map", None) is not None else None


def _fill(module: nn.Module, hook: Any) -> None:
    for name, weight in module._parameters.items():
        if weight is not None and weight.is_meta:
            value = hook.weights_map[name].to(hook.execution_device)
            module._parameters[name] = nn.Parameter(value, requires_grad=False)
    for name, buffer in module._buffers.items():
        if buffer is not None and buffer.is_meta:
            module._buffers[name] = hook.weights_map[name].to(hook.execution_device)
    hook.offload = False


def _empty(module: nn.Module, hook: Any) -> None:
    hook.offload = True
    for name, weight in module._parameters.items():
        if weight is not None:
            module._parameters[name] = nn.Parameter(weight.to("meta"), requires_grad=False)
    if hook.offload_buffers:
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to("meta")
