"""Check that a directory holds a causal language model that can be read safely, before anything large is read or built.

Only safetensors are accepted, because unpickling a ``.bin`` or ``.pth`` file runs any code that its author put there.
Models with their own code are refused for the same reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from entviz.errors import ModelError
from entviz.models.config_file import check_config, check_values
from entviz.models.fitting import Plan, check_counts, check_fit
from entviz.models.headers import WEIGHTS, WEIGHTS_INDEX, named_weights, read_headers
from entviz.models.library_errors import telling_line
from entviz.models.regular_files import read_json
from entviz.progress import Progress, silent

PICKLES = (".bin", ".pth", ".pt", ".ckpt", ".pkl", ".pickle")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "tiktoken.model",
)
_MOST_FILES = 10_000  # files in a directory; a directory with more is not a model


@dataclass(frozen=True)
class CheckedDirectory:
    """A directory whose config and tensors fit together.

    Attributes:
        path: the directory.
        values: the content of its ``config.json``.
        config: the transformers config made from it.
        weights: names of the weight files, and of their index if they have one.
        plan: the sizes of the model.
    """

    path: Path
    values: dict[str, Any]
    config: Any
    weights: list[str]
    plan: Plan


def check_files(files: Iterable[str], name: str) -> list[str]:
    """Check by file names alone that a model can be read, and return the names of its weight files or their index.

    Args:
        files: names of the files at the top of the model's directory or repository.
        name: what to call the model in a message.

    Raises:
        ModelError: if there is no config, an adapter instead of a model, only pickled weights, or no weights.
    """
    files = set(files)
    if "adapter_config.json" in files:
        raise ModelError(
            f"{name} holds an adapter, not a whole model. Merge it into its base model (peft: merge_and_unload, "
            "save_pretrained) and load the result."
        )
    weights = WEIGHTS if WEIGHTS in files else WEIGHTS_INDEX if WEIGHTS_INDEX in files else None
    if weights is not None and "config.json" in files:
        return [weights]
    if any(file.endswith(PICKLES) for file in files) and weights is None:
        raise ModelError(
            f"{name} has its weights as a pickle, which can run code when it is read, so only safetensors and GGUF "
            "are loaded. If you trust it, convert it: from_pretrained(...), then save_pretrained(...)."
        )
    if any(file.endswith(".gguf") for file in files) and weights is None:
        raise ModelError(f"{name} holds GGUF files. Name one of them: a path that ends in .gguf.")
    if "config.json" not in files:
        raise ModelError(
            f"{name} has no config.json, so it is not a transformers model. "
            "Give a directory that save_pretrained wrote, or a .gguf file."
        )
    raise ModelError(
        f"{name} has a config.json but no weights. Put its {WEIGHTS} there, or choose another directory."
    )


def check_directory(
    directory: Path, name: str, dtype: torch.dtype = torch.float32, progress: Progress = silent
) -> CheckedDirectory:
    """Check that a directory can be loaded as a causal language model, reading its config and headers only.

    Args:
        directory: the directory of the files.
        name: what to call the model in a message.
        dtype: the type that the weights are going to be loaded in.
        progress: called from time to time; it can raise ``Cancelled``.

    Raises:
        ModelError: if files are missing, damaged, pickled or not regular files; if the model is not a decoder-only
            causal language model, is quantized, or needs its own code; or if its weights do not match its config.
    """
    check_files(file_names(directory), name)
    values = check_values(read_json(directory / "config.json", name), name)
    tensors = read_headers(directory, name)
    check_counts(values, tensors, name)
    config = check_config(values, name)
    plan = check_fit(config, tensors, name, dtype, progress)
    return CheckedDirectory(directory, values, config, named_weights(directory, name), plan)


def file_names(directory: Path) -> list[str]:
    """Return the names of the files in a directory.

    Raises:
        ModelError: if it cannot be listed, or holds too many files for a model.
    """
    try:
        names = [path.name for path in islice(directory.iterdir(), _MOST_FILES + 1)]
    except OSError as error:
        raise ModelError(f"The directory {directory} cannot be read ({telling_line(error)}).") from error
    if len(names) > _MOST_FILES:
        raise ModelError(
            f"The directory {directory} holds more than {_MOST_FILES} files. Give the model a directory of its own."
        )
    return names
