"""A prune set as a small file: the model, the dropped blocks, the reason, and the measured cost.

    Recipe(PruneSet.parse("attn.5,layer.7"), model="smollm2-135m").to_bytes()
    read_recipe("recipe.json").drop            # or the file's bytes

The file is JSON. ``"entviz_recipe": 1`` marks it and gives its version; besides that, only ``"drop"`` is required::

    {"entviz_recipe": 1, "model": "smollm2-135m", "fingerprint": "…", "layers": 30, "drop": ["attn.5", "layer.7"],
     "criterion": "cosine", "measured": {"text": "story.txt", "windows": 4, "window_length": 128, …},
     "repair": {"method": "refit", "texts": ["0f3c…"], "windows": 32, "window_length": 256, "self_written": true}}

A repair is described and can be fitted again. The file holds neither what was fitted nor the text it was fitted on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from entviz.blocks import Block, PruneSet
from entviz.errors import BlockError, OptionError
from entviz.reading import parse_json, read_bytes

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.repair.choice import RepairChoice
    from entviz.repair.repair import Repair

VERSION = 1
MOST_BYTES = 1_000_000  # a recipe of a thousand blocks has about twenty thousand
_MOST_CHARACTERS = 1000  # characters of each text in it
_MOST_BLOCKS = 10_000
_MOST_TEXTS = 100

_Text = Annotated[str, Field(strict=True, max_length=_MOST_CHARACTERS)]
_Count = Annotated[int, Field(strict=True, ge=0)]
_Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Measured:
    """What a prune set cost on a text.

    Attributes:
        text: a short description of the text.
        windows, window_length: the number of windows, and their length in tokens.
        dtype: the number type of the weights.
        dense_perplexity, perplexity: of the dense and of the pruned model.
        kl: mean KL(dense || pruned), nats.
        top1_agreement: share of positions with the dense model's likeliest next token, 0 to 1.
        dense_parameters, parameters: weights before and after.
    """

    text: _Text
    windows: _Count
    window_length: _Count
    dtype: _Text
    dense_perplexity: _Amount
    perplexity: _Amount
    kl: _Amount
    top1_agreement: _Amount
    dense_parameters: _Count
    parameters: _Count

    @classmethod
    def of(cls, evaluation: Evaluation, text: str) -> Measured:
        """The figures of an evaluation, with a short description of its text."""
        return cls(
            text=" ".join(text.split())[:_MOST_CHARACTERS],
            windows=evaluation.windows,
            window_length=evaluation.window_length,
            dtype=evaluation.dtype,
            dense_perplexity=evaluation.dense_perplexity,
            perplexity=evaluation.perplexity,
            kl=evaluation.kl,
            top1_agreement=evaluation.top1_agreement,
            dense_parameters=evaluation.parameters_dense,
            parameters=evaluation.parameters_pruned,
        )


@dataclass(frozen=True)
class Repaired:
    """How a prune set was repaired.

    Attributes:
        method: the name of the method, one of :data:`entviz.repair.registry.METHODS`.
        texts: the beginning of the SHA-256 of each text that it was fitted on, in order; None if they are not known.
        windows, window_length: how many windows in all, shared by the kinds of text, and their length in tokens.
        self_written: whether text that the model wrote itself was one more kind.
        tokens: how many tokens there were in all.
    """

    method: _Text
    texts: Annotated[tuple[_Text, ...], Field(max_length=_MOST_TEXTS)] | None
    windows: Annotated[_Count, Field(le=10_000)]
    window_length: Annotated[_Count, Field(le=100_000)]
    self_written: Annotated[bool, Field(strict=True)]
    tokens: _Count

    @classmethod
    def of(cls, repair: Repair) -> Repaired:
        """What is known of a repair. Without the choice that it was fitted by, its texts are not known."""
        choice = repair.choice
        if choice is None:
            return cls(repair.method, None, 0, 0, False, repair.tokens)
        return cls.by(choice, repair.tokens)

    @classmethod
    def by(cls, choice: RepairChoice, tokens: int) -> Repaired:
        """Of a choice that was fitted on so many tokens. Sizes that it leaves to the method are 0."""
        hashes = tuple(choice.options()["calibration"])
        windows, length = choice.windows or 0, choice.window_length or 0
        return cls(choice.method, hashes, windows, length, choice.self_written, tokens)

    def choice(self, texts: Iterable[str]) -> RepairChoice:
        """The choice that fits the same repair, with its texts found among ``texts`` and the built-in passages.

        Raises ``OptionError`` if a text is not among them, or the method is not known here.
        """
        from entviz.repair.choice import RepairChoice, text_hash
        from entviz.repair.registry import METHODS
        from entviz.text.passages import passages

        known = {text_hash(text): text for text in (*(one.text for one in passages().values()), *texts)}
        missing = self.texts is None or not all(name in known for name in self.texts)
        if self.texts is None or missing:
            raise OptionError(
                f"The prune set was repaired by {self.method}, fitted on text that is not in the recipe. Give that "
                "text with --repair-text-file, or leave the repair out with --repair none."
            )
        return RepairChoice(
            METHODS[self.method].name,
            tuple(known[name] for name in self.texts),
            windows=self.windows or None,
            window_length=self.window_length or None,
            self_written=self.self_written,
        )


@dataclass(frozen=True)
class Recipe:
    """A prune set and its origin. Unknown values are None.

    Attributes:
        drop: the prune set.
        model: the name of the model it was made for: a catalog name, hub id or path.
        fingerprint: that model's :attr:`entviz.LoadedModel.fingerprint`.
        layers: the number of layers of that model.
        criterion: how the blocks were chosen, such as "cosine".
        measured: the measured cost of dropping them.
        repair: how what they leave behind was repaired.
    """

    drop: PruneSet
    model: str | None = None
    fingerprint: str | None = None
    layers: int | None = None
    criterion: str | None = None
    measured: Measured | None = None
    repair: Repaired | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data in the form of the file."""
        return {
            "entviz_recipe": VERSION,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "layers": self.layers,
            "drop": [str(block) for block in self.drop],
            "criterion": self.criterion,
            "measured": None if self.measured is None else asdict(self.measured),
            **({} if self.repair is None else {"repair": asdict(self.repair)}),
        }

    def to_bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


