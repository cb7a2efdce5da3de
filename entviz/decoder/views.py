"""A changed copy of a network that shares everything unchanged with the original.

    without_attention = replaced(layer, {"self_attn": Nothing(), "input_layernorm": nn.Identity()})

Only the modules between the root and a replaced module are copied (a few Python objects). Parameters, buffers and all
other modules are the same objects. The original is never changed, so any number of threads can each run a different
view of one model at the same time. A module's hooks from other libraries also apply to its copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def replaced(module: nn.Module, replacements: Mapping[str, nn.Module]) -> nn.Module:
    """A view of ``module`` in which the submodules at the given dotted paths are replaced.

    Raises ``KeyError`` if a path does not exist.
    """
    if "" in replacements:
        return replacements[""]
    grouped: dict[str, dict[str, nn.Module]] = {}
    for path, new in replacements.items():
        head, _, rest = path.partition(".")
        grouped.setdefault(head, {})[rest] = new
    view = _shallow_copy(module)
    for name, inner in grouped.items():
        child = module._modules[name]
        if child is None:  # a module that is registered as None
            raise KeyError(name)
        view._modules[name] = replaced(child, inner)
    return view


def with_own_buffers(module: nn.Module) -> nn.Module:
    """A view of ``module`` in which all buffers, also those of submodules, are copies; parameters are shared."""
    view = _shallow_copy(module)
    view.__dict__["_buffers"] = {
        name: None if buffer is None else buffer.clone() for name, buffer in module._buffers.items()
    }
    for name, child in module._modules.items():
        view._modules[name] = None if child is None else with_own_buffers(child)
    return view


def _shallow_copy(module: nn.Module) -> nn.Module:
    view = module.__class__.__new__(module.__class__)
    view.__dict__.update(module.__dict__)
    view.__dict__["_modules"] = dict(module._modules)
    hook = view.__dict__.pop("_hf_hook", None)
    if hook is not None:
        # accelerate (device_map, offloading) binds its wrapper of `forward` to the module that it wraps. Bound to the
        # original, it would run the original's children. The hook is already initialised, so it is moved to the copy
        # without running `init_hook`, which would move or offload weights again.
        for name in ("_old_forward", "forward"):  # a view of a view has only the latter
            view.__dict__.pop(name, None)
        plain_forward = view.forward

        def hooked(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = hook.pre_forward(view, *args, **kwargs)
            return hook.post_forward(view, plain_forward(*args, **kwargs))

        view.__dict__["_hf_hook"] = hook
        view.__dict__["forward"] = hooked
    return view
