"""Build a model's modules under a bound, and so that it can be stopped.

A config can ask for any number of modules, and the code that builds them asks nobody in between. torch calls a hook
for every module and parameter that is put into another, which is where both are seen to.
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
    """Modules and parameters that a model may have whose files hold this many tensors."""
    return _LEAST_PARTS + _PARTS_A_TENSOR * tensors


@contextmanager
def bounded_building(most: int | None = None, progress: Progress = silent) -> Iterator[None]:
    """Within the block, this thread builds at most so many modules and parameters, and stops when it is told to.

    Args:
        most: modules and parameters in all; None for no bound.
        progress: called now and then, with no progress made; may raise ``Cancelled``, which leaves the block.

    Raises:
        TooManyPartsError: once more are built.
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
