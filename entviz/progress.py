"""How long work reports where it is, and how it is stopped.

Long-running functions take ``progress`` and call it often: ``progress(done, total, partial)``. A caller that wants
the work to stop raises :class:`entviz.errors.Cancelled` from that call; nothing needs cleaning up, because no
function changes the model.
"""

from typing import Protocol


class Progress(Protocol):
    """Called with the steps done, the steps in all, and (sometimes) a partial result; may raise ``Cancelled``."""

    def __call__(self, done: int, total: int, partial: object = None, /) -> None: ...


def silent(done: int, total: int, partial: object = None, /) -> None:
    """Report nothing; the default where no one is watching."""
