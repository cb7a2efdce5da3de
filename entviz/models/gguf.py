"""GGUF files: de-quantized once into a directory of safetensors, which loads in a second from then on.

A conversion is written under a temporary name and renamed when it is whole, so a directory that is there can be
trusted whenever the process was killed. A file lock keeps two processes from doing the same work.
"""

import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path

from filelock import FileLock
from tqdm.auto import tqdm

from entviz.errors import ModelError
from entviz.models.cache import cache_directory
from entviz.models.library_errors import telling_line
from entviz.models.transformers_calls import read_gguf_model, read_gguf_tokenizer

# Raise it whenever a change here would write different files; older conversions are then made anew.
CONVERSION_VERSION = 1

# What is replaced while a file is read is replaced for the whole process.
_READING = threading.Lock()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def converted(path: Path, expected_sha256: str | None = None) -> Path:
    """Return a directory of safetensors, config and tokenizer with the content of a GGUF file.

    The weights are float32 and exactly those that transformers de-quantizes from the file.

    Args:
        path: the ``.gguf`` file.
        expected_sha256: what the file's SHA-256 must be; None to take any file.

    Raises:
        ModelError: if the file is not the expected one, cannot be read as a causal language model, or the cache
            directory cannot be written.
    """
    import transformers

    _check_magic(path)
    digest = _remembered_sha256(path)
    if expected_sha256 is not None and digest != expected_sha256:
        raise ModelError(
            f"The model file {path} is damaged: its SHA-256 is {digest[:12]}… instead of "
            f"{expected_sha256[:12]}…. Reinstall the package that it came with."
        )
    stem = re.sub(r"[^A-Za-z0-9.-]+", "-", path.stem)[:60]
    key = f"{stem}-{digest[:20]}-transformers-{transformers.__version__}-{CONVERSION_VERSION}"
    models = cache_directory() / "models"
    target = models / key
    if target.is_dir():
        return target
    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(models / f"{key}.lock"):
            if not target.is_dir():
                # Whoever left these was killed: they would hold the lock otherwise.
                for orphan in models.glob(f"{key}.*.partial"):
                    shutil.rmtree(orphan, ignore_errors=True)
                partial_directory = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".partial", dir=models))
                try:
                    _convert(path, partial_directory)
                    _flush(partial_directory)
                    partial_directory.rename(target)
                finally:
                    shutil.rmtree(partial_directory, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"The model cannot be converted into {models}: {error.strerror or error}. Make room there, or point "
            "the environment variable ENTVIZ_CACHE to a directory that can be written."
        ) from error
    return target


def _remembered_sha256(path: Path) -> str:
    """Return a file's SHA-256, hashing it only if its path, size or time of change is new."""
    status = path.stat()
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    record = cache_directory() / "digests" / hashlib.sha256(identity.encode()).hexdigest()
    try:
        digest = record.read_text("ascii")
        if re.fullmatch("[0-9a-f]{64}", digest):
            return digest
    except (OSError, UnicodeDecodeError):
        pass
    digest = sha256_of(path)
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=record.parent, delete=False) as file:
            file.write(digest)
        Path(file.name).replace(record)
    except OSError:
        pass  # hashing again next time is all that is lost
    return digest


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}). Choose a file that you can open."
        ) from error
    if magic != b"GGUF":
        raise ModelError(
            f"{path} is not a GGUF file, whatever its name says. Download it again, or choose another."
        )


def _convert(path: Path, directory: Path) -> None:
    import torch

    try:
        with frugal_reading():
            model, info = read_gguf_model(path, torch.float32)
            tokenizer = read_gguf_tokenizer(path)
    except Exception as error:  # whatever fails in the reader, the file cannot be used
        raise ModelError(
            f"{path} cannot be read as a GGUF language model ({telling_line(error)}). "
            "Use a whole file of an architecture that transformers reads, or the model's safetensors."
        ) from error
    if info["missing_keys"]:
        raise ModelError(
            f"{path} lacks weights of its model ({', '.join(sorted(info['missing_keys'])[:3])}). "
            "Use a complete file, or the model's safetensors."
        )
    # What is saved is an ordinary float32 model; the mark of the quantized file must not reach it.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


@contextmanager
def frugal_reading() -> Iterator[None]:
    """Have transformers parse the file once and silently.

    It would parse it three times, build the same table of names for every module of the model (together more than half
    of the time a conversion takes), and draw a progress bar that its own switch does not reach.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as reading

    replacements = (
        (gguf, "GGUFReader", cache(gguf.GGUFReader)),
        (gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
        (reading, "tqdm", partial(tqdm, disable=True)),
    )
    with _READING, ExitStack() as restore:
        for module, name, replacement in replacements:
            if hasattr(module, name):
                restore.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, replacement)
        yield


def _flush(directory: Path) -> None:
    """Have every file on the disk before the rename, so that a power cut cannot leave a named but empty one."""
    for file in directory.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
