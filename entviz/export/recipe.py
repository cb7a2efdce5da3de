"""A prune set as a small file: which model it is for, which blocks go, why, and what that was measured to cost.

    Recipe(PruneSet.parse("attn.5,layer.7"), model="smollm2-135m").to_bytes()
    read_recipe("recipe.json").drop            # or the file's bytes

The file is JSON. ``"entviz_recipe": 1`` marks it and tells its version; of the rest, only ``"drop"`` must be there::

    {"entviz_recipe": 1, "model": "smollm2-135m", "fingerprint": "…", "layers": 30, "drop": ["attn.5", "layer.7"],
     "criterion": "cosine", "measured": {"text": "story.txt", "windows": 4, "window_length": 128, …}}
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.blocks import PruneSet
from entviz.errors import BlockError

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation

VERSION = 1
MOST_BYTES = 1_000_000  # a recipe of a thousand blocks has about twenty thousand
_MOST_CHARACTERS = 1000  # of each text in it


@dataclass(frozen=True)
class Measured:
    """What a prune set cost on a text.

    Attributes:
        text: which text, in a few words.
        windows, window_length: how it was cut: windows of so many tokens each.
        dtype: the number type of the weights.
        dense_perplexity, perplexity: of the dense and of the pruned model.
        kl: mean KL(dense || pruned), nats.
        top1_agreement: share of positions with the dense model's likeliest next token, 0 to 1.
        dense_parameters, parameters: weights before and after.
    """

    text: str
    windows: int
    window_length: int
    dtype: str
    dense_perplexity: float
    perplexity: float
    kl: float
    top1_agreement: float
    dense_parameters: int
    parameters: int

    @classmethod
    def of(cls, evaluation: Evaluation, text: str) -> Measured:
        """The figures of an evaluation, with a few words that say which text it ran on."""
        return cls(
            text=" ".join(text.split())[:_MOST_CHARACTERS],
            windows=evaluation.windows,
            window_length=int(evaluation.token_ids.shape[1]),
            dtype=evaluation.dtype,
            dense_perplexity=evaluation.dense_perplexity,
            perplexity=evaluation.perplexity,
            kl=evaluation.kl,
            top1_agreement=evaluation.top1_agreement,
            dense_parameters=evaluation.parameters_dense,
            parameters=evaluation.parameters_pruned,
        )


@dataclass(frozen=True)
class Recipe:
    """A prune set and where it comes from. What is not known is None.

    Attributes:
        drop: the prune set.
        model: the name of the model it was made for: a catalog name, hub id or path.
        fingerprint: that model's :attr:`entviz.LoadedModel.fingerprint`.
        layers: how many layers that model has.
        criterion: how the blocks were chosen, such as "cosine".
        measured: what dropping them cost.
    """

    drop: PruneSet
    model: str | None = None
    fingerprint: str | None = None
    layers: int | None = None
    criterion: str | None = None
    measured: Measured | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, as it stands in the file."""
        return {
            "entviz_recipe": VERSION,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "layers": self.layers,
            "drop": [str(block) for block in self.drop],
            "criterion": self.criterion,
            "measured": None if self.measured is None else asdict(self.measured),
        }

    def to_bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_recipe(source: str | Path | bytes) -> Recipe:
    """Read a recipe from a file's path or from its bytes.

    Raises:
        BlockError: where there is no such file, it is too large, it is not a recipe, or its version is unknown here.
    """
    name = "This file" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read(Path(source))
    if len(data) > MOST_BYTES:
        raise BlockError(f"{name} is too large for a recipe: at most {MOST_BYTES / 1e6:.0f} MB.")
    try:
        values = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BlockError(
            f"{name} is not JSON, so it is not a recipe. Give a file that `entviz export` wrote."
        ) from None
    if not isinstance(values, dict) or "entviz_recipe" not in values:
        raise BlockError(f'{name} is not a recipe: it has no "entviz_recipe" in it.')
    if values["entviz_recipe"] != VERSION:
        raise BlockError(
            f"{name} is a recipe of version {str(values['entviz_recipe'])[:20]}, and this entviz reads version "
            f"{VERSION}. Update entviz."
        )
    try:
        return _recipe(values)
    except BlockError as error:
        raise BlockError(f"{name}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise BlockError(f"There is no recipe {path}.") from None
    except IsADirectoryError:
        raise BlockError(f"{path} is a directory; name the recipe.json in it.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BlockError(f"The recipe {path} cannot be read: {reason}.") from None


def _recipe(values: dict[str, Any]) -> Recipe:
    drop = values.get("drop")
    if not isinstance(drop, list) or not all(isinstance(block, str) for block in drop):
        raise BlockError('"drop" must be a list of blocks such as ["attn.5", "layer.7"].')
    layers = _take(values, "layers", int)
    blocks = PruneSet.parse(",".join(drop))
    return Recipe(
        blocks if layers is None else blocks.check(layers),
        model=_take(values, "model", str),
        fingerprint=_take(values, "fingerprint", str),
        layers=layers,
        criterion=_take(values, "criterion", str),
        measured=_measured(values["measured"]) if values.get("measured") is not None else None,
    )


def _measured(values: Any) -> Measured:
    if not isinstance(values, dict):
        raise BlockError('"measured" must be an object.')
    kinds = {"str": str, "int": int, "float": float}
    found = {field.name: _take(values, field.name, kinds[str(field.type)]) for field in fields(Measured)}
    for name, value in found.items():
        if value is None:
            raise BlockError(f'"measured" lacks "{name}".')
    return Measured(**found)


def _take(values: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """One value of the given kind, or None where it is absent. Numbers must be finite and not negative."""
    value: Any = values.get(name)
    if value is None:
        return None
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        what = {str: "text", int: "a whole number", float: "a number"}[kind]
        raise BlockError(f'"{name}" must be {what}.')
    if isinstance(value, str):
        if len(value) > _MOST_CHARACTERS:
            raise BlockError(f'"{name}" is longer than {_MOST_CHARACTERS} characters.')
    elif not (math.isfinite(value) and value >= 0):
        raise BlockError(f'"{name}" must be a number from 0 up.')
    return value