class _RecipeFile(BaseModel):
    """The types of the file's values; unknown values are ignored."""

    model_config = ConfigDict(protected_namespaces=())

    drop: Annotated[list[_Text], Field(max_length=_MOST_BLOCKS)]
    model: _Text | None = None
    fingerprint: _Text | None = None
    layers: _Count | None = None
    criterion: _Text | None = None
    measured: Measured | None = None
    repair: Repaired | None = None


def read_recipe(source: str | Path | bytes) -> Recipe:
    """Read a recipe from a file's path or from its bytes.

    Raises:
        BlockError: if there is no such file, it is too large, it is not a recipe, or its version is unknown here.
    """
    name = "This file" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read(Path(source))
    if len(data) > MOST_BYTES:
        raise BlockError(
            f"{name} cannot be read: it has more than {MOST_BYTES / 1e6:.0f} MB, the most that a recipe may have."
        )
    try:
        values = parse_json(data)
    except ValueError as error:
        raise BlockError(
            f"{name} is not JSON ({error}), so it is not a recipe. Give a file that `entviz export` wrote."
        ) from None
    if not isinstance(values, dict) or "entviz_recipe" not in values:
        raise BlockError(f'{name} is not a recipe: it has no "entviz_recipe" in it.')
    if values["entviz_recipe"] != VERSION:
        raise BlockError(
            f"{name} is a recipe of version {str(values['entviz_recipe'])[:20]}, but this entviz reads version "
            f"{VERSION}. Update entviz."
        )
    try:
        written = _RecipeFile.model_validate(values)
        drop = PruneSet(Block.parse(block) for block in written.drop)
        if written.layers is not None:
            drop.check(written.layers)
    except ValidationError as error:
        raise BlockError(f"{name}: {_first_fault(error)}.") from None
    except BlockError as error:
        raise BlockError(f"{name}: {error}") from None
    return Recipe(
        drop,
        written.model,
        written.fingerprint,
        written.layers,
        written.criterion,
        written.measured,
        written.repair,
    )


def _first_fault(error: ValidationError) -> str:
    """What is wrong with the first invalid value, and its name: ``"measured.kl" ...``."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f'"{place}" is wrong: {fault["msg"][0].lower()}{fault["msg"][1:]}'


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, MOST_BYTES, streams=True)
    except FileNotFoundError:
        raise BlockError(f"There is no recipe {path}.") from None
    except IsADirectoryError:
        raise BlockError(f"{path} is a directory; name the recipe.json in it.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise BlockError(f"The recipe {path} cannot be read: {reason}.") from None
