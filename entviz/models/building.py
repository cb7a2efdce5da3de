"""Let transformers build models one at a time, without changing anything for other threads.

While it builds a model, transformers replaces methods of its own classes, and sets the process's default number type
to that of the weights. A tensor that another thread creates without a type would also get that type: OPT's position
numbers beyond 256, created in bfloat16, are wrong. So this module changes the default only for the building thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from entviz.progress import Progress, silent, waiting_for

_BUILDING = threading.RLock()

# These create numbers of the default type unless another type is given.
_BY_SIZE = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye, torch.linspace, torch.logspace}
)
# These do so if the given values are Python floats.
_BY_VALUE = frozenset(
    {torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor, torch.full, torch.arange, torch.range}
)


@contextmanager
def one_at_a_time(progress: Progress = silent) -> Iterator[None]:
    """Within the block transformers can build a model: no other thread builds one, and torch's defaults do not change.

    ``progress`` is called while another thread builds a model; it can raise ``Cancelled``.
    """
    from transformers import modeling_utils

    with waiting_for(_BUILDING, progress):
        modeling_utils.local_torch_dtype = default_type_of_this_thread
        yield


@contextmanager
def default_type_of_this_thread(dtype: torch.dtype, model_class_name: str | None = None) -> Iterator[None]:
    """The same as transformers' ``local_torch_dtype``, but only for this thread.

    Args:
        dtype: a floating-point type.
        model_class_name: the class that is built, for the message.

    Raises:
        ValueError: if ``dtype`` is not a floating-point type.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"{model_class_name or 'A model'} cannot have weights of the type {dtype}")
    with _DefaultType(dtype):
        yield


class _DefaultType(TorchFunctionMode):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("dtype") is not None:
            return function(*args, **kwargs)
        if function in _BY_SIZE:
            return function(*args, **{**kwargs, "dtype": self.dtype})
        result = function(*args, **kwargs)
        if function in _BY_VALUE and not any(
            isinstance(value, Tensor | np.generic | np.ndarray) for value in args
        ):
            return result.to(self.dtype) if result.is_floating_point() else result
        return result
