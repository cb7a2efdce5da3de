"""A changed copy of a network that shares everything with the original but what was changed.

    without_attention = replaced(layer, {"self_attn": Nothing(), "input_layernorm": nn.Identity()})

Only the modules on the way from the root to what is replaced are copied (a few Python objects); parameters, buffers
and all other modules are the same objects. The original is never touched, so any number of threads may each run
an altered view of one model at the same time. Hooks of other libraries that live on a module stay with the copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def replaced(module: nn.Module, replacements: Mapping[str, nn.Module]) -> nn.Module:
    """A view of ``module`` in which the submodules at the given dotted paths are others.

    Raises ``KeyError`` where a path does not exist.
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
        if child is None:  # a place that is kept free
            raise KeyError(name)
        view._modules[name] = replaced(child, inner)
    return view


def with_own_buffers(module: nn.Module) -> nn.Module:
    """A view of ``module`` whose buffers are copies, as are those of the modules in it; parameters are shared."""
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
        # accelerate (device_map, offloading) binds its wrapper of `forward` to the module it was put on; bound to
        # the original, it would run the original's children. The hook itself has been initialised already, so it is
        # moved to the copy without running `init_hook`, which would move or offload weights again.
        del view.__dict__["_old_forward"], view.__dict__["forward"]
        plain_forward = view.forward

        def hooked(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = hook.pre_forward(view, *args, **kwargs)
            return hook.post_forward(view, plain_forward(*args, **kwargs))

        view.__dict__["_hf_hook"] = hook
        view.__dict__["forward"] = hooked
    return view
