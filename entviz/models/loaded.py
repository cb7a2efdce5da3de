"""A model in memory, ready to be measured and shared by threads."""

import copy
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
import xxhash

from entviz.decoder.offloading import is_offloaded, read, running_device
from entviz.errors import ModelError, OptionError, TextError
from entviz.finite import cause_at_examination
from entviz.models.memory import Need, check_memory, estimate
from entviz.text.beginning import Tokenized, tokenize

if TYPE_CHECKING:
    from entviz.decoder.anatomy import Anatomy
    from entviz.text.windows import Windows

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# Config values about the files, not about the function that the model computes.
_INCIDENTAL = ("_name_or_path", "transformers_version", "architectures", "auto_map")


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A causal language model in evaluation mode whose weights take no gradient. It must never be changed.

    Attributes:
        name: its name, as the user gave it.
        model: the transformers model.
        optional_tokenizer: its tokenizer, or None if the model has none.
        fingerprint: 32 hexadecimal digits, a hash of the config and of every weight; equal for equal models.
        layers: number of transformer layers.
        width: number of dimensions of a hidden state.
        vocabulary_size: number of token ids the model knows; ids from 0 to one less are valid.
        device: the device of the embedding, to which token ids must be moved.
        dtype: the type of the weights.
        read_again: reads a model's files again, into weights of the given type; None if it was created in memory.
            Raises ``ModelError`` if the files no longer exist, or there is not enough memory.
    """

    name: str
    model: Any
    optional_tokenizer: Any
    fingerprint: str
    layers: int
    width: int
    vocabulary_size: int
    device: torch.device
    dtype: torch.dtype
    read_again: "Callable[[LoadedModel, str], LoadedModel] | None" = None
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _copies: dict[torch.dtype, "LoadedModel"] = field(default_factory=dict, repr=False)
    _cast_from: "weakref.ref[LoadedModel] | None" = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Any = None,
        name: str = "model",
        read_again: "Callable[[LoadedModel, str], LoadedModel] | None" = None,
    ) -> "LoadedModel":
        """Wrap a transformers causal language model that is already in memory.

        The model is put into evaluation mode and its gradients are switched off.

        Raises:
            ModelError: if its config does not say how many layers, dimensions or token ids it has.
        """
        model.eval().requires_grad_(False)
        config = model.config.get_text_config(decoder=True)
        embedding = model.get_input_embeddings()
        layers, width = getattr(config, "num_hidden_layers", None), getattr(config, "hidden_size", None)
        if not layers or not width or embedding is None:
            raise ModelError(
                f"{name} does not look like a decoder-only transformer: its config does not give the number of "
                "layers or the width. Choose a model of the Llama, GPT, Qwen or a similar family."
            )
        return cls(
            name=name,
            model=model,
            optional_tokenizer=tokenizer,
            fingerprint=fingerprint(model),
            layers=layers,
            width=width,
            vocabulary_size=embedding.weight.shape[0],
            device=running_device(embedding),
            dtype=embedding.weight.dtype,
            read_again=read_again,
        )

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer.

        Raises:
            TextError: if the model came without one; token ids can still be given.
        """
        if self.optional_tokenizer is None:
            raise TextError(
                f"{self.name} came without a tokenizer, so it cannot read text. "
                "Give token ids, or add the tokenizer's files to the model's directory."
            )
        return self.optional_tokenizer

    def tokenize(self, text: str, *, begin: bool = True) -> Tokenized:
        """A text in token ids that this model knows; see :func:`entviz.text.beginning.tokenize`.

        Raises:
            TextError: if the model came without a tokenizer, or has no embedding for a token of the text.
        """
        return tokenize(text, self.tokenizer, begin=begin, vocabulary_size=self.vocabulary_size)

    def windows(
        self, text: str, *, windows: int | None = None, window_length: int = 256, begin: bool = True
    ) -> "Windows":
        """A text in windows for this model; see :func:`entviz.text.windows.windows_from_text`.

        Raises:
            TextError: for the reasons given for :meth:`tokenize`, and for a text that is empty or too short.
            OptionError: for a number of windows below 1 or a length below 2.
        """
        from entviz.text.windows import windows_from_text

        return windows_from_text(
            text,
            self.tokenizer,
            windows=windows,
            window_length=window_length,
            begin=begin,
            vocabulary_size=self.vocabulary_size,
        )

    @cached_property
    def trained_positions(self) -> int | None:
        """The number of tokens that the model was trained to read at once, by its config; None if it does not say."""
        config = self.model.config.get_text_config(decoder=True)
        for name in ("n_positions", "max_position_embeddings", "n_ctx"):
            if getattr(config, name, None) is not None:
                return int(getattr(config, name))
        return None

    @cached_property
    def parameters(self) -> int:
        """The number of weights of the model, shared ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())

    @cached_property
    def bytes(self) -> int:
        """The memory that the weights use, in bytes; those that are kept on disk use none."""
        return sum(
            weight.numel() * weight.element_size() for weight in self.model.parameters() if not weight.is_meta
        )

    @cached_property
    def on_disk(self) -> bool:
        """Whether a part of the weights is kept on disk, or in memory that it does not run from."""
        return is_offloaded(self.model)

    @property
    def anatomy(self) -> "Anatomy":
        """The model's layers, attentions and MLPs; found on first use.

        Raises:
            ModelError: if the model is built in a way that entviz does not know.
        """
        with self._lock:
            return self._anatomy

    @cached_property
    def _anatomy(self) -> "Anatomy":
        from entviz.decoder.anatomy import examine

        try:
            return examine(self.model)
        except ModelError as error:
            # NaN is not equal to anything, so a model with NaN fails the checks of its anatomy.
            raise cause_at_examination(self) or error from None

    def in_dtype(self, dtype: str) -> "LoadedModel":
        """Return this model with weights of another type: itself, or a copy that is made once and kept.

        The copy shares no weight with the original. Buffers that are computed and not learned (rotary frequencies) keep
        their precision, as they do when transformers loads a model in that type.

        Raises:
            ModelError: if there is not enough memory for the copy.
            OptionError: if there is no such type.
        """
        wanted = parse_dtype(dtype)
        if wanted == self.dtype:
            return self
        with self._lock:
            if wanted not in self._copies:
                self._copies[wanted] = self.cast(dtype)
            return self._copies[wanted]

    def cast(self, dtype: str) -> "LoadedModel":
        """Return a copy of this model with weights of another type, like :meth:`in_dtype`, but do not keep it.

        Raises:
            ModelError: if there is not enough memory for it.
            OptionError: if there is no such type.
        """
        wanted = parse_dtype(dtype)
        if self.on_disk:  # its weights are only in its files
            if self.read_again is None:
                raise ModelError(
                    f"{self.name} has weights on disk, and its files are not known. Load it again."
                )
            return replace(self.read_again(self, dtype), _cast_from=weakref.ref(self))
        if self.device.type == "cpu":
            check_memory(
                Need(0, copies=self.parameters * wanted.itemsize),
                f"Running {self.name} in {dtype}",
                "Evaluate in the number type that it is loaded in, or choose a smaller model",
            )
        model = _cast(self.model, wanted)
        copied = LoadedModel.of(model, self.optional_tokenizer, self.name)
        return replace(copied, _cast_from=weakref.ref(self))

    def from_widest(self, dtype: str) -> "LoadedModel":
        """Return this model with weights of another type, made from the most precise weights available; do not keep it.

        These are the weights that it was cast from, otherwise those in its files, which are read again.

        Raises:
            ModelError: if there is not enough memory for it, or the files no longer exist.
            OptionError: if there is no such type.
        """
        wanted, widest = parse_dtype(dtype), self.original or self
        if widest.dtype == wanted:
            return widest
        if widest.read_again is not None and widest.dtype != torch.float32:
            return widest.read_again(widest, dtype)
        check_memory(estimate(widest.parameters, wanted.itemsize), widest.name)
        return widest.cast(dtype)

    @property
    def original(self) -> "LoadedModel | None":
        """The model from which this one was cast, as long as it is in memory."""
        return None if self._cast_from is None else self._cast_from()


def parse_dtype(name: str) -> torch.dtype:
    """Return the torch type of that name.

    Raises:
        OptionError: if it is not float32, bfloat16 or float16.
    """
    if name not in DTYPES:
        raise OptionError(f"There is no weight type {name!r}. Choose one of {', '.join(DTYPES)}.")
    return DTYPES[name]


def fingerprint(model: Any) -> str:
    """Return 32 hexadecimal digits that identify the model's function: its config and every byte of its weights.

    Any changed weight changes it. xxh3 runs at the speed of memory, so sampling is not needed.
    """
    config = {key: value for key, value in model.config.to_dict().items() if key not in _INCIDENTAL}
    hasher = xxhash.xxh3_128(json.dumps(config, sort_keys=True, default=str).encode())
    for name, found in _tensors(model):
        tensor = read(model, name) if found.is_meta else found
        hasher.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        hasher.update(flat.view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and saved buffers by name, sorted. Buffers that are not saved follow from the config."""
    saved = model.state_dict(keep_vars=True).keys()
    yield from sorted(model.named_parameters())
    yield from sorted((name, buffer) for name, buffer in model.named_buffers() if name in saved)


