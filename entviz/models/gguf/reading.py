"""Read a GGUF file as a transformers model that computes what the file describes, or say why this is impossible.

    model, tokenizer = read_gguf(Path("model.gguf"))

transformers unpacks and names the tensors. Before that, the file's own description is used to check that the model will
match the file (:mod:`metadata`, :mod:`weights`, :mod:`positions`) and that there is enough memory for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch

from entviz.errors import Cancelled, ModelError
from entviz.models.bounded_building import bounded_building
from entviz.models.config_file import check_config
from entviz.models.gguf import positions
from entviz.models.gguf.header import Header, Stored, Strings, read_header
from entviz.models.gguf.metadata import layer_count, settings
from entviz.models.gguf.weights import check_weights
from entviz.models.library_errors import telling_line
from entviz.models.memory import check_memory, estimate
from entviz.models.transformers_calls import (
    config_from,
    gguf_config_values,
    read_gguf_model,
    read_gguf_tokenizer,
)
from entviz.progress import Progress, silent, waiting_for

Item = TypeVar("Item")

# Replacements made while a file is read apply to the whole process.
_REPLACING: Final = threading.Lock()

# Beside the model, unpacking holds the numbers of one tensor up to three times. Measured: 0.87 GB for 0.54 + 3 × 0.11
# (SmolLM2 135M), 2.87 GB for 1.07 + 3 × 0.67 (Gemma 3 270M).
_COPIES: Final = 3


def read_gguf(
    path: Path,
    dtype: torch.dtype = torch.float32,
    header: Header | None = None,
    progress: Progress = silent,
) -> tuple[Any, Any]:
    """Read a model and its tokenizer from a GGUF file; the tokenizer is None if the file has none.

    No file beside it is read: no code, no configs, no tokenizers.

    Args:
        path: the complete file.
        dtype: the type of the weights.
        header: the header to compare the file with, and its name in messages, if it was joined from parts.
        progress: called with the number of unpacked tensors and of all tensors, and from time to time while a model is
            waited for and built; it can raise ``Cancelled``.

    Raises:
        ModelError: if the file is damaged, is too large for the memory that is free, or says something that would
            not reach the model.
    """
    said = read_header(path) if header is None else header
    check_header(said)
    try:
        with frugal_reading(progress):
            return _read(said, path, dtype, progress)
    except (Cancelled, ModelError, OSError):
        raise
    except Exception as error:  # any failure in the reader means that the file cannot be used
        raise ModelError(
            f"{said.path} cannot be read as a GGUF language model ({telling_line(error)}). "
            "Use a whole file of an architecture that transformers reads, or the model's safetensors."
        ) from error


def misread_by_transformers(path: Path) -> list[str]:
    """Names of config values that transformers' own reader sets differently from this file.

    Raises:
        ModelError: for the reasons given for :func:`read_gguf`.
    """
    header = read_header(path)
    check_header(header)
    with frugal_reading():
        plain = gguf_config_values(path)
        right = check_config(settings(header, plain, _turning(header)), str(path)).to_dict()
        try:
            found = config_from(plain).to_dict()
        except Exception:  # noqa: BLE001  a config that cannot be made of what it reads is wrong altogether
            return ["config"]
    return sorted(key for key, value in right.items() if found.get(key) != value)


def check_header(header: Header) -> None:
    """Check that a file has weights for the layers that it states, and can be unpacked in the free memory.

    Raises:
        ModelError: if not; the message gives the figures.
    """
    layer_count(header)
    largest = max(tensor.elements for tensor in header.tensors.values())
    need = estimate(header.elements, 4, loading=4 * _COPIES * largest)
    check_memory(need, str(header.path), "Choose a smaller model, or close other programs")


def _read(header: Header, path: Path, dtype: torch.dtype, progress: Progress) -> tuple[Any, Any]:
    name = str(header.path)
    said = _turning(header)
    values = gguf_config_values(path)
    check_config({"model_type": values.get("model_type")}, name)
    values = settings(header, values, said)
    expected = check_weights(header, check_config(values, name), values, progress)
    with bounded_building(progress=progress):
        model, info = read_gguf_model(path, dtype, values, progress)
    wrong = sorted({*info["missing_keys"], *info["unexpected_keys"]} - set(expected.zeros))
    if wrong:
        raise ModelError(
            f"{name} lacks weights of its model or has others ({', '.join(wrong[:3])}). "
            "Use a complete file, or the model's safetensors."
        )
    with torch.no_grad():
        for bias in expected.zeros:
            model.get_parameter(bias).zero_()
    positions.check_frequencies(said, header, model)
    # The result is an ordinary model, so the mark of a quantized file must not be saved with it.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    has_tokenizer = isinstance(tokens, Strings) and tokens.count > 0
    return model, read_gguf_tokenizer(path) if has_tokenizer else None


def _turning(header: Header) -> positions.Turning:
    found = {name: header.tensors[name] for name in positions.TENSORS if name in header.tensors}
    return positions.turning(header, {name: _numbers(tensor) for name, tensor in found.items()})


def _numbers(tensor: Stored) -> np.ndarray:
    """The numbers of a small tensor, flat."""
    from gguf import GGMLQuantizationType, quants

    raw = np.fromfile(tensor.path, np.uint8, tensor.bytes, offset=tensor.start)
    kind = GGMLQuantizationType(tensor.type)
    if kind == GGMLQuantizationType.F32:
        return raw.view(np.float32)
    return np.asarray(quants.dequantize(raw, kind), np.float32).reshape(-1)


@contextmanager
def frugal_reading(progress: Progress = silent) -> Iterator[None]:
    """Make transformers parse the file only once, and report to ``progress``, which can raise ``Cancelled``.

    Otherwise it parses the file three times, builds the same table of names for every module of the model (together
    more than half of the time of a conversion), and draws a progress bar that its own setting does not switch off.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as reading

    def reported(tensors: Iterable[Item], **_: Any) -> Iterator[Item]:
        listed = list(tensors)
        for done, tensor in enumerate(listed):
            progress(done, len(listed))
            yield tensor
        progress(len(listed), len(listed))

    replacements = (
        (gguf, "GGUFReader", cache(gguf.GGUFReader)),
        (gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
        (reading, "tqdm", reported),
    )
    with waiting_for(_REPLACING, progress), ExitStack() as restore:
        for module, name, replacement in replacements:
            if hasattr(module, name):
                restore.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, replacement)
        yield
