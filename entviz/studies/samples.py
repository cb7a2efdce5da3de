"""What a study is on: a text, a prompt or multiple-choice items, with the model that reads it. Plain data.

sample = TextSample("smollm2-135m", text, windows=4, window_length=128)
sample.read(loaded)                # the windows of token ids
sample.settled(loaded, windows)    # the same, with the numbers that were left to the text
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from entviz.errors import OptionError
from entviz.tasks import BUILT_IN, read_task, task_titles
from entviz.words.phrases import shortened

if TYPE_CHECKING:
    from entviz.models import LoadedModel
    from entviz.tasks import Task
    from entviz.text.windows import Windows


@dataclass(frozen=True)
class Loading:
    """How a model is loaded. Pages take the defaults; a shell may ask for others.

    Attributes:
        dtype: number type of the weights.
        device: where it runs; None for the best there is.
    """

    dtype: str = "float32"
    device: str | None = None

    def settled(self, loaded: LoadedModel) -> Loading:
        """The same as it turned out. The device is None where the pages' model is on that one too."""
        import torch

        other = self.device is not None and (loaded.device.type != "cpu" or torch.cuda.is_available())
        return Loading(str(loaded.dtype).removeprefix("torch."), str(loaded.device) if other else None)

    def options(self) -> dict[str, Any]:
        """What is not as on the pages, as options of a stored result."""
        weights = {} if self.dtype == "float32" else {"weights": self.dtype}
        return weights | ({} if self.device is None else {"device": self.device})


@dataclass(frozen=True)
class TokenIds:
    """Token ids from a file, in place of a text: rows of equal length, and the file's name."""

    name: str
    rows: tuple[tuple[int, ...], ...]


class Sample(Protocol):
    """What goes through which model."""

    @property
    def model(self) -> str:
        """The name that the model is asked for by."""
        ...

    @property
    def text(self) -> str:
        """What is read, as text; empty for token ids. For items it stands for their content."""
        ...

    @property
    def loading(self) -> Loading: ...

    def options(self) -> dict[str, Any]:
        """How it is read, as options of a stored result."""
        ...

    def shell_options(self) -> dict[str, Any]:
        """The same of what only a shell can ask for."""
        ...

    def describe(self) -> str:
        """A few words about it, for a list of runs."""
        ...

    def read(self, loaded: LoadedModel) -> Any:
        """What goes through the model, with a ``fingerprint``. Raises ``TextError`` where it cannot."""
        ...

    def settled(self, loaded: LoadedModel, material: Any) -> Self:
        """The same with all that was left to the model or the text, once ``material`` was read from it."""
        ...

    def with_model(self, name: str) -> Self:
        """The same for the model of another name."""
        ...


@dataclass(frozen=True)
class TextSample:
    """A text as it goes through a model: consecutive windows of equal length.

    Attributes:
        model: its name.
        text: empty for token ids.
        windows: how many; None for as many as the text fills.
        window_length: tokens in each, without what the tokenizer puts before a text.
        begin: whether each is read with what the tokenizer puts before a text.
        loading: how the model is loaded.
        ids: token ids instead of a text; they come already cut into windows.
    """

    model: str
    text: str
    windows: int | None
    window_length: int
    begin: bool = True
    loading: Loading = Loading()
    ids: TokenIds | None = None

    def read(self, loaded: LoadedModel) -> Windows:
        """The windows of token ids. Raises ``TextError`` where the text does not fill them."""
        if self.ids is not None:
            from entviz.text.windows import windows_from_token_ids

            return windows_from_token_ids([list(row) for row in self.ids.rows], loaded.vocabulary_size)
        return loaded.windows(
            self.text, windows=self.windows, window_length=self.window_length, begin=self.begin
        )

    def settled(self, loaded: LoadedModel, material: Windows) -> TextSample:
        """The same with the number of windows that were read, and the model as it was loaded."""
        loading = self.loading.settled(loaded)
        return replace(self, windows=len(material), window_length=material.length, loading=loading)

    def with_model(self, name: str) -> TextSample:
        """The same for the model of another name."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """How the text is cut and begins."""
        return {"windows": self.windows, "window_length": self.window_length} | begin_option(self.begin)

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded and the file of token ids, where pages have none such."""
        return self.loading.options() | ({} if self.ids is None else {"token_ids": self.ids.name})

    def describe(self) -> str:
        """The text's first words, and how it is cut."""
        name = shortened(self.text) if self.ids is None else f"token ids of {self.ids.name}"
        return f"{name} ({self.windows} x {self.window_length} tokens)"


