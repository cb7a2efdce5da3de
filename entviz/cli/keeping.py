"""Keeps what a command has computed where the dashboard keeps its results, so that each lists and finds the other's.

    with Keeper(options) as keeper:
        subject = read_subject(options)
        analysis = analyze(subject.loaded, subject.windows)
        keeper.keep(Analyze(keeper.request(subject), metrics), subject.loaded, subject.windows.fingerprint, analysis)

A result is kept under the key that the dashboard gives it where it is the same function of the same options. What only
the command line can ask for goes into the options under ``shell``, and so into the key: ``{"weights": "bfloat16"}``.
A command always computes, whatever is kept. Where nothing can be kept it says so on standard error, and does its work.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entviz.cli.shared import Subject
    from entviz.comparison.grid.kept import Kept
    from entviz.models.loaded import LoadedModel
    from entviz.store import Store
    from entviz.workbench import Request
    from entviz.workbench.tasks import Task

log = logging.getLogger("entviz")

TEXT_BYTES = 2_000_000  # of a text that is kept with its result: as much as a page takes


def add_keeping(command: argparse.ArgumentParser) -> None:
    """Add the option."""
    command.add_argument(
        "--no-keep",
        dest="keep",
        action="store_false",
        help="do not keep the result (otherwise the runs command and the Runs page list it)",
    )


class Keeper:
    """Keeps a command's result, unless ``--no-keep`` was given.

    Raises ``OptionError`` at once where the environment sets a bound that is none, not after the work is done.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        from entviz.store import Store

        self._options = options
        self._store = Store(announce=note) if options.keep else None
        # Before the model is read: where its files change meanwhile, they must not lead to what it gave.
        from entviz.workbench.identity import model_identity

        self._identity = model_identity(options.model)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._store is not None:
            self._store.close()
            if self._store.held:
                note("What this command has found was not kept.")

    def request(self, subject: Subject) -> Request:
        """What was measured, as the dashboard asks for it; the text is empty for token ids."""
        from entviz.workbench import Request

        model = placed(self._options.model)
        return Request(model, subject.text or "", subject.count, subject.length, subject.begin)

    def parts(self, loaded: LoadedModel) -> Kept:
        """Where the parts of a comparison are kept, and looked for."""
        from entviz.comparison.grid.kept import NothingKept, StoredParts

        return NothingKept() if self._store is None else StoredParts(self._store, loaded)

    def keep(self, task: Task[Any], loaded: LoadedModel, tokens: str, result: Any, **shell: Any) -> None:
        """Keep the result of a task, unless the same is there already.

        Args:
            task: what the dashboard would have computed.
            loaded: the model it was computed with.
            tokens: the fingerprint of what went through it.
            result: what the task computed.
            shell: what it depends on besides, by name; None where that is as in the dashboard.
        """
        if self._store is None:
            return
        apart = {name: value for name, value in shell.items() if value is not None} | self._apart(
            task, loaded
        )
        try:
            self._write(self._store, task, loaded, tokens, result, apart)
        except UnicodeError:  # a shell hands over bytes that are no text as characters that no database takes
            log.warning("The result is not kept: its text or a name in it is not valid Unicode.")

    def _apart(self, task: Task[Any], loaded: LoadedModel) -> dict[str, Any]:
        """What every command can ask for and the dashboard cannot."""
        import torch

        found: dict[str, Any] = {}
        if loaded.dtype != torch.float32:
            found["weights"] = str(loaded.dtype).removeprefix("torch.")
        if self._options.device is not None and (loaded.device.type != "cpu" or torch.cuda.is_available()):
            found["device"] = str(loaded.device)
        ids = getattr(self._options, "token_ids", None)  # a prompt has none, and may be empty
        if not task.text and ids is not None:
            found["token_ids"] = Path(ids).name
        return found

    def _write(
        self,
        store: Store,
        task: Task[Any],
        loaded: LoadedModel,
        tokens: str,
        result: Any,
        apart: dict[str, Any],
    ) -> None:
        from entviz.store import Run, result_key
        from entviz.workbench.comparing import Compare
        from entviz.workbench.keys import asked_key, options_of

        options = options_of(task) | ({"shell": apart} if apart else {})
        key = result_key(task.kind, model=loaded.fingerprint, tokens=tokens, options=options)
        size = len(task.text.encode())
        text = task.text if 0 < size <= TEXT_BYTES else None
        if store.get(key) is None:
            run = Run(
                kind=task.kind,
                model=task.model,
                fingerprint=loaded.fingerprint,
                description=_described(task, apart),
                options=options,
                summary=task.summarize(result),
            )
            store.put(key, run, result, text=text)
        if apart:
            return
        if isinstance(task, Compare):  # what a stopped one had found is in this one too
            store.remove(task.partial_key(loaded.fingerprint, tokens))
        asked, identity = asked_key(task)
        if text is not None and identity is not None and identity == self._identity:
            store.link(asked, key)


def note(sentence: str) -> None:
    """Say something on standard error that stops no command."""
    print(f"entviz: {sentence}", file=sys.stderr)


def placed(model: str) -> str:
    """A model's name as it means the same in every directory: a path is made absolute."""
    from entviz.models import CATALOG

    path = Path(model)
    try:
        path = path.expanduser()
        return str(path.absolute()) if model not in CATALOG and path.exists() else model
    except (OSError, RuntimeError, ValueError):  # a name that no file could have
        return model


def _described(task: Task[Any], apart: dict[str, Any]) -> str:
    if "token_ids" not in apart:
        return task.describe()
    options = task.options()
    return f"token ids of {apart['token_ids']} ({options['windows']} x {options['window_length']} tokens)"
