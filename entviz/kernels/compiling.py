"""How kernels are compiled: C functions of one pointer that any number of threads may enter at once.

A kernel's argument points at int64 values: the next item to be taken, how many items there are, and then sizes and
addresses. Each thread takes items until there are none, so no thread waits for another that was given too much.

What is here becomes part of every kernel, and numba's cache notices a change of the kernel's own file only: after a
change here, touch those files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

_log = logging.getLogger(__name__)
_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic  # numba says no types itself


def kernel(function: Callable[[Any], None]) -> Any:
    """Compile a kernel, or take it from numba's cache: beside this file, or in the user's cache directory."""
    signature = "void(CPointer(int64))"
    try:
        return cfunc(signature, cache=True)(function)
    except Exception as error:  # noqa: BLE001  a cache that cannot be read or written is no reason to go without
        _log.info("Kernel %s is compiled without a cache: %s", function.__name__, error)
        return cfunc(signature)(function)


@_intrinsic
def take(typing_context: Any, counter: Any) -> Any:
    """The number of the next item, for this thread alone: an atomic ``counter[0]++``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", arguments[0], ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.CPointer(types.int64)), generate


def _array_at(element: Any) -> Any:
    @_intrinsic
    def address_to_pointer(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    return address_to_pointer


int16_at = _array_at(types.int16)
int64_at = _array_at(types.int64)
float32_at = _array_at(types.float32)
float64_at = _array_at(types.float64)


@_intrinsic
def float32_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.float32(types.int32), generate
