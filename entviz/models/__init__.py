"""Language models: the list to pick from, and loading one safely.

    from entviz.models import load
    loaded = load("smollm2-135m")            # or a hub id, a directory of safetensors, a .gguf file
    loaded.layers, loaded.width, loaded.parameters

Looking into the catalog imports neither torch nor transformers; :func:`load` does.
"""

from typing import TYPE_CHECKING, Any

from entviz.models.catalog import CATALOG, DEFAULT_MODEL, CatalogEntry

if TYPE_CHECKING:
    from entviz.models.loaded import LoadedModel
    from entviz.models.loading import load

__all__ = ["CATALOG", "DEFAULT_MODEL", "CatalogEntry", "LoadedModel", "load"]


def __getattr__(name: str) -> Any:
    """Import what needs torch only once it is asked for, so that the catalog costs nothing at start-up."""
    if name == "load":
        from entviz.models.loading import load

        return load
    if name == "LoadedModel":
        from entviz.models.loaded import LoadedModel

        return LoadedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
