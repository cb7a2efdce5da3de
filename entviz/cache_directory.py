"""Where entviz keeps what it can make again: converted models and results."""

import os
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """Return the directory for what can be made again: ``ENTVIZ_CACHE`` if set, else the user's cache directory.

    It need not exist yet. Deleting it loses nothing but time.
    """
    override = os.environ.get("ENTVIZ_CACHE")
    if override:
        return Path(override).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("entviz", appauthor=False))
