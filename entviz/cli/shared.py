"""The common parts of commands: options, reading the inputs that they name, and printing."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.blocks import PruneSet
from entviz.errors import OptionError, TextError
from entviz.estimators import split
from entviz.models import DEFAULT_MODEL
from entviz.models.places import PLACEMENTS
from entviz.progress import Progress
from entviz.words.phrases import of_windows

if TYPE_CHECKING:
    from entviz.export.recipe import Recipe
    from entviz.runtime.runner import Outcome
    from entviz.studies import Loading, TextSample


def add_command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], None],
    purpose: str,
    *,
    text: bool = True,
    text_required: bool = True,
    task: bool = False,
    casts: bool = False,
) -> argparse.ArgumentParser:
    """Add a command with the common options: model, type, device, JSON, and the text if it takes one.

    ``task`` allows a multiple-choice task instead of the text. ``casts`` says that the command loads the model in
    float32, for measuring entropy, and that ``--dtype`` is the type of the copy on which it evaluates.
    """
    command: argparse.ArgumentParser = commands.add_parser(name, help=_sentence(purpose), description=purpose)
    command.set_defaults(command=function, casts=casts)
    command.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="M",
        help="catalog name, hub id or directory (default: %(default)s)",
    )
    command.add_argument(
        "--dtype",
        default="float32",
        help="number type to evaluate in: float32, bfloat16, float16, or auto for the fastest (default: %(default)s)"
        if casts
        else "number type of the weights: float32, bfloat16 or float16 (default: %(default)s)",
    )
    command.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: the best one available)")
    command.add_argument(
        "--device-map",
        choices=PLACEMENTS,
        help="for a model that does not fit: auto fills the GPUs, then the processor's memory, and leaves the rest on "
        "disk; disk leaves all layers there and reads one at a time (default: everything in memory)",
    )
    command.add_argument(
        "--max-memory",
        default="",
        metavar="SIZE",
        help="the most memory for weights with a device map: 8GB, or cpu=8GB,0=20GB with GPUs by their numbers "
        "(default: what is free)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    if text:
        group = command.add_argument_group("text or task, one of" if task else "text, one of")
        sources = group.add_mutually_exclusive_group(required=text_required)
        sources.add_argument("--text", metavar="STR", help="the text itself")
        sources.add_argument("--text-file", metavar="F", help="a text file, UTF-8")
        sources.add_argument(
            "--token-ids", metavar="F.json", help="a list of equally long lists of token ids"
        )
        if task:
            sources.add_argument(
                "--task", metavar="NAME-or-FILE", help="multiple-choice items: a task's name, or a JSONL file"
            )
            command.add_argument("--limit", type=int, metavar="N", help="only the first N items of a task")
        command.add_argument(
            "--encoding", default="utf-8", help="encoding of the text file (default: %(default)s)"
        )
        command.add_argument(
            "--windows", type=int, metavar="N", help="number of windows (default: all complete ones)"
        )
        command.add_argument(
            "--window-length", type=int, metavar="S", help="tokens of the text in a window (default: 256)"
        )
        add_beginning(command)
    return command


def add_beginning(command: argparse.ArgumentParser) -> None:
    """Add the option that leaves out the tokenizer's beginning token."""
    command.add_argument(
        "--no-bos",
        dest="begin",
        action="store_false",
        help="leave out the beginning-of-text token that the model's tokenizer puts before a text",
    )


def _sentence(purpose: str) -> str:
    """A purpose in the form used in a list of commands."""
    return purpose[0].lower() + purpose[1:].rstrip(".")


def protection(text: str) -> tuple[int, int]:
    """Read the two numbers of layers of ``--protect``."""
    first, _, last = text.partition(",")
    try:
        return int(first), int(last)
    except ValueError:
        raise argparse.ArgumentTypeError(f"write two numbers such as 2,1, not '{text}'") from None


