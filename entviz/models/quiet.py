"""Keep the libraries that load models from writing to the terminal; entviz says itself what the user must know."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and warnings of transformers and huggingface_hub inside the block."""
    from huggingface_hub import utils as hub
    from transformers.utils import logging as chatter

    verbosity = chatter.get_verbosity()
    bars = chatter.is_progress_bar_enabled()
    hub_bars_off = hub.are_progress_bars_disabled()
    hub_logger = logging.getLogger("huggingface_hub")
    hub_level = hub_logger.level
    chatter.set_verbosity(logging.CRITICAL)
    chatter.disable_progress_bar()
    hub.disable_progress_bars()
    hub_logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if bars:
            chatter.enable_progress_bar()
        if not hub_bars_off:
            hub.enable_progress_bars()
        hub_logger.setLevel(hub_level)
