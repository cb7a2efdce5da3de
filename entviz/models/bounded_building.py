"""Build a model with a limit on its modules, and such that building can be stopped.

A config can ask for any number of modules, and the code that builds them does not check in between. torch calls a hook
for every module and parameter that is added to another. That hook checks the limit and whether to stop.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from entviz.progress import Progress, silent

_REPORT_EVERY = 32
_PARTS_A_TENSOR = 50  # modules and parameters built for a tensor; twelve is usual, merged experts have more
_LEAST_PARTS = 20_000


class TooManyPartsError(Exception):
    """More modules and parameters are built than a checkpoint of this size can fill."""


def most_parts(tensors: int) -> int:
    """The largest number of modules and parameters for a model whose files hold ``tensors`` tensors."""
    return _LEAST_PARTS + _PARTS_A_TENSOR * tensors


@contextmanager
def bounded_building(most: int | None = None, progress: Progress = silent) -> Iterator[None]:
    """Within the block, this thread builds at most ``most`` modules and parameters, and can be stopped.

    Args:
        most: the largest number of modules and parameters together; None for no limit.
        progress: called from time to time without a number of steps; it can raise ``Cancelled``, which ends the block.

    Raises:
        TooManyPartsError: if more are built.
    """
    thread, made = threading.get_ident(), 0

    def count(*_: Any) -> None:
        nonlocal made
        if threading.get_ident() != thread:
            return
        made += 1
        if most is not None and made > most:
            raise TooManyPartsError(f"it asks for more than {most} modules")
        if made % _REPORT_EVERY == 0:
            progress(0, 0)

    with ExitStack() as hooks:
        hooks.callback(register_module_module_registration_hook(count).remove)
        hooks.callback(register_module_parameter_registration_hook(count).remove)
        yield
