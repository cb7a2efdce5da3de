"""What a study is: a question that can be asked of a model, as plain data, with all that others need to know of it.

    Evaluate(TextSample("smollm2-135m", text, windows=4, window_length=128), PruneSet.parse("attn.5"))

A study is a frozen dataclass: its fields are the question, its class attributes describe the kind. Pages and commands
make one and hand it to ``entviz.runtime``. To add a kind, write such a class in a file of its own and put it into
``STUDIES`` of ``registry.py``: the queue, the store, the list of runs and reports then know it. Nothing here needs
torch until a study is computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from entviz.progress import Progress
from entviz.studies.samples import Sample, TextSample
from entviz.studies.summaries import number_rows

if TYPE_CHECKING:
    from entviz.comparison.grid.part_cache import PartCache
    from entviz.decoder.states import StateCache
    from entviz.models import LoadedModel
    from entviz.report import About
    from entviz.store import Run

Result = TypeVar("Result")


@dataclass(frozen=True)
class Page:
    """The page on which a result is looked at, by the name of its file, and its tab where it has several."""

    name: str
    tab: str = ""


@dataclass(frozen=True)
class Basis(Generic[Result]):
    """Another study whose result gives a study's own in milliseconds; ``derive`` may raise ``EntvizError``."""

    study: Study[Any]
    derive: Callable[[Any], Result]


class Results(Protocol):
    """What is known of a model. ``tokens`` is the fingerprint of what goes through it."""

    def parts_of(self, study: StoredStudy[Any]) -> PartCache:
        """Where finished parts of a study's result are kept, so that one that was stopped resumes."""
        ...

    def get(self, study: StoredStudy[Any], tokens: str) -> Any:
        """A study's result, or None."""
        ...

    def put_unfinished(self, study: StoredStudy[Any], tokens: str, partial: Any) -> None:
        """Keep a partial result, until the next or the whole one comes, for a page to show after a restart."""
        ...


@dataclass(frozen=True)
class Material:
    """What a study is computed on.

    Attributes:
        loaded: the model.
        windows: what the study's ``read`` returned: windows of token ids, or a multiple-choice task.
        results: what is known of this model already, and where parts and partial results are kept.
        states: hidden states to start from; None if none are kept between studies.
        answer: computes another study of the same model, or finds it known.
        aside: lets others compute during what does not need the device, such as writing files.
    """

    loaded: LoadedModel
    windows: Any
    results: Results
    states: StateCache | None
    answer: Callable[[Study[Any]], Any]
    aside: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class Study(ABC, Generic[Result]):
    """A question.

    Attributes:
        sample: what it is on.
        kind: what it is called in the store and in the shell.
        title: of the kind, for a reader.
        urgent: whether someone looks at where the result will be, so that it goes before other work.
    """

    sample: Sample

    kind: ClassVar[str]
    title: ClassVar[str]
    urgent: ClassVar[bool] = False

    @property
    def model(self) -> str:
        """The name that the model is asked for by."""
        return self.sample.model

    @property
    def text(self) -> str:
        """What is read, as text."""
        return self.sample.text

    def describe(self) -> str:
        """A few words about what it is on, for a list of runs."""
        return self.sample.describe()

    def with_model(self, name: str) -> Self:
        """The same question of the model of another name."""
        return replace(self, sample=self.sample.with_model(name))

    @property
    def slot(self) -> str | None:
        """What a session wants one of at a time: a newer study there supersedes the older. None for no such place."""
        return self.kind

    @property
    def basis(self) -> Basis[Result] | None:
        """The study that this one's result comes from, if it is not computed by itself."""
        return None

    def check(self) -> None:
        """Raise ``EntvizError`` for what can be told before anything takes time."""
        return

    def check_model(self, loaded: LoadedModel, windows: Any) -> None:
        """The same for what can be told once the model is there, before the study of the basis takes time."""
        return

    def read(self, loaded: LoadedModel) -> Any:
        """What the model will get, with a ``fingerprint``. Raises ``TextError`` where the text does not do."""
        return self.sample.read(loaded)

    def settled(self, loaded: LoadedModel, windows: Any) -> Self:
        """The same question with all that was left to the model or the text, once ``windows`` were read."""
        return replace(self, sample=self.sample.settled(loaded, windows))

    @abstractmethod
    def compute(self, material: Material, progress: Progress) -> Result:
        """The answer. May take long; raises ``EntvizError`` if there is none."""


@dataclass(frozen=True)
class StoredStudy(Study[Result]):
    """A study whose result is stored, listed, opened again and reported.

    Attributes:
        result: where the class of the result is, as ``module:name``.
        parts: the same for parts of the result that are stored by themselves, by their kinds.
        numbers: what a list of runs shows of the summary, with the title of each.
        page: where the result is looked at.
        needs_text: whether the page needs the text to open a stored result.
    """

    result: ClassVar[str]
    parts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    numbers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    page: ClassVar[Page]
    needs_text: ClassVar[bool] = True

    def options(self) -> dict[str, Any]:
        """All that the result depends on besides the model and the text, as plain data."""
        return self.sample.options()

    def shell_options(self) -> dict[str, Any]:
        """The same of what only a shell can ask for; empty where a page could have asked."""
        return self.sample.shell_options()

    @abstractmethod
    def summarize(self, result: Result) -> dict[str, Any]:
        """The main numbers, for a list of runs."""

    @classmethod
    def found(cls, run: Run) -> str:
        """A stored run's main numbers in a line."""
        rows = [(cls.numbers[name], value) for name, value in number_rows(run.summary) if name in cls.numbers]
        return ", ".join(f"{title} {value}".strip() for title, value in rows)

    @classmethod
    def prune_set(cls, run: Run) -> str | None:
        """The prune set that a stored run was about or found; None if there is none."""
        return str(run.options["drop"]) if "drop" in run.options else None

    @classmethod
    def dropped(cls, run: Run) -> str:
        """The same for a list of runs; empty for the dense model."""
        return cls.prune_set(run) or ""

    @classmethod
    def text_title(cls, run: Run, text: str | None) -> str:
        """What a stored run was on, for a sentence such as "SmolLM2 135M on the news passage"."""
        from entviz.report.ending import title_of
        from entviz.studies.summaries import without_cut

        description = without_cut(run.description)
        return description if "token_ids" in run.options.get("shell", {}) else title_of(text, description)

    @classmethod
    def token_rows(cls, result: Result) -> list[list[int]] | None:
        """Token ids that a report shows as text, if its maker can write them out; None if there are none."""
        return None

    @classmethod
    @abstractmethod
    def report(
        cls,
        result: Result,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        """One HTML file about a result.

        Args:
            about: what it is of.
            options: as they are stored.
            pieces: the text of each token of ``token_rows``.
        """

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        """What the choices of the page say where a stored run is opened, by their names."""
        return {}

    @classmethod
    def measured(cls, run: Run) -> tuple[str, ...]:
        """The metrics of a stored run, as specs, whose options the page takes over; empty where it has none."""
        return ()

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """Whether the page, with the metrics of a stored run, asks for just what was measured."""
        return True


@dataclass(frozen=True)
class TextStudy(StoredStudy[Result]):
    """A stored study of a text."""

    sample: TextSample
