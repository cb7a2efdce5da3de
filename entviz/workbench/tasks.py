"""The kinds of work: what identifies each, what goes in, how it is computed, and what is worth listing of it.

A new kind is a dataclass beside these, a line in ``entviz.store.codec.RESULTS`` and a method of the workbench.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from entviz.blocks import KINDS, PruneSet
from entviz.estimators import default_metrics
from entviz.progress import Progress
from entviz.workbench.keys import kept_key

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.ranking import Ranking
    from entviz.decoder.states import StateCache
    from entviz.evaluation.generation import Generation
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.tasks import TaskResult
    from entviz.models import LoadedModel
    from entviz.store import Store
    from entviz.tasks import Task as ChoiceTask
    from entviz.text.windows import Windows

Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True)
class Request:
    """A text as it goes through a model: ``windows`` consecutive windows of ``window_length`` tokens each.

    ``begin`` says whether each is read with what the tokenizer puts before a text.
    """

    model: str
    text: str
    windows: int
    window_length: int
    begin: bool = True

    def read(self, loaded: LoadedModel) -> Windows:
        """The windows of token ids. Raises ``TextError`` where the text does not fill them."""
        return loaded.windows(
            self.text, windows=self.windows, window_length=self.window_length, begin=self.begin
        )

    def options(self) -> dict[str, Any]:
        return {"windows": self.windows, "window_length": self.window_length} | begin_option(self.begin)

    def describe(self) -> str:
        """The text's first words, and how it is cut."""
        return f"{_shortened(self.text)} ({self.windows} x {self.window_length} tokens)"


def begin_option(begin: bool) -> dict[str, Any]:
    """How texts begin, as a run's option: nothing where they begin as the tokenizer has it."""
    return {} if begin else {"begin": False}


@dataclass(frozen=True)
class Material:
    """What is computed on: the model, what goes through it, hidden states to start from, and where parts are kept."""

    loaded: LoadedModel
    windows: Any  # what the task's read() returned: windows of token ids, or a multiple-choice task
    states: StateCache
    store: Store


