"""Find a model by name and load it: safetensors and GGUF only, and never code that came with it."""

import threading
from pathlib import Path

from entviz.models.catalog import CATALOG, DEFAULT_MODEL
from entviz.models.gguf import converted
from entviz.models.loaded import LoadedModel, parse_dtype
from entviz.models.quiet import quiet

# transformers keeps its verbosity in globals, and two loads at once would only compete for the disk.
_LOADING = threading.Lock()


def load(name: str = DEFAULT_MODEL, *, dtype: str = "float32", device: str | None = None) -> LoadedModel:
    """Load a causal language model for measuring."""
    weight_type = parse_dtype(dtype)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _LOADING, quiet():
        directory = locate(name)
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=weight_type, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
        return LoadedModel.of(model, tokenizer, name)


def locate(name: str) -> Path:
    entry = CATALOG.get(name)
    if entry is not None and entry.packaged is not None:
        path = entry.packaged.path()
        if path is not None:
            return converted(path, entry.packaged.sha256)
    return Path(name)
