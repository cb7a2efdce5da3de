"""A directory that holds only the files of a model that transformers may read.

A model's own directory can hold anything: program code, pickles, adapters that name another model, pipes and devices,
configs that name files elsewhere. So transformers gets a directory of links to the regular files that it needs, with
rewritten copies of the JSON files that control it.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from entviz.errors import ModelError
from entviz.models.regular_files import MOST_BYTES, check_regular, read_object

# The files of tokenizers and generation configs.
_READ_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_STEER_TOKENIZERS = ("tokenizer_config.json", "special_tokens_map.json")
_NEVER = ("adapter_config.json", "config.json")
_MOST_FILES = 10_000


@contextmanager
def clean_directory(source: Path, weights: Sequence[str], written: Mapping[str, Any]) -> Iterator[Path]:
    """Make a directory of links to a model's weights, tokenizer and generation config, deleted at the end.

    Args:
        source: the model's own directory.
        weights: names of its checked weight files, and of their index.
        written: JSON files to write, by name; they replace those of ``source``.

    Raises:
        ModelError: if one of the files is not a regular file, or is too large.
    """
    with tempfile.TemporaryDirectory(prefix="entviz-") as made:
        clean = Path(made)
        for name, content in written.items():
            (clean / name).write_text(json.dumps(content), "utf-8")
        for name in weights:
            _link(source / name, clean / name)
        for name in _beside_the_weights(source, written):
            check_regular(source / name, source.name, MOST_BYTES)
            if name in _STEER_TOKENIZERS:
                content = _without_paths(read_object(source / name, source.name))
                (clean / name).write_text(json.dumps(content), "utf-8")
            else:
                _link(source / name, clean / name)
        yield clean


def point_back(tokenizer: Any, clean: Path, source: Path) -> Any:
    """Return a tokenizer that refers to the model's own files instead of those in a clean directory.

    Some tokenizers copy their files when they are saved, and by then the clean directory is deleted.
    """
    for values in (vars(tokenizer), getattr(tokenizer, "init_kwargs", {})):
        for key, value in values.items():
            if isinstance(value, str) and Path(value).is_relative_to(clean):
                values[key] = str(source / Path(value).relative_to(clean))
    return tokenizer


def _beside_the_weights(source: Path, written: Mapping[str, Any]) -> list[str]:
    with os.scandir(source) as entries:
        names = [entry.name for entry in islice(entries, _MOST_FILES + 1)]
    if len(names) > _MOST_FILES:
        raise ModelError(
            f"The directory {source} holds more than {_MOST_FILES} files. Give the model a directory of its own."
        )
    return [
        name
        for name in sorted(names)
        if name.endswith(_READ_SUFFIXES)
        and not name.endswith(".index.json")
        and name not in _NEVER
        and name not in written
    ]


def _without_paths(values: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer's config without its code and without file names, which could refer to any file."""
    return {key: value for key, value in values.items() if key != "auto_map" and not key.endswith("_file")}


def _link(source: Path, link: Path) -> None:
    link.symlink_to(source.resolve())