def words(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated text; commas inside parentheses, as in metrics with options, do not separate."""
    return split(text)


def read_drop(options: argparse.Namespace) -> PruneSet:
    """The prune set given with ``--drop``, for a command that measures it without a repair."""
    recipe = read_recipe_of(options)
    if recipe.repair is not None:
        tell(
            [f"The recipe's repair by {recipe.repair.method} is left out: this command measures without one."]
        )
    return recipe.drop


def read_recipe_of(options: argparse.Namespace) -> Recipe:
    """Read the value of ``--drop``: blocks, or ``@`` and a recipe. Prints a note if it was made for another model."""
    from entviz.export.recipe import Recipe, read_recipe

    written = options.drop.strip()
    if not written.startswith("@"):
        return Recipe(PruneSet.parse(written))
    recipe = read_recipe(written[1:])
    if recipe.model not in (None, options.model, Path(options.model).name):
        print(f"entviz: note: the recipe was made for {recipe.model}.", file=sys.stderr)
    return recipe


def loading_of(options: argparse.Namespace) -> Loading:
    """How the model is loaded."""
    from entviz.studies import Loading

    return Loading(
        "float32" if options.casts else options.dtype, options.device, options.device_map, options.max_memory
    )


def typed(text: str, note: Callable[[str], None] = lambda _: None) -> str:
    """A text given on the command line; raises ``TextError`` if its bytes are not text in the shell's encoding.

    ``note`` is as for :func:`entviz.text.files.plain_line_ends`.
    """
    from entviz.text.files import plain_line_ends

    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextError(
            "The text on the command line is not in this shell's encoding: put it into a file, and give its --encoding."
        ) from None
    return plain_line_ends(text, note=note)


def has_text(options: argparse.Namespace) -> bool:
    """Whether a text or token ids were given."""
    given = (options.text, options.text_file, options.token_ids)
    return any(source is not None for source in given)


def read_sample(options: argparse.Namespace) -> tuple[TextSample, tuple[str, ...]]:
    """The given text or token ids with the model that reads them, and notes about how the text was read.

    A text is read only once, because a pipe can be read only once.
    """
    from entviz.studies import TextSample, TokenIds
    from entviz.text.files import read_text, read_token_ids

    loading = loading_of(options)
    if options.token_ids is not None:
        if options.windows is not None or options.window_length is not None:
            raise OptionError(
                "--windows and --window-length are for a text; token ids are already in windows. Leave them out."
            )
        if not options.begin:
            raise OptionError(
                "--no-bos is for a text; token ids are used as they are given. Leave the option out."
            )
        rows = tuple(map(tuple, read_token_ids(options.token_ids)))
        ids = TokenIds(Path(options.token_ids).name, rows)
        return TextSample(options.model, "", None, 0, loading=loading, ids=ids), ()
    notes: list[str] = []
    if options.text is not None:
        text = typed(options.text, notes.append)
    else:
        text = read_text(options.text_file, options.encoding, note=notes.append)
    length = 256 if options.window_length is None else options.window_length
    return TextSample(options.model, text, options.windows, length, options.begin, loading), tuple(notes)


def measured_on(outcome: Outcome[Any]) -> str:
    """The model and the amount of text, as a sentence."""
    windows = outcome.windows
    return f"{outcome.loaded.name}: {of_windows(len(windows), windows.length)}."


@contextmanager
def progress_bar(name: str) -> Iterator[Progress]:
    """A progress bar on standard error after one second of work, if it is a terminal; a file only gets messages."""
    from tqdm import tqdm

    shape = "{l_bar}{bar}| {elapsed}<{remaining}"
    bar: Any = None  # starts with the work, after the model is loaded

    def report(done: int, total: int, partial: object = None, /) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(desc=name, delay=1.0, leave=False, file=sys.stderr, bar_format=shape, disable=None)
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def print_json(data: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """Print plain data as one line of JSON; ``notes`` come before its own notes."""
    if notes:
        data = data | {"notes": [*notes, *data.get("notes", [])]}
    print(json.dumps(data, allow_nan=False, default=float))


def tell(notes: Sequence[str]) -> None:
    """Print notes about the numbers on standard error."""
    for note in notes:
        print(f"entviz: note: {note}", file=sys.stderr)


def print_table(title: str, table: Any, name: str) -> None:
    """Print a table with a row for each site or block and a column for each metric."""
    wide = table.pivot(index=name, columns="metric", values="value")
    wide = wide.loc[list(dict.fromkeys(table[name])), list(dict.fromkeys(table["metric"]))]
    print(
        f"\n{title}\n{wide.rename_axis(index=None, columns=None).to_string(float_format='{:.6g}'.format)}\n"
    )