class Task(Protocol[Result]):
    """One piece of work. It is plain data: the model comes in later, inside the job."""

    @property
    def kind(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def text(self) -> str: ...

    def options(self) -> dict[str, Any]:
        """All that the result depends on besides the model and the text, as plain data."""
        ...

    def describe(self) -> str:
        """A few words about the text, for a list of runs."""
        ...

    def read(self, loaded: LoadedModel) -> Windows | ChoiceTask:
        """What the model will get, with a fingerprint of it."""
        ...

    def compute(self, material: Material, progress: Progress) -> Result: ...

    def summarize(self, result: Any) -> dict[str, Any]:
        """The main numbers, for a list of runs."""
        ...


@dataclass(frozen=True)
class OnText:
    """What tasks on a text have in common."""

    request: Request

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def text(self) -> str:
        return self.request.text

    def describe(self) -> str:
        return self.request.describe()

    def read(self, loaded: LoadedModel) -> Windows:
        return self.request.read(loaded)


@dataclass(frozen=True)
class Analyze(OnText):
    """Measure entropies and importances."""

    metrics: tuple[str, ...]
    levels: tuple[str, ...] = KINDS
    kind = "analysis"

    def options(self) -> dict[str, Any]:
        return self.request.options() | {"metrics": list(self.metrics), "levels": list(self.levels)}

    def compute(self, material: Material, progress: Progress) -> Analysis:
        from entviz.analysis import analyze

        return analyze(material.loaded, material.windows, self.metrics, self.levels, progress=progress)

    def summarize(self, result: Analysis) -> dict[str, Any]:
        metrics = dict.fromkeys(result.sites["metric"])
        return {"turning_point": {metric: result.turning_point(metric) for metric in metrics}}


def explored(material: Material, request: Request, tokens: str) -> Analysis | None:
    """The analysis that pages share, where it is known. ``tokens`` is the fingerprint of what the request reads."""
    found: Analysis | None = material.store.get(
        kept_key(Analyze(request, default_metrics()), material.loaded, tokens)
    )
    return found


@dataclass(frozen=True)
class Evaluate(OnText):
    """Measure what a prune set costs."""

    drop: PruneSet
    dtype: str = "float32"
    kind = "evaluation"

    def options(self) -> dict[str, Any]:
        return self.request.options() | {"drop": str(self.drop), "dtype": self.dtype}

    def compute(self, material: Material, progress: Progress) -> Evaluation:
        from entviz.evaluation.loss import evaluate

        return evaluate(
            material.loaded,
            material.windows,
            self.drop,
            dtype=self.dtype,
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Evaluation) -> dict[str, Any]:
        return {
            "perplexity": result.perplexity,
            "dense_perplexity": result.dense_perplexity,
            "kl": result.kl,
            "top1_agreement": result.top1_agreement,
            "parameters": {"dense": result.parameters_dense, "pruned": result.parameters_pruned},
        }


@dataclass(frozen=True)
class Generate:
    """Continue a prompt."""

    model: str
    prompt: str
    drop: PruneSet
    max_new_tokens: int
    begin: bool = True
    kind = "generation"

    @property
    def text(self) -> str:
        return self.prompt

    def options(self) -> dict[str, Any]:
        return {"drop": str(self.drop), "max_new_tokens": self.max_new_tokens} | begin_option(self.begin)

    def describe(self) -> str:
        return _shortened(self.prompt)

    def read(self, loaded: LoadedModel) -> Windows:
        from entviz.evaluation.generation import prompt_ids
        from entviz.text.windows import Windows

        return Windows.of([prompt_ids(loaded, self.prompt, begin=self.begin)])

    def compute(self, material: Material, progress: Progress) -> Generation:
        from entviz.evaluation.generation import generate

        return generate(
            material.loaded,
            self.prompt,
            self.drop,
            max_new_tokens=self.max_new_tokens,
            begin=self.begin,
            progress=progress,
        )

    def summarize(self, result: Generation) -> dict[str, Any]:
        return {"text": _shortened(result.text, 400)}


@dataclass(frozen=True)
class Rank(OnText):
    """Rank blocks by a criterion. ``settings`` are the arguments of :func:`entviz.criteria.rank` that it depends on."""

    criterion: str
    settings: tuple[tuple[str, Any], ...]
    kind = "ranking"

    def options(self) -> dict[str, Any]:
        return self.request.options() | {"criterion": self.criterion, **dict(self.settings)}

    def compute(self, material: Material, progress: Progress) -> Ranking:
        from entviz.criteria import rank

        return rank(
            material.loaded,
            material.windows,
            self.criterion,
            **dict(self.settings),
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Ranking) -> dict[str, Any]:
        return {"drop": [str(block) for block in result.drop], "first": [str(b) for b in result.order[:8]]}


@dataclass(frozen=True)
class Score:
    """Measure accuracy on a multiple-choice task: one that was read already, or one of the hub by name."""

    model: str
    task: ChoiceTask | str
    drop: PruneSet
    limit: int | None
    dtype: str = "float32"
    begin: bool = True
    kind = "score"

    @property
    def text(self) -> str:
        return self.task if isinstance(self.task, str) else self.task.fingerprint

    def options(self) -> dict[str, Any]:
        options = {"task": self._name, "drop": str(self.drop), "limit": self.limit, "dtype": self.dtype}
        return options | begin_option(self.begin)

    def describe(self) -> str:
        return self._name if self.limit is None else f"{self._name}, first {self.limit} items"

    def read(self, loaded: LoadedModel) -> ChoiceTask:
        from entviz.tasks import read_task

        return read_task(self.task) if isinstance(self.task, str) else self.task

    def compute(self, material: Material, progress: Progress) -> TaskResult:
        from entviz.evaluation.tasks import evaluate_task

        return evaluate_task(
            material.loaded,
            material.windows,
            self.drop,
            dtype=self.dtype,
            limit=self.limit,
            begin=self.begin,
            progress=progress,
        )

    def summarize(self, result: TaskResult) -> dict[str, Any]:
        return {"accuracy": result.accuracy, "accuracy_normalized": result.accuracy_normalized}

    @property
    def _name(self) -> str:
        return self.task if isinstance(self.task, str) else self.task.name


def _shortened(text: str, most: int = 80) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"
