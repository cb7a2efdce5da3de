"""How kernels are compiled: functions of arrays of exactly given types, which release Python's lock.

A kernel's first two arguments are the first item and the end of its range of items. Arrays of another type or layout
are refused, so that no kernel reads or writes beyond them.

The code here becomes part of every kernel, but numba's cache notices only changes of the kernel's own file. After a
change here, touch those files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from entviz.kernels.caching import private_cache

_log = logging.getLogger(__name__)
_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic  # numba has no type hints


def kernel(*arguments: str) -> Callable[[Callable[..., None]], Any]:
    """Compile a kernel with arguments of these types after its first two, or take it from numba's cache.

    The cache is beside this file or in the user's cache directory, and never in a directory in which others can write.
    """
    signature = f"void({', '.join(('int64', 'int64', *arguments))})"

    def compiled(function: Callable[..., None]) -> Any:
        options = {"nogil": True, "error_model": "numpy"}
        try:
            with private_cache(function) as safe:
                return njit(signature, cache=safe, **options)(function)
        except Exception as error:  # noqa: BLE001  without a cache it is compiled again, and a real fault raises there
            _log.info("Kernel %s is compiled without a cache: %s", function.__name__, error)
            return njit(signature, **options)(function)

    return compiled


@_intrinsic
def float32_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.float32(types.int32), generate
