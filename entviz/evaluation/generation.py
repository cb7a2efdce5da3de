"""Greedy continuation of a prompt by a model without its dropped blocks.

generation = generate(loaded, "Once upon a time", PruneSet.parse("attn.7"), max_new_tokens=24)
generation.text
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import CacheLayerMixin

from entviz.blocks import PruneSet
from entviz.errors import OptionError, TextError
from entviz.finite import check
from entviz.models.loaded import LoadedModel
from entviz.models.notes import about_beginning, about_length, noted
from entviz.progress import Progress, silent
from entviz.repair.repair import Repair, repaired
from entviz.timing import Speed

MOST_NEW_TOKENS = 2048
Paired = tuple[tuple[float, ...], tuple[float, ...]]  # seconds of two models in turn


@dataclass(frozen=True)
class Generation:
    """A greedy continuation.

    Attributes:
        token_ids: the prompt's token ids and those that were generated.
        prompt_tokens: how many of these are the prompt's.
        text: the prompt and the continuation as text.
        drop: the prune set.
        prefill_seconds, decode_seconds: how long this run took to choose the first token, and all after it. A run by
            itself tells nothing of how fast the model is.
        notes: sentences about how the prompt was read, and how the model was repaired.
        reading_seconds, writing_seconds: of the dense and the pruned model in turn, to read the prompt and to write a
            token; None where they were not timed so. See :func:`entviz.evaluation.speed.timed`.
        repair: the name of the repair that the pruned model ran with; empty for none.
    """

    token_ids: list[int]
    prompt_tokens: int
    text: str
    drop: PruneSet
    prefill_seconds: float
    decode_seconds: float
    notes: tuple[str, ...] = ()
    reading_seconds: Paired | None = None
    writing_seconds: Paired | None = None
    repair: str = ""

    @property
    def new_tokens(self) -> int:
        """The number of generated tokens."""
        return len(self.token_ids) - self.prompt_tokens

    @property
    def reading(self) -> Speed | None:
        """How fast the prompt was read beside the dense model; None where the two were not timed in turn."""
        return None if self.reading_seconds is None else Speed.of(*self.reading_seconds)

    @property
    def writing(self) -> Speed | None:
        """The same of writing a token."""
        return None if self.writing_seconds is None else Speed.of(*self.writing_seconds)

    def to_json(self) -> dict[str, Any]:
        """Plain data: token_ids (prompt included), text, drop, and the speeds of those that were timed, and notes."""
        speeds = {"reading_speed": self.reading, "writing_speed": self.writing}
        return {
            "token_ids": self.token_ids,
            "text": self.text,
            "drop": [str(block) for block in self.drop],
            **({"repair": self.repair} if self.repair else {}),
            "prompt_tokens": self.prompt_tokens,
            **{name: speed.to_json() for name, speed in speeds.items() if speed is not None},
            **noted(self.notes),
        }


def generate(
    loaded: LoadedModel,
    prompt: str,
    drop: PruneSet,
    *,
    max_new_tokens: int = 24,
    use_cache: bool = True,
    begin: bool = True,
    repair: Repair | None = None,
    progress: Progress = silent,
) -> Generation:
    """Continue ``prompt`` with the likeliest token at each step, until an end-of-text token or ``max_new_tokens``.

    ``use_cache=False`` runs the whole sequence again for each token; both ways give the same tokens.
    ``begin=False`` leaves out the tokenizer's beginning token. ``repair`` is the result of :func:`entviz.repair.fit`
    for this prune set. ``progress`` receives the :class:`Generation` so far after each token.

    Raises:
        BlockError: if the prune set names a block that the model lacks, or leaves no block in the model.
        TextError: for an empty prompt, a token that the model does not know, or a model without a tokenizer.
        OptionError: for a number of tokens that is not between 1 and 2048, or a repair of another prune set.
        ModelError: if the logits of a next token are not finite; the message says why.
    """
    drop.check(loaded.layers)
    if not 1 <= max_new_tokens <= MOST_NEW_TOKENS:
        raise OptionError(f"Ask for 1 to {MOST_NEW_TOKENS} new tokens, not {max_new_tokens}.")
    token_ids = prompt_ids(loaded, prompt, begin=begin)
    most = loaded.anatomy.most_tokens
    if most is not None and len(token_ids) + max_new_tokens - 1 > most:
        raise OptionError(
            f"This model reads at most {most} tokens, but the prompt has {len(token_ids)} and {max_new_tokens} new "
            "ones were requested. Shorten the prompt or ask for fewer new tokens."
        )
    notes = (*about_beginning(loaded, begin, "Prompts"), *(() if repair is None else repair.said))
    writer = Writer(loaded, drop, repair=repair, use_cache=use_cache)
    return _continue(writer, token_ids, max_new_tokens, notes, progress)


def prompt_ids(loaded: LoadedModel, prompt: str, *, begin: bool = True) -> list[int]:
    """The token ids of a prompt, with a beginning token by default. Raises ``TextError`` like :func:`generate`."""
    token_ids = loaded.tokenize(prompt, begin=begin).token_ids
    if not token_ids:
        raise TextError("The prompt is empty: write a few words for the model to continue.")
    return token_ids


def _continue(
    writer: Writer,
    prompt: list[int],
    max_new_tokens: int,
    notes: tuple[str, ...],
    progress: Progress,
) -> Generation:
    loaded, drop = writer.loaded, writer.drop
    stops = end_tokens(loaded)
    token_ids, fresh = list(prompt), list(prompt)
    started = time.perf_counter()
    prefilled = None
    for count in range(1, max_new_tokens + 1):
        # The largest logit is not finite where one is NaN or infinite; minus infinity is of tokens never to come.
        largest, place = writer.feed(fresh).max(-1)
        check(largest, loaded, torch.tensor([token_ids]), drop, writer.repair)
        chosen = int(place.item())
        now = time.perf_counter()
        prefilled = prefilled or now
        token_ids.append(chosen)
        fresh = [chosen]
        result = Generation(
            token_ids=list(token_ids),
            prompt_tokens=len(prompt),
            text=loaded.tokenizer.decode(token_ids, skip_special_tokens=True),
            drop=drop,
            prefill_seconds=prefilled - started,
            decode_seconds=now - prefilled,
            notes=(*notes, *about_length(loaded, len(token_ids), "The text")),
            repair="" if writer.repair is None else writer.repair.method,
        )
        progress(count, max_new_tokens, result)
        if chosen in stops:
            break
    return result


class Writer:
    """A model without its dropped blocks that is given a text a few tokens at a time.

    Args:
        repair: what was fitted for this prune set, or None.
        use_cache: whether it keeps keys and values of what it was given; otherwise it runs all of it again each time.
    """

    def __init__(
        self, loaded: LoadedModel, drop: PruneSet, *, repair: Repair | None = None, use_cache: bool = True
    ) -> None:
        self.loaded, self.drop, self.repair = loaded, drop, repair
        self.anatomy = repaired(loaded.anatomy, drop, repair)
        # A few architectures keep caches of their own kind; those run the whole sequence again for each token.
        cached = use_cache and loaded.model._supports_default_dynamic_cache()
        self.cache = DynamicCache(config=loaded.model.config) if cached else None
        self.token_ids: list[int] = []

    def feed(self, token_ids: Sequence[int]) -> Tensor:
        """The logits (1, vocabulary) of what follows, once these further tokens were read."""
        self.token_ids += token_ids
        anatomy = self.anatomy
        with torch.inference_mode():
            fresh = token_ids if self.cache is not None else self.token_ids
            hidden = anatomy.run(torch.tensor([fresh], device=self.loaded.device), self.drop, self.cache)
            if self.cache is not None:
                fill_holes(self.cache, self.drop, anatomy.layers, hidden)
            return anatomy.head.logits(hidden[:, -1])


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The token ids at which generation stops, from the model's own generation settings."""
    settings = getattr(loaded.model, "generation_config", None)
    stop = getattr(settings, "eos_token_id", None)
    if stop is None:
        stop = loaded.model.config.get_text_config(decoder=True).eos_token_id
    return frozenset([] if stop is None else stop if isinstance(stop, list) else [stop])


def fill_holes(cache: DynamicCache, drop: PruneSet, layers: int, hidden: Tensor) -> None:
    """Make the cache slots of dropped attentions report the right number of tokens.

    transformers reads the number of cached tokens from one slot, often that of layer 0, and makes positions and masks
    from it. The slot of a dropped attention would be empty and report 0. Keys and values of width 1 give it the right
    length, and nothing ever attends to them.
    """
    windows, tokens, _ = hidden.shape
    filler = hidden.new_zeros(windows, 1, tokens, 1)
    for layer in drop.attention:
        # Linear attentions keep a state of fixed size and do not count tokens.
        if layer < layers and (
            layer >= len(cache.layers) or isinstance(cache.layers[layer], CacheLayerMixin)
        ):
            cache.update(filler, filler, layer)