@dataclass(frozen=True)
class Prompt:
    """A text to continue."""

    model: str
    text: str
    begin: bool = True
    loading: Loading = Loading()

    def read(self, loaded: LoadedModel) -> Windows:
        """The prompt's token ids as one window."""
        from entviz.evaluation.generation import prompt_ids
        from entviz.text.windows import Windows

        return Windows.of([prompt_ids(loaded, self.text, begin=self.begin)])

    def settled(self, loaded: LoadedModel, material: Windows) -> Prompt:
        """The same with the model as it was loaded."""
        return replace(self, loading=self.loading.settled(loaded))

    def with_model(self, name: str) -> Prompt:
        """The same for the model of another name."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """How the prompt begins."""
        return begin_option(self.begin)

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, where pages load it otherwise."""
        return self.loading.options()

    def describe(self) -> str:
        """The prompt's first words."""
        return shortened(self.text)


@dataclass(frozen=True)
class TaskItems:
    """Multiple-choice items, given as they were read or by a task's name, but never by a file's.

    Attributes:
        model: its name.
        task: the task, or the name of one of the hub.
        limit: only so many of its items; None for all.
        begin: whether each is read with what the tokenizer puts before a text.
        loading: how the model is loaded.

    Raises:
        OptionError: for a name that no task has.
    """

    model: str
    task: Task | str
    limit: int | None = None
    begin: bool = True
    loading: Loading = Loading()

    def __post_init__(self) -> None:
        if isinstance(self.task, str):
            if self.task not in task_titles():
                known = ", ".join(task_titles())
                raise OptionError(f"There is no task '{self.task[:60]}': choose from {known}.")
            if self.task in BUILT_IN:
                object.__setattr__(self, "task", read_task(self.task))

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task if isinstance(self.task, str) else self.task.name

    @property
    def text(self) -> str:
        """What tells tasks of one name apart: the fingerprint, or the name of a task of the hub."""
        return self.task if isinstance(self.task, str) else self.task.fingerprint

    def read(self, loaded: LoadedModel) -> Task:
        """The task, downloaded where it is of the hub."""
        return read_task(self.task) if isinstance(self.task, str) else self.task

    def settled(self, loaded: LoadedModel, material: Task) -> TaskItems:
        """The same with the model as it was loaded."""
        return replace(self, loading=self.loading.settled(loaded))

    def with_model(self, name: str) -> TaskItems:
        """The same for the model of another name."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """The task's name, how many of its items, and how they begin."""
        return {"task": self.name, "limit": self.limit} | begin_option(self.begin)

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, where pages load it otherwise."""
        return self.loading.options()

    def describe(self) -> str:
        """The task's name, and how many of its items."""
        return self.name if self.limit is None else f"{self.name}, first {self.limit} items"


@dataclass(frozen=True)
class ModelAlone:
    """A model that reads nothing."""

    model: str
    loading: Loading = Loading()

    text = ""

    def read(self, loaded: LoadedModel) -> None:
        """Nothing."""
        return

    def settled(self, loaded: LoadedModel, material: None) -> ModelAlone:
        """The same with the model as it was loaded."""
        return replace(self, loading=self.loading.settled(loaded))

    def with_model(self, name: str) -> ModelAlone:
        """The same for the model of another name."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """None."""
        return {}

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, where pages load it otherwise."""
        return self.loading.options()

    def describe(self) -> str:
        """The model's name."""
        return self.model


def begin_option(begin: bool) -> dict[str, Any]:
    """How texts begin, as an option of a stored result: nothing where they begin as the tokenizer has it."""
    return {} if begin else {"begin": False}
