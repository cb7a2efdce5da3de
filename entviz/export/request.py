"""What to export, and the result: plain data that formats, the command line and the page share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.blocks import Block, PruneSet
from entviz.export.recipe import Measured, Recipe, Repaired
from entviz.models import CATALOG
from entviz.progress import Progress
from entviz.words.phrases import some

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.models import LoadedModel
    from entviz.repair.repair import Repair


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """A pruned model to export.

    Attributes:
        loaded: the model; the weights are written in its number type.
        drop: the prune set, checked against the model.
        evaluation: the measured cost of the prune set, if it was measured.
        text: a short description of the text of the evaluation.
        criterion: how the blocks were chosen, if known.
        repair: what the model is repaired with, if it is; fitted for this prune set.
    """

    loaded: LoadedModel
    drop: PruneSet
    evaluation: Evaluation | None = None
    text: str = ""
    criterion: str | None = None
    repair: Repair | None = None

    @property
    def model_name(self) -> str:
        """The model's name for other readers: if it is a path, without the folders of this machine."""
        path = Path(self.loaded.name)
        return path.name if path.is_absolute() or path.exists() else self.loaded.name

    @property
    def kept(self) -> list[int]:
        """The kept layers: those with at least one block that is not dropped."""
        return [i for i in range(self.loaded.layers) if Block("layer", i) not in self.drop]

    @property
    def bytes(self) -> int:
        """The approximate size in bytes of the kept layers, the embeddings and the head as files."""
        gone = self.loaded.anatomy.parameters([b for b in self.drop if b.kind == "layer"])
        return self.loaded.bytes - sum(weight.numel() * weight.element_size() for weight in gone.values())

    @property
    def bytes_beside(self) -> int:
        """The approximate size in bytes of the tokenizer, the config, the card and the recipe as files."""
        tokens = 0 if self.loaded.optional_tokenizer is None else len(self.loaded.optional_tokenizer)
        return 30_000 + 150 * tokens

    @property
    def recipe(self) -> Recipe:
        """The request as a recipe."""
        return Recipe(
            self.drop,
            model=self.model_name,
            fingerprint=self.loaded.fingerprint,
            layers=self.loaded.layers,
            criterion=self.criterion,
            measured=None if self.evaluation is None else Measured.of(self.evaluation, self.text),
            repair=None if self.repair is None else Repaired.of(self.repair),
        )


@dataclass(frozen=True)
class Check:
    """The comparison of the loaded files with the pruned model that entviz ran.

    Attributes:
        tokens: the number of scored tokens.
        difference: mean difference of a token's loss, in nats, computed in float32 on both sides.
        tolerance: the largest difference allowed.
        rounding: mean difference of a token's loss, in nats, between the number type of the weights, in which it was
            measured, and float32; None if it was measured in float32 or not at all.
        loader: the program that loaded the files.
    """

    tokens: int
    difference: float
    tolerance: float
    rounding: float | None = None
    loader: str = "plain transformers"

    @property
    def sentence(self) -> str:
        """The comparison as a sentence, for the model card, the page and the command line."""
        said = (
            f"Loaded back with {self.loader}, and computed in float32, the loss of a token differs from the one "
            f"computed here by {self.difference:.1e} nats on average, over {self.tokens} tokens."
        )
        if self.rounding is not None:
            said += (
                f" Computing in the type of the weights instead of float32 changes the loss of a token by "
                f"{self.rounding:.1e} nats on average."
            )
        return said


@dataclass
class FormatOutput:
    """The output of a format: the lines that load it, the result of the check, and notes for the user."""

    loading: str
    language: str = "python"
    check: Check | None = None
    zeroed: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """A way to write a pruned model.

    Attributes:
        name: its name after ``--format``.
        title: its name for a reader.
        purpose: its purpose in one sentence.
        weights: the approximate size in bytes of the weights it writes for a request, or None if it writes none.
        objection: why it is not possible for a model's name and a prune set, or None.
        limits: its limitations for a model's name and a prune set, as sentences.
        write: writes the files into an empty directory.
        keeps_layers: whether the weights it writes are those of the dense model, dropped layers included.
        no_repair: why it cannot hold a repair, as a sentence; empty if it can.
        adds_biases: whether it can hold biases that the model itself does not have.
    """

    name: str
    title: str
    purpose: str
    weights: Callable[[ExportRequest], int] | None
    objection: Callable[[str, PruneSet], str | None]
    limits: Callable[[str, PruneSet], list[str]]
    write: Callable[[ExportRequest, Path, Progress], FormatOutput]
    keeps_layers: bool = False
    no_repair: str = "This format cannot hold a repair. Export a Transformers checkpoint, which can."
    adds_biases: bool = True


@dataclass(frozen=True)
class Exported:
    """An export on the disk.

    Attributes:
        format: the format's name.
        directory: its directory.
        files: name and size in bytes of each file.
        loading: the lines that use it, in ``language``.
        recipe: the prune set with its measured cost.
        removed: the removed layers.
        zeroed: names of weights that were set to zero.
        check: the comparison after loading it back; None for formats without weights.
        notes: notes for the user, as sentences.
    """

    format: str
    directory: Path
    files: dict[str, int]
    loading: str
    language: str
    recipe: Recipe
    removed: tuple[int, ...]
    zeroed: tuple[str, ...]
    check: Check | None
    notes: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """The total size of all files in bytes."""
        return sum(self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data: format, directory, files, drop, removed layers, zeroed weights, measured, check, notes."""
        recipe = self.recipe.to_json()
        return {
            "format": self.format,
            "directory": str(self.directory),
            "files": self.files,
            "bytes": self.bytes,
            "model": self.recipe.model,
            "drop": recipe["drop"],
            "removed_layers": list(self.removed),
            "zeroed_weights": list(self.zeroed),
            "measured": recipe["measured"],
            "check": None
            if self.check is None
            else {
                "tokens": self.check.tokens,
                "difference": self.check.difference,
                "rounding": self.check.rounding,
            },
            "notes": list(self.notes),
            "load": self.loading,
        }


def loading_lines(request: ExportRequest, options: str, packed: str = "") -> str:
    """Python code that loads an export: its model with ``options``, and its tokenizer if the model has one.

    ``packed`` is the option that names a GGUF file; ``{directory}`` is replaced by the directory later.
    """
    spoken = request.loaded.optional_tokenizer is not None
    where = '"{directory}"' + (f", {packed}" if packed else "")
    lines = [
        f"from transformers import AutoModelForCausalLM{', AutoTokenizer' if spoken else ''}\n",
        f"model = AutoModelForCausalLM.from_pretrained({', '.join(part for part in (where, options) if part)})",
    ]
    if spoken:
        lines.append(f"tokenizer = AutoTokenizer.from_pretrained({where})")
    return "\n".join(lines)


def parts_of_layers(drop: PruneSet) -> list[str]:
    """The blocks of a prune set that are not whole layers, as text."""
    return [str(block) for block in drop if block.kind != "layer"]


def only_layers(drop: PruneSet, who: str, instead: str) -> str | None:
    """Why a format that can only remove whole layers cannot hold this prune set, or None."""
    parts = parts_of_layers(drop)
    if not parts:
        return None
    return f"{who} knows whole layers only, and the prune set has {some(parts, 3)}. {instead}"


def hub_name(model: str) -> str:
    """A model's name on the hub: its hub id if it is in the catalog, otherwise the name unchanged."""
    return CATALOG[model].hub_id if model in CATALOG else model
