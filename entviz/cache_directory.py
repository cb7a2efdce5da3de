"""The directory for files that entviz can create again: converted models and results."""

import os
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """Return the directory for files that can be created again: ``ENTVIZ_CACHE``, or else the user's cache directory.

    It may not exist yet. Deleting it only costs the time to create its files again.
    """
    override = os.environ.get("ENTVIZ_CACHE")
    if override:
        return Path(override).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("entviz", appauthor=False))
