"""Text that a model writes itself, to calibrate on: nothing has to be found, and no kind of text is favoured.

    windows = self_written(loaded, windows=32, length=256)

Each token is drawn from the model's own distribution, so that the text is what the model takes for likely. The token
ids are kept in the cache directory, because writing takes as long as reading the text a few times over.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from transformers import DynamicCache

from entviz.blocks import PruneSet
from entviz.cache_directory import cache_directory
from entviz.finite import check
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, part, silent
from entviz.text.beginning import beginning_of
from entviz.text.windows import Windows

_MOST_KEPT: Final = 64  # texts in the cache directory; each is some tens of kilobytes
_TOGETHER: Final = 16  # windows that are written side by side, and kept together


def self_written(
    loaded: LoadedModel, *, windows: int = 32, length: int = 256, seed: int = 0, progress: Progress = silent
) -> Windows:
    """Windows (windows, length) drawn token by token at temperature 1, the same for the same model and arguments.

    A window begins with what the tokenizer puts before every text, or after the token that ends a text. Tokens that end
    a text are not drawn. Raises ``ModelError`` if the logits are not finite.
    """
    beginning = _beginning(loaded)
    length = _length(loaded, length)
    parts = []
    for first in range(0, windows, _TOGETHER):
        path = _path(loaded, first, length, seed)
        tick = part(progress, first / windows, (first + _TOGETHER) / windows)
        known = _read(path, (_TOGETHER, length), loaded.vocabulary_size)
        if known is None:
            # By themselves, so that more windows begin with those of fewer.
            known = _written(loaded, beginning, length, torch.Generator().manual_seed(seed + first), tick)
            _keep(path, known)
        parts.append(known)
    return Windows(torch.cat(parts)[:windows], beginning)


def is_written(loaded: LoadedModel, *, windows: int, length: int, seed: int = 0) -> bool:
    """Whether :func:`self_written` has to read only, and write nothing."""
    length = _length(loaded, length)
    return all(_path(loaded, first, length, seed).exists() for first in range(0, windows, _TOGETHER))


def _written(
    loaded: LoadedModel,
    beginning: tuple[int, ...],
    length: int,
    generator: torch.Generator,
    tick: Progress,
) -> Tensor:
    anatomy, ends = loaded.anatomy, _ends(loaded)
    # A few architectures keep caches of their own kind; those read the whole text again for each token.
    cached = loaded.model._supports_default_dynamic_cache()
    cache = DynamicCache(config=loaded.model.config) if cached else None
    start = beginning or tuple(ends[:1]) or (0,)
    ids = torch.tensor(start, dtype=torch.long).expand(_TOGETHER, -1)
    with torch.inference_mode():
        fresh = ids
        for count in range(length):
            read = fresh if cache is not None else ids
            hidden = anatomy.run(read.to(loaded.device), PruneSet(), cache)
            logits = anatomy.head.logits(hidden[:, -1]).float()
            check(logits.amax(-1), loaded, ids)
            logits[:, ends] = -torch.inf
            # Drawn on the processor, where a seed gives the same numbers whatever the device.
            fresh = torch.multinomial(logits.softmax(-1).cpu(), 1, generator=generator)
            ids = torch.cat([ids, fresh], 1)
            tick(count + 1, length)
    return ids[:, len(start) :].clone()


def _beginning(loaded: LoadedModel) -> tuple[int, ...]:
    return () if loaded.optional_tokenizer is None else beginning_of(loaded.optional_tokenizer)


def _length(loaded: LoadedModel, length: int) -> int:
    """The length, or as much as the model reads with a token before it."""
    most = loaded.anatomy.most_tokens
    return length if most is None else min(length, most - max(1, len(_beginning(loaded))))


def _ends(loaded: LoadedModel) -> list[int]:
    """The ids that end a text, by the settings for generation or else the config."""
    settings = getattr(loaded.model, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    if ends is None:
        ends = loaded.model.config.get_text_config(decoder=True).eos_token_id
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    return [end for end in ends if end < loaded.vocabulary_size]


def _path(loaded: LoadedModel, first: int, length: int, seed: int) -> Path:
    about = f"{loaded.fingerprint} {loaded.dtype} {first} {_TOGETHER} {length} {seed}"
    name = hashlib.sha256(about.encode()).hexdigest()[:32]
    return cache_directory() / "self-written" / f"{name}.json"


def _read(path: Path, shape: tuple[int, int], vocabulary: int) -> Tensor | None:
    try:
        found = torch.tensor(json.loads(path.read_text(encoding="ascii")), dtype=torch.long)
    except (OSError, ValueError, TypeError):
        return None
    return found if found.shape == shape and found.min() >= 0 and found.max() < vocabulary else None


def _keep(path: Path, ids: Tensor) -> None:
    """Write the ids, and delete the oldest texts over the bound. A directory that cannot be written keeps nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, delete=False, suffix=".part", encoding="ascii"
        ) as file:
            json.dump(ids.tolist(), file)
        Path(file.name).replace(path)
        kept = sorted(path.parent.glob("*.json"), key=lambda one: one.stat().st_mtime)
        for old in kept[:-_MOST_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return
