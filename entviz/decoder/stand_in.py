"""A module that replaces another one in calls, to observe its input and output.

    def look(module, *args, **kwargs):
        output = module(*args, **kwargs)
        seen.append(output)
        return output

    view = replaced(layer, {"mlp": StandIn(layer.mlp, look)})

The module itself is not changed, and it is not a child of its stand-in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


class StandIn(nn.Module):
    """Calls ``run`` instead of ``module``, and has the attributes of ``module``.

    ``run`` receives the module and the arguments of the call. Without ``run`` the module is called.
    """

    def __init__(self, module: nn.Module, run: Callable[..., Any] = nn.Module.__call__) -> None:
        super().__init__()
        self.__dict__.update(_module=module, _run=run)  # as an attribute, the module would become a child

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_run"](self.__dict__["_module"], *args, **kwargs)
