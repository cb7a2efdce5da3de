"""Language models: the list to pick from, and loading one safely.

    from entviz.models import load
    loaded = load("smollm2-135m")            # or a hub id, a directory of safetensors, a .gguf file
    loaded.layers, loaded.width, loaded.parameters

Looking into the catalog imports neither torch nor transformers; :func:`load` does.
"""

import lazy_loader

# What needs torch is imported when it is first used; ``__init__.pyi`` says from where.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
