"""GGUF files: read with bounds, compared with what the model receives, converted once.

    directory = converted(Path("model.gguf"))      # safetensors, config and tokenizer, in the cache

:mod:`header` reads a file's description of itself, :mod:`parts` joins split files, :mod:`metadata`, :mod:`positions`
and :mod:`weights` check that the model will match the file, :mod:`reading` creates the model, and :mod:`converting`
stores it with :mod:`digests`, which are compared at each load.
"""

from entviz.models.gguf.converting import converted
from entviz.models.gguf.parts import one_model
from entviz.models.gguf.reading import misread_by_transformers, read_gguf

__all__ = ["converted", "misread_by_transformers", "one_model", "read_gguf"]
