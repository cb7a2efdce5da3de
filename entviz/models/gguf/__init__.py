"""GGUF files: read with bounds, compared with what the model receives, converted once.

    directory = converted(Path("model.gguf"))      # safetensors, config and tokenizer, in the cache

:mod:`header` reads what a file says about itself, :mod:`parts` puts split files together, :mod:`metadata`,
:mod:`positions` and :mod:`weights` decide whether the model will be what the file says, :mod:`reading` makes it and
:mod:`converting` keeps it, with the :mod:`digests` it is compared with at each load.
"""

from entviz.models.gguf.converting import converted
from entviz.models.gguf.parts import one_model
from entviz.models.gguf.reading import misread_by_transformers, read_gguf

__all__ = ["converted", "misread_by_transformers", "one_model", "read_gguf"]
