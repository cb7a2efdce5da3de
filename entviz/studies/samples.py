"""The input of a study: a text, a prompt or multiple-choice items, with the model that reads it. Plain data.

sample = TextSample("smollm2-135m", text, windows=4, window_length=128)
sample.read(loaded)                # the windows of token ids
sample.settled(loaded, windows)    # the same sample with the number of windows that were read
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
    """How a model is loaded. Pages use the defaults; a command can ask for other values.

    Attributes:
        dtype: number type of the weights.
        device: the device it runs on; None for the best one available.
        device_map, max_memory: how its parts are placed, if not all on one device; see :func:`entviz.models.load`. This
            changes no number, so results do not depend on it.
    """

    dtype: str = "float32"
    device: str | None = None
    device_map: str | None = None
    max_memory: str = ""

    def settled(self, loaded: LoadedModel) -> Loading:
        """The values of the loaded model. The device is None if pages use the same device."""
        import torch

        other = self.device is not None and (loaded.device.type != "cpu" or torch.cuda.is_available())
        return Loading(str(loaded.dtype).removeprefix("torch."), str(loaded.device) if other else None)

    def options(self) -> dict[str, Any]:
        """The values that differ from the pages' defaults, as options of a stored result."""
        weights = {} if self.dtype == "float32" else {"weights": self.dtype}
        return weights | ({} if self.device is None else {"device": self.device})


@dataclass(frozen=True)
class TokenIds:
    """Token ids from a file, instead of a text: rows of equal length, and the file's name."""

    name: str
    rows: tuple[tuple[int, ...], ...]


class Sample(Protocol):
    """An input and the model that reads it."""

    @property
    def model(self) -> str:
        """The name of the model, as the user gave it."""
        ...

    @property
    def text(self) -> str:
        """The text that is read; empty for token ids. For items it is a text that identifies their content."""
        ...

    @property
    def loading(self) -> Loading: ...

    def options(self) -> dict[str, Any]:
        """How the input is read, as options of a stored result."""
        ...

    def shell_options(self) -> dict[str, Any]:
        """The options that only a command can set, as options of a stored result."""
        ...

    def describe(self) -> str:
        """A short description, for a list of runs."""
        ...

    def read(self, loaded: LoadedModel) -> Any:
        """The model's input, with a ``fingerprint``. Raises ``TextError`` if it cannot be read."""
        ...

    def settled(self, loaded: LoadedModel, material: Any) -> Self:
        """The same sample, with everything filled in that depends on the model or on the ``material`` that was read."""
        ...

    def with_model(self, name: str) -> Self:
        """The same sample for the model ``name``."""
        ...


@dataclass(frozen=True)
class TextSample:
    """A text, read in consecutive windows of equal length.

    Attributes:
        model: the name of the model.
        text: the text; empty for token ids.
        windows: the number of windows; None for as many as the text fills.
        window_length: the number of tokens in each window, without a beginning token.
        begin: whether each window begins with the tokenizer's beginning token.
        loading: how the model is loaded.
        ids: token ids instead of a text, already cut into windows.
    """

    model: str
    text: str
    windows: int | None
    window_length: int
    begin: bool = True
    loading: Loading = Loading()
    ids: TokenIds | None = None

    def read(self, loaded: LoadedModel) -> Windows:
        """The windows of token ids. Raises ``TextError`` if the text does not fill them."""
        if self.ids is not None:
            from entviz.text.windows import windows_from_token_ids

            return windows_from_token_ids([list(row) for row in self.ids.rows], loaded.vocabulary_size)
        return loaded.windows(
            self.text, windows=self.windows, window_length=self.window_length, begin=self.begin
        )

    def settled(self, loaded: LoadedModel, material: Windows) -> TextSample:
        """The same sample with the number of windows that were read and the values of the loaded model."""
        loading = self.loading.settled(loaded)
        return replace(self, windows=len(material), window_length=material.length, loading=loading)

    def with_model(self, name: str) -> TextSample:
        """The same sample for the model ``name``."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """How the text is cut into windows, and how each begins."""
        return {"windows": self.windows, "window_length": self.window_length} | begin_option(self.begin)

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, if it differs from the pages, and the file of token ids, if there is one."""
        return self.loading.options() | ({} if self.ids is None else {"token_ids": self.ids.name})

    def describe(self) -> str:
        """The text's first words, and how it is cut into windows."""
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
        """The same sample with the values of the loaded model."""
        return replace(self, loading=self.loading.settled(loaded))

    def with_model(self, name: str) -> Prompt:
        """The same sample for the model ``name``."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """How the prompt begins."""
        return begin_option(self.begin)

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, if it differs from the pages."""
        return self.loading.options()

    def describe(self) -> str:
        """The prompt's first words."""
        return shortened(self.text)


@dataclass(frozen=True)
class TaskItems:
    """Multiple-choice items, given as a task object or by a task's name, never by a file's name.

    Attributes:
        model: the name of the model.
        task: the task, or the name of a task of the hub.
        limit: the number of items to use, from the first on; None for all.
        begin: whether each item begins with the tokenizer's beginning token.
        loading: how the model is loaded.

    Raises:
        OptionError: for an unknown task name.
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
        """A text that identifies the task: its fingerprint, or its name if it is a task of the hub."""
        return self.task if isinstance(self.task, str) else self.task.fingerprint

    def read(self, loaded: LoadedModel) -> Task:
        """The task; a task of the hub is downloaded."""
        return read_task(self.task) if isinstance(self.task, str) else self.task

    def settled(self, loaded: LoadedModel, material: Task) -> TaskItems:
        """The same sample with the values of the loaded model."""
        return replace(self, loading=self.loading.settled(loaded))

    def with_model(self, name: str) -> TaskItems:
        """The same sample for the model ``name``."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """The task's name, the number of items, and how each begins."""
        return {"task": self.name, "limit": self.limit} | begin_option(self.begin)

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, if it differs from the pages."""
        return self.loading.options()

    def describe(self) -> str:
        """The task's name, and the number of items."""
        return self.name if self.limit is None else f"{self.name}, first {self.limit} items"


@dataclass(frozen=True)
class ModelAlone:
    """A model without an input."""

    model: str
    loading: Loading = Loading()

    text = ""

    def read(self, loaded: LoadedModel) -> None:
        """Nothing."""
        return

    def settled(self, loaded: LoadedModel, material: None) -> ModelAlone:
        """The same sample with the values of the loaded model."""
        return replace(self, loading=self.loading.settled(loaded))

    def with_model(self, name: str) -> ModelAlone:
        """The same sample for the model ``name``."""
        return replace(self, model=name)

    def options(self) -> dict[str, Any]:
        """None."""
        return {}

    def shell_options(self) -> dict[str, Any]:
        """How the model was loaded, if it differs from the pages."""
        return self.loading.options()

    def describe(self) -> str:
        """The model's name."""
        return self.model


def begin_option(begin: bool) -> dict[str, Any]:
    """How texts begin, as an option of a stored result; empty if they begin with the tokenizer's beginning token."""
    return {} if begin else {"begin": False}