def _cast(model: Any, dtype: torch.dtype) -> Any:
    """A copy of a transformers model with weights of another type, sharing none; see :meth:`LoadedModel.in_dtype`."""
    changed = {id(tensor) for tensor in _casts(model, dtype)}
    memo: dict[int, Any] = {}
    for weight in model.parameters():
        target = dtype if id(weight) in changed else weight.dtype
        memo[id(weight)] = torch.nn.Parameter(weight.detach().to(target, copy=True), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().to(dtype if id(buffer) in changed else buffer.dtype, copy=True)
    # With every tensor in the memo, the copy needs memory only for the new weights.
    twin = copy.deepcopy(model, memo)
    twin.config.dtype = dtype
    return twin


def round_weights(model: Any, dtype: torch.dtype) -> None:
    """Round a model's weights in place to values of ``dtype``; they keep their own type."""
    for tensor in _casts(model, dtype):
        tensor.data.copy_(tensor.data.to(dtype))


def _casts(model: Any, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """The tensors that have another type in a model of ``dtype``: learned ones, unless the model keeps their type."""
    persistent = set(model.state_dict())
    kept = model._get_dtype_plan(dtype)
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not _is_kept(name, kept):
            yield weight
    for name, buffer in model.named_buffers():
        if name in persistent and buffer.is_floating_point():
            yield buffer


def _is_kept(name: str, plan: dict[str, torch.dtype]) -> bool:
    import re

    return any(re.search(pattern, name) for pattern in plan)
