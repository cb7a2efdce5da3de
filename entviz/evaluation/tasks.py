"""The accuracy of a pruned model on multiple-choice items.

    task = read_task("common-sense")                                   # or a JSONL file, or piqa
    result = evaluate_task(loaded, task, PruneSet.parse("attn.25"))
    result.accuracy, result.accuracy_normalized, result.standard_error

A model's answer is the choice with the highest likelihood after the context; the model does not generate an answer.
Long choices have lower likelihoods, so the normalized accuracy compares log-likelihoods divided by the choice's length
in characters. Both accuracies and the tokenization are those of lm-evaluation-harness (``acc``, ``acc_norm``,
https://github.com/EleutherAI/lm-evaluation-harness), so that figures can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from entviz.blocks import PruneSet
from entviz.decoder.batching import tokens_per_batch
from entviz.decoder.precision import resolved
from entviz.errors import ModelError, TextError
from entviz.evaluation.choices import ItemIds, in_tokens, log_likelihoods, plan
from entviz.finite import all_finite, cause
from entviz.models.loaded import LoadedModel
from entviz.models.notes import about_beginning, noted
from entviz.progress import Progress, silent
from entviz.repair.repair import Repair, repaired
from entviz.tasks import Item, Task

# The number of items from which batches are made. More would need a little less padding, but partial results would no
# longer be those of the first items.
_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The result of :func:`evaluate_task`, so far. N finished items with at most C choices.

    Attributes:
        task: the task's name.
        drop: the prune set.
        dtype: the number type the model ran in.
        item: (N,) the items' numbers in the task, from 0, in order.
        answer: (N,) the index of the right choice.
        log_likelihood: (N, C) the log-likelihood of each choice given its context, nats; NaN after an item's last one.
        length: (N, C) the length of each choice in characters; 0 after an item's last choice.
        items_total: the number of items once the evaluation is finished.
        notes: sentences about how the items were read, and how the model was repaired.
        repair: the name of the repair that the pruned model ran with; empty for none.
    """

    task: str
    drop: PruneSet
    dtype: str
    item: np.ndarray
    answer: np.ndarray
    log_likelihood: np.ndarray
    length: np.ndarray
    items_total: int
    notes: tuple[str, ...] = ()
    repair: str = ""

    @property
    def items(self) -> int:
        """The number of items finished so far."""
        return len(self.item)

    @cached_property
    def chosen(self) -> np.ndarray:
        """(N,) the index of the likeliest choice; the first of equal ones."""
        return np.nanargmax(self.log_likelihood, axis=1)

    @cached_property
    def chosen_normalized(self) -> np.ndarray:
        """(N,) the index of the choice with the highest log-likelihood per character; the first of equal ones."""
        return np.nanargmax(self.log_likelihood / np.maximum(self.length, 1), axis=1)

    @property
    def right(self) -> np.ndarray:
        """(N,) whether the likeliest choice is the answer."""
        return self.chosen == self.answer

    @property
    def right_normalized(self) -> np.ndarray:
        """(N,) whether the choice with the highest log-likelihood per character is the answer."""
        return self.chosen_normalized == self.answer

    @property
    def accuracy(self) -> float:
        """The share of items whose answer is the likeliest choice."""
        return float(self.right.mean())

    @property
    def accuracy_normalized(self) -> float:
        """The share of items whose answer has the highest log-likelihood per character."""
        return float(self.right_normalized.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of :attr:`accuracy` for independent items; NaN for a single item."""
        return _standard_error(self.right)

    @property
    def standard_error_normalized(self) -> float:
        """Standard error of :attr:`accuracy_normalized`; NaN for a single item."""
        return _standard_error(self.right_normalized)

    @property
    def chance(self) -> float:
        """The expected accuracy of random guessing."""
        return float((1 / (self.length > 0).sum(axis=1)).mean())

    def per_item(self) -> pd.DataFrame:
        """A row for each item: item, answer, chosen, right, the normalized versions of the last two, and
        log_likelihood (a tuple).
        """
        known = self.length > 0
        return pd.DataFrame(
            {
                "item": self.item,
                "answer": self.answer,
                "chosen": self.chosen,
                "right": self.right,
                "chosen_normalized": self.chosen_normalized,
                "right_normalized": self.right_normalized,
                "log_likelihood": [
                    tuple(row[here].tolist()) for row, here in zip(self.log_likelihood, known, strict=True)
                ],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data: task, items, both accuracies with their standard errors, chance, drop, dtype and notes."""
        return {
            "task": self.task,
            "items": self.items,
            "accuracy": self.accuracy,
            "accuracy_normalized": self.accuracy_normalized,
            "standard_error": _or_none(self.standard_error),
            "standard_error_normalized": _or_none(self.standard_error_normalized),
            "chance": self.chance,
            "drop": [str(block) for block in self.drop],
            "dtype": self.dtype,
            **({"repair": self.repair} if self.repair else {}),
            **noted(self.notes),
        }


def evaluate_task(
    loaded: LoadedModel,
    task: Task,
    drop: PruneSet,
    *,
    dtype: str = "float32",
    limit: int | None = None,
    begin: bool = True,
    repair: Repair | None = None,
    progress: Progress = silent,
) -> TaskResult:
    """Score ``task`` without the blocks of ``drop``. The model is not changed.

    Args:
        dtype: the number type to run in, or ``auto`` for the fastest that is accurate enough on this device (see
            :mod:`entviz.decoder.precision`). If it is not the model's type, the weights are copied once.
        limit: score only the first ``limit`` items.
        begin: False leaves out the tokenizer's beginning token.
        repair: the result of :func:`entviz.repair.fit` for this prune set, with which the pruned model runs.
        progress: receives a :class:`TaskResult` of the items so far after each batch of items.

    Raises:
        BlockError: if the prune set names a block that the model lacks, or leaves no block in the model.
        OptionError: for a limit below 1, or a repair of another prune set.
        TextError: for a model without a tokenizer, or for an item that it cannot read; the message names the item.
        ModelError: if a likelihood is not finite; the message names the item and says why.
    """
    drop.check(loaded.layers)
    task = task.first(limit)
    dtype = resolved(dtype, loaded.device)
    loaded = loaded.in_dtype(dtype)
    anatomy = repaired(loaded.anatomy, drop, repair)
    most_tokens = tokens_per_batch(loaded.anatomy, window_length=64)
    result = replace(
        _nothing_yet(task, drop, dtype),
        notes=(*about_beginning(loaded, begin, "Contexts"), *(() if repair is None else repair.said)),
        repair="" if repair is None else repair.method,
    )
    progress(0, result.items_total)
    with torch.inference_mode():
        for first, items in _runs(task.items):
            encoded = [_encoded(loaded, item, first + i, begin) for i, item in enumerate(items)]
            for group in plan(encoded, most_tokens):
                found = log_likelihoods(
                    anatomy,
                    drop,
                    [encoded[i] for i in group],
                    tick=partial(progress, result.items, len(task.items)),
                )
                numbers = [first + i for i in group]
                for number, i, values in zip(numbers, group, found, strict=True):
                    if not all_finite(values):
                        ids = torch.tensor([encoded[i].choices[_first_not_finite(values)].ids])
                        raise ModelError(
                            f"Item {number} cannot be scored. {cause(loaded, ids, drop, repair)}"
                        )
                result = _extended(result, numbers, [items[i] for i in group], found)
                progress(result.items, result.items_total, result)
    return result


def _runs(items: Sequence[Item]) -> Iterator[tuple[int, Sequence[Item]]]:
    for first in range(0, len(items), _TOGETHER):
        yield first, items[first : first + _TOGETHER]


def _encoded(loaded: LoadedModel, item: Item, number: int, begin: bool) -> ItemIds:
    pairs = [(context, f" {choice}") for context, choice in zip(item.contexts, item.choices, strict=True)]
    try:
        return in_tokens(loaded, pairs, begin=begin)
    except TextError as error:
        raise TextError(f"Item {number} cannot be scored. {error}") from error


def _nothing_yet(task: Task, drop: PruneSet, dtype: str) -> TaskResult:
    none, most = np.empty(0, dtype=np.int64), max(len(item.choices) for item in task.items)
    shape = (0, most)
    return TaskResult(
        task.name, drop, dtype, none, none, np.empty(shape), np.empty(shape, dtype=np.int64), len(task.items)
    )


def _extended(
    result: TaskResult, numbers: Sequence[int], items: Sequence[Item], found: Sequence[Sequence[float]]
) -> TaskResult:
    """The result with more items, in the order of their numbers."""
    shape = (len(items), result.length.shape[1])
    likelihoods, lengths = np.full(shape, math.nan), np.zeros(shape, dtype=np.int64)
    for row, (item, values) in enumerate(zip(items, found, strict=True)):
        likelihoods[row, : len(values)] = values
        lengths[row, : len(values)] = [len(choice) for choice in item.choices]
    order = np.argsort(np.concatenate([result.item, numbers]))

    def merged(old: np.ndarray, new: Any) -> np.ndarray:
        return np.concatenate([old, new])[order]

    return replace(
        result,
        item=merged(result.item, numbers),
        answer=merged(result.answer, [item.answer for item in items]),
        log_likelihood=merged(result.log_likelihood, likelihoods),
        length=merged(result.length, lengths),
    )


def _first_not_finite(values: Sequence[float]) -> int:
    return next(place for place, value in enumerate(values) if not math.isfinite(value))


def _standard_error(right: np.ndarray) -> float:
    # With the sample's standard deviation, as in the harness.
    return float(right.std(ddof=1) / math.sqrt(right.size)) if right.size > 1 else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
