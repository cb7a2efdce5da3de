"""How much to drop: a number of blocks, or a share or amount of the parameters, the memory or the time.

Budget.parse("8")                 # eight blocks
Budget.parse("20%")               # blocks with at least 20% of the parameters
Budget.parse("50MB")              # ... that free at least 50 MB of weights
Budget.parse("15% latency")       # ... that took at least 15% of the time of a forward pass, measured here
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from entviz.blocks import Block, PruneSet
from entviz.errors import OptionError
from entviz.models.loaded import LoadedModel
from entviz.text.windows import Windows
from entviz.timing import seconds

_SHAPE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(%|[kMG]B)?\s*(parameters|memory|latency)?")
_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Budget:
    """How much to drop. ``unit`` is blocks, parameters, memory (both as shares), bytes, or latency (a share)."""

    amount: float
    unit: str = "blocks"

    @classmethod
    def parse(cls, text: str | int | Budget) -> Budget:
        """Read a budget; raises ``OptionError`` for one that cannot be understood or is out of range."""
        if isinstance(text, Budget):
            return text
        match = _SHAPE.fullmatch(str(text).strip())
        if match is None:
            raise OptionError(f"'{text}' is not a budget: write 8, 20%, 50MB, '20% memory' or '15% latency'.")
        number, mark, word = float(match[1]), match[2], match[3]
        if mark in _BYTES and word in (None, "memory"):
            return cls(number * _BYTES[mark], "bytes")
        if mark == "%" and number < 100:
            return cls(number / 100, word or "parameters")
        if mark is None and word is None and number == int(number):
            return cls(number)
        raise OptionError(
            f"'{text}' is not a budget: write a whole number of blocks, a share below 100%, or an amount."
        )

    def weights(self, loaded: LoadedModel, windows: Windows, blocks: Sequence[Block]) -> dict[Block, float]:
        """How much of the budget's unit dropping each block saves; shares are of the whole model."""
        if self.unit == "blocks":
            return dict.fromkeys(blocks, 1.0)
        if self.unit == "latency":
            return _latency_shares(loaded, windows, blocks)
        anatomy, saved = loaded.anatomy, {}
        for block in blocks:
            gone = anatomy.parameters(PruneSet([block])).values()
            count, size = sum(p.numel() for p in gone), sum(p.numel() * p.element_size() for p in gone)
            whole = {
                "parameters": count / loaded.parameters,
                "memory": size / loaded.bytes,
                "bytes": float(size),
            }
            saved[block] = whole[self.unit]
        return saved

    def cut(self, order: Sequence[Block], weights: Mapping[Block, float]) -> int:
        """How many blocks from the start of ``order`` reach the budget.

        Raises ``OptionError`` if all of them together do not reach it.
        """
        saved, count = 0.0, 0
        while saved < self.amount * (1 - 1e-9):
            if count == len(order):
                raise OptionError(
                    f"The budget cannot be reached: the {len(order)} blocks that may be dropped save "
                    f"{self._say(saved)} together."
                )
            saved += weights[order[count]]
            count += 1
        return count

    def _say(self, amount: float) -> str:
        if self.unit == "blocks":
            return f"{amount:.0f} blocks"
        return f"{amount / 1e6:.1f} MB" if self.unit == "bytes" else f"{amount:.1%} of the {self.unit}"


def _latency_shares(loaded: LoadedModel, windows: Windows, blocks: Sequence[Block]) -> dict[Block, float]:
    """The share of a forward pass's time that each block takes. The forward pass includes the vocabulary projection.

    Each time is the median of several runs on the first window. Blocks of the same structure are assumed equally fast.
    """
    anatomy = loaded.anatomy
    with torch.inference_mode():
        token_ids = windows.inputs[:1].to(loaded.device)
        hidden, calls = anatomy.begin(token_ids)
        step, call = (
            anatomy.split_layers[len(anatomy.split_layers) // 2],
            calls[len(anatomy.split_layers) // 2],
        )
        whole = _seconds(lambda: step.run(hidden, call), loaded.device)
        without = {
            "attn": _seconds(lambda: step.run(hidden, call, attention=False), loaded.device),
            "mlp": _seconds(lambda: step.run(hidden, call, mlp=False), loaded.device),
        }
        head = _seconds(lambda: anatomy.head.logits(hidden[:, :-1]), loaded.device)
    total = whole * anatomy.layers + head
    share = {
        "layer": whole / total,
        **{kind: max(0.0, whole - time) / total for kind, time in without.items()},
    }
    return {block: share[block.kind] for block in blocks}


def _seconds(run: Callable[[], object], device: torch.device, repeats: int = 7) -> float:
    times = [seconds(run, device) for _ in range(repeats + 1)]
    return median(times[1:])  # the first time, memory is still being set aside
