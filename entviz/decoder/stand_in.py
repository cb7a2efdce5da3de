"""A module that stands where another one is called, to see what goes in and out.

    def look(module, *args, **kwargs):
        output = module(*args, **kwargs)
        seen.append(output)
        return output

    view = replaced(layer, {"mlp": StandIn(layer.mlp, look)})

The module itself is not changed, and is no child of what stands for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


class StandIn(nn.Module):
    """Does ``run`` where ``module`` would be called, and answers for its attributes.

    ``run`` gets the module and what it would be called with. Without it the module is called.
    """

    def __init__(self, module: nn.Module, run: Callable[..., Any] = nn.Module.__call__) -> None:
        super().__init__()
        self.__dict__.update(_module=module, _run=run)  # as an attribute, the module would become a child

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_run"](self.__dict__["_module"], *args, **kwargs)
