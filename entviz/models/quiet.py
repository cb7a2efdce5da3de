"""Stop the libraries that load models from writing to the terminal; entviz itself reports what the user needs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# The libraries' output is a setting of the whole process: the first thread to enter sets it, the last restores it.
_lock = threading.Lock()
_inside = 0
_restore = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and warnings of these libraries inside the block, in any thread."""
    global _inside
    with _lock:
        if _inside == 0:
            _silence()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore.close()


def _silence() -> None:
    from huggingface_hub import utils as hub
    from transformers.utils import logging as chatter

    _restore.callback(chatter.set_verbosity, chatter.get_verbosity())
    chatter.set_verbosity(logging.CRITICAL)
    if not hub.are_progress_bars_disabled():
        _restore.callback(hub.enable_progress_bars)
    if chatter.is_progress_bar_enabled():
        _restore.callback(chatter.enable_progress_bar)
    chatter.disable_progress_bar()
    hub.disable_progress_bars()
    for library in ("huggingface_hub", "accelerate"):
        logger = logging.getLogger(library)
        _restore.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)
