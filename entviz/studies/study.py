"""The study interface: a question about a model, as plain data, and everything that the rest of entviz needs to know.

    Evaluate(TextSample("smollm2-135m", text, windows=4, window_length=128), PruneSet.parse("attn.5"))

A study is a frozen dataclass: its fields are the question, its class attributes describe the kind. Pages and commands
make one and pass it to ``entviz.runtime``. To add a kind, write such a class in a file of its own and add it to
``STUDIES`` in ``registry.py``. The queue, the store, the list of runs and reports then know it. Torch is not imported
until a study is computed.
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
    from entviz.decoder.states import StateCache
    from entviz.models import LoadedModel
    from entviz.part_cache import PartCache
    from entviz.report import About
    from entviz.store import Run

Result = TypeVar("Result")


@dataclass(frozen=True)
class Page:
    """The page that shows a result: the name of its file, and the tab if the page has several."""

    name: str
    tab: str = ""


@dataclass(frozen=True)
class Basis(Generic[Result]):
    """Another study, from whose result ``derive`` gives a study's result in milliseconds or raises ``EntvizError``."""

    study: Study[Any]
    derive: Callable[[Any], Result]


class Results(Protocol):
    """The stored results of a model. ``tokens`` is the fingerprint of the model's input."""

    def parts_of(self, study: StoredStudy[Any]) -> PartCache:
        """The cache of a study's finished parts, from which a stopped study resumes."""
        ...

    def get(self, study: StoredStudy[Any], tokens: str) -> Any:
        """A study's result, or None."""
        ...

    def put_unfinished(self, study: StoredStudy[Any], tokens: str, partial: Any) -> None:
        """Store a partial result, which a page can show after a restart. The next or the whole result replaces it."""
        ...


@dataclass(frozen=True)
class Material:
    """Everything that a study is computed from.

    Attributes:
        loaded: the model.
        windows: the value that the study's ``read`` returned: windows of token ids, or a multiple-choice task.
        results: the stored results of this model, which also hold parts and partial results.
        states: hidden states to start from; None if none are kept between studies.
        answer: gives the result of another study of the same model, stored or newly computed.
        aside: a context in which other jobs may compute, for work that does not need the device, such as writing files.
    """

    loaded: LoadedModel
    windows: Any
    results: Results
    states: StateCache | None
    answer: Callable[[Study[Any]], Any]
    aside: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class Study(ABC, Generic[Result]):
    """A question about a model.

    Attributes:
        sample: its input and its model.
        kind: the name of its kind in the store and in the shell.
        title: the title of its kind, for a reader.
        urgent: whether a user is waiting for the result, so that it goes before other work.
        background: whether it gives way to all other work.
    """

    sample: Sample

    kind: ClassVar[str]
    title: ClassVar[str]
    urgent: ClassVar[bool] = False
    background: ClassVar[bool] = False

    @property
    def model(self) -> str:
        """The name of the model, as the user gave it."""
        return self.sample.model

    @property
    def text(self) -> str:
        """The text that is read."""
        return self.sample.text

    def describe(self) -> str:
        """A short description of its input, for a list of runs."""
        return self.sample.describe()

    def with_model(self, name: str) -> Self:
        """The same question about the model ``name``."""
        return replace(self, sample=self.sample.with_model(name))

    @property
    def slot(self) -> str | None:
        """A name for studies that replace one another: a session needs only the newest with this name. Or None."""
        return self.kind

    @property
    def basis(self) -> Basis[Result] | None:
        """The study from whose result this one's result is derived; None if it is computed directly."""
        return None

    def check(self) -> None:
        """Raise ``EntvizError`` for errors that can be found before any slow work."""
        return

    def check_model(self, loaded: LoadedModel, windows: Any) -> None:
        """Raise ``EntvizError`` for errors that can be found once the model is loaded, before the basis is computed."""
        return

    def read(self, loaded: LoadedModel) -> Any:
        """The model's input, with a ``fingerprint``. Raises ``TextError`` if the text is not suitable."""
        return self.sample.read(loaded)

    def settled(self, loaded: LoadedModel, windows: Any) -> Self:
        """The same question, with everything filled in that depends on the model or on the ``windows``."""
        return replace(self, sample=self.sample.settled(loaded, windows))

    @abstractmethod
    def compute(self, material: Material, progress: Progress) -> Result:
        """The result. This may take long. Raises ``EntvizError`` if there is no result."""


@dataclass(frozen=True)
class StoredStudy(Study[Result]):
    """A study whose result is stored, listed, opened again and reported.

    Attributes:
        result: the class of the result, as ``module:name``.
        parts: the classes of the parts of the result that are stored separately, by kind, as ``module:name``.
        numbers: the numbers of the summary that a list of runs shows, with the title of each.
        page: the page that shows the result.
        needs_text: whether the page needs the text to open a stored result.
    """

    result: ClassVar[str]
    parts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    numbers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    page: ClassVar[Page]
    needs_text: ClassVar[bool] = True

    def options(self) -> dict[str, Any]:
        """Everything that the result depends on besides the model and the text, as plain data."""
        return self.sample.options()

    def shell_options(self) -> dict[str, Any]:
        """The options that only a command can set; empty if a page could have asked the same question."""
        return self.sample.shell_options()

    @abstractmethod
    def summarize(self, result: Result) -> dict[str, Any]:
        """The main numbers, for a list of runs."""

    @classmethod
    def found(cls, run: Run) -> str:
        """A stored run's main numbers in one line."""
        rows = [(cls.numbers[name], value) for name, value in number_rows(run.summary) if name in cls.numbers]
        return ", ".join(f"{title} {value}".strip() for title, value in rows)

    @classmethod
    def prune_set(cls, run: Run) -> str | None:
        """The prune set that a stored run measured or chose; None if it has none."""
        return str(run.options["drop"]) if "drop" in run.options else None

    @classmethod
    def dropped(cls, run: Run) -> str:
        """The prune set as text for a list of runs, with its repair; empty for the dense model."""
        drop, repair = cls.prune_set(run) or "", run.options.get("repair")
        return f"{drop}, repaired by {repair}" if drop and isinstance(repair, str) else drop

    @classmethod
    def text_title(cls, run: Run, text: str | None) -> str:
        """The title of a stored run's text, for a sentence such as "SmolLM2 135M on the news passage"."""
        from entviz.report.ending import title_of
        from entviz.studies.summaries import without_cut

        description = without_cut(run.description)
        return description if "token_ids" in run.options.get("shell", {}) else title_of(text, description)

    @classmethod
    def token_rows(cls, result: Result) -> list[list[int]] | None:
        """Token ids that a report shows as text if a tokenizer is available; None if there are none."""
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
            about: the model and text of the result.
            options: the stored options.
            pieces: the text of each token of ``token_rows``.
        """

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        """The values of the page's widgets when a stored run is opened, by name."""
        return {}

    @classmethod
    def measured(cls, run: Run) -> tuple[str, ...]:
        """The metrics of a stored run, as specs, whose options the page uses; empty if it has none."""
        return ()

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """Whether the page, with the metrics of a stored run, asks for exactly the same measurement."""
        return True


@dataclass(frozen=True)
class TextStudy(StoredStudy[Result]):
    """A stored study of a text."""

    sample: TextSample
