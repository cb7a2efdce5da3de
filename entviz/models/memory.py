"""Estimate the memory for loading a model and for its first run, before either begins.

    need = estimate(parameters, bytes_each=4, config=config)
    check_memory(need, "my-model")              # raises ModelError, with figures, if there is not enough free memory

The system ends a process that uses more memory than there is, and with it every session of a server.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from entviz.errors import ModelError

_TOKENS = 512  # tokens that go through the model together on a processor, see entviz.decoder.batching
_STATES = (
    12  # hidden states of a layer alive at once: the stream, its norm, queries, keys, values, sites, sums
)
_INNER_STATES = 3  # vectors that an MLP computes for each token: gate, up, their product
_LOGIT_ROWS = 64  # positions with complete logits, for a prompt or a check; evaluations compute them in tiles
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Need:
    """Bytes that are in memory at the same time.

    Attributes:
        weights: the model's weights in their loaded type, and its buffers.
        loading: additional memory while it is read: the file's own copy of a tensor, or of all tensors.
        copies: copies of the model in other number types.
        run: temporaries of the first run.
        layer: a layer that is kept on disk, while it runs.
    """

    weights: int
    loading: int = 0
    copies: int = 0
    run: int = 0
    layer: int = 0

    @property
    def peak(self) -> int:
        """The most at any time. What reading needs is given back before the first run, unless that reads too."""
        reading = self.loading if self.layer else 0
        return self.weights + max(self.loading, self.copies + self.run + self.layer + reading)


def estimate(
    parameters: int,
    bytes_each: int,
    *,
    loading: int = 0,
    buffers: int = 0,
    copy_bytes_each: int = 0,
    config: Any = None,
    weights: int | None = None,
    layer: int = 0,
) -> Need:
    """Estimate the memory that a model takes.

    Args:
        parameters: numbers in all its tensors.
        bytes_each: size of a loaded weight.
        loading: bytes that reading it takes beside the weights, such as its largest tensor or the whole file.
        buffers: bytes that the model keeps beside its weights, such as masks.
        copy_bytes_each: size of a weight of a copy in another type, or 0 for no copy.
        config: its transformers config, from whose widths and vocabulary the first run is estimated.
        weights: bytes of the weights that are kept in this memory, if others are kept elsewhere.
        layer: bytes of the largest layer that is kept on disk.
    """
    here = parameters * bytes_each if weights is None else weights
    return Need(here + buffers, loading, parameters * copy_bytes_each, first_run(config), layer)


def check_memory(need: Need, name: str, remedy: str = "Choose a smaller model, or bfloat16 weights") -> None:
    """Check that there is enough free memory.

    Raises:
        ModelError: if there is not; the message gives both figures.
    """
    free = available_bytes()
    if need.peak > free:
        parts = (
            (need.weights, "for its weights"),
            (need.loading, "to read them"),
            (need.copies, "for a copy in another number type"),
            (need.layer, "for one layer that is read from disk"),
            (need.run, "for the first run"),
        )
        figures = ", ".join(f"{_size(part)} {what}" for part, what in parts if part)
        raise ModelError(
            f"{name} needs {_size(need.peak)} of memory ({figures}), but only {_size(free)} are free. {remedy}."
        )


def available_bytes() -> int:
    """The memory that this process may still use: the machine's free memory, or the rest of its container's limit."""
    return min(psutil.virtual_memory().available, _left_in_container())


def _left_in_container() -> int:
    """The rest of the control group's limit (version 2, as set by Docker and systemd); infinite if there is none."""
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = int((_CGROUP / "memory.current").read_text("ascii"))
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text("ascii").splitlines())
        # Cached files count as used, but the system frees them when memory is needed.
        return max(0, int(limit) - used + int(statistics.get("inactive_file", 0)))
    except (OSError, ValueError):  # no control groups here, or no limit ("max")
        return 2**63


def first_run(config: Any) -> int:
    """Bytes of temporaries of a model's first run on the processor; 0 if its config is not known."""
    if config is None:
        return 0
    text = config.get_text_config(decoder=True)
    width = _number(text, "hidden_size")
    inner = max(_number(text, "intermediate_size"), 4 * width)
    states = _TOKENS * (_STATES * width + _INNER_STATES * inner)
    return 4 * (states + _LOGIT_ROWS * _number(text, "vocab_size"))


def _number(config: Any, key: str) -> int:
    value = getattr(config, key, None)
    return max(value) if isinstance(value, list) and value else value if isinstance(value, int) else 0


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 50_000_000 else f"{count / 1e6:.1f} MB"
