"""Language models: the catalog, and loading a model safely.

    from entviz.models import load
    loaded = load("smollm2-135m")            # or a hub id, a directory of safetensors, a .gguf file
    loaded.layers, loaded.width, loaded.parameters

Reading the catalog imports neither torch nor transformers; :func:`load` does.
"""

import lazy_loader

# Names that need torch are imported when they are first used; ``__init__.pyi`` lists their modules.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
