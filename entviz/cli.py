"""The command line: analyze, rank, evaluate, compare, generate and export, each as readable tables or as JSON.

    python -m entviz evaluate --text-file story.txt --windows 4 --window-length 128 --drop attn.25,attn.26 --json

Results go to standard output, progress and messages to standard error. What the user can mend is one sentence and
exit status 2; an interrupt is 130.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz import __version__
from entviz.blocks import KINDS, Block, PruneSet
from entviz.errors import EntvizError, ExportError, OptionError
from entviz.models import DEFAULT_MODEL
from entviz.progress import Progress

if TYPE_CHECKING:
    from entviz.corpus import Windows
    from entviz.export.recipe import Recipe
    from entviz.models.loaded import LoadedModel

ENTROPIES = ("bucket", "knn", "renyi")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
        return 0
    except EntvizError as error:
        print(f"entviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("entviz: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        sys.stderr.close()
        return 0


# --- the commands ---------------------------------------------------------------------------------------------------


def _analyze(options: argparse.Namespace) -> None:
    from entviz.analysis import analyze

    loaded, windows = _model_and_windows(options)
    with _progress_bar("analyze") as progress:
        analysis = analyze(loaded, windows, _words(options.metric), _words(options.level), progress=progress)
    if options.json:
        _print_json(analysis.to_json())
        return
    print(_measured_on(loaded, windows))
    if not analysis.sites.empty:
        _print_table("Entropy at each site (nats)", analysis.sites, "site")
        for metric in dict.fromkeys(analysis.sites["metric"]):
            print(f"Turning point by {metric}: layer {analysis.turning_point(metric)}.")
    _print_table("Entropy increase (nats); for cosine, importance = 1 - similarity", analysis.blocks, "block")


def _rank(options: argparse.Namespace) -> None:
    from entviz.pruning.choose import CRITERIA, choose

    loaded, windows = _model_and_windows(options)
    with _progress_bar("rank") as progress:
        ranking = choose(
            loaded,
            windows,
            options.criterion,
            level=options.level,
            budget=options.budget,
            estimator=options.estimator,
            protect=options.protect,
            stage=options.stage,
            seed=options.seed,
            seconds=options.seconds,
            progress=progress,
        )
    if options.json:
        _print_json(ranking.to_json())
        return
    print(
        _measured_on(loaded, windows),
        f"{CRITERIA[options.criterion].title}: {CRITERIA[options.criterion].source}",
    )
    table = ranking.scores.set_index("block")
    print(f"\n{'rank':>4}  {'block':<10} score")
    for place, block in enumerate(ranking.order, start=1):
        score = table.at[str(block), "score"]
        mark = "  drop" if block in ranking.drop else ""
        print(f"{place:>4}  {block!s:<10} {'' if score != score else f'{score:.6g}'}{mark}")
    print(f"\nProtected: {', '.join(table.index[table['protected']]) or 'none'}")
    print(f"--drop {ranking.drop}" if ranking.drop else "Give --budget to choose a prune set.")


def _evaluate(options: argparse.Namespace) -> None:
    from entviz.evaluation.loss import evaluate

    if options.task is not None:
        _evaluate_task(options)
        return
    if options.limit is not None:
        raise OptionError(
            "--limit is for the items of a --task; --windows limits how much of a text is read."
        )
    drop = _drop(options)
    loaded, windows = _model_and_windows(options)
    with _progress_bar("evaluate") as progress:
        found = evaluate(loaded, windows, drop, dtype=options.dtype, progress=progress)
    if options.json:
        _print_json(found.to_json())
        return
    print(_measured_on(loaded, windows), f"{found.tokens} tokens scored, in {found.dtype}.", sep="\n")
    print(f"Dropped: {drop or 'nothing'}\n")
    print(f"{'':<28}{'dense':>14}{'pruned':>14}")
    print(f"{'perplexity':<28}{found.dense_perplexity:>14.4f}{found.perplexity:>14.4f}")
    print(f"{'loss per token (nats)':<28}{found.dense_nll:>14.4f}{found.nll:>14.4f}")
    print(f"{'KL from dense (nats)':<28}{0:>14.4f}{found.kl:>14.4f}")
    print(f"{'top-1 agreement with dense':<28}{1:>14.1%}{found.top1_agreement:>14.1%}")
    print(
        f"{'parameters (millions)':<28}{found.parameters_dense / 1e6:>14.2f}{found.parameters_pruned / 1e6:>14.2f}"
    )
    print(f"{'weight memory (MB)':<28}{found.bytes_dense / 1e6:>14.1f}{found.bytes_pruned / 1e6:>14.1f}")


def _evaluate_task(options: argparse.Namespace) -> None:
    from entviz.evaluation.tasks import evaluate_task
    from entviz.tasks import read_task

    if options.windows is not None or options.window_length is not None:
        raise OptionError("--windows and --window-length cut a text; a --task has items. Use --limit.")
    drop, task = _drop(options), read_task(options.task)
    loaded = _load(options)
    with _progress_bar("evaluate") as progress:
        found = evaluate_task(loaded, task, drop, dtype=options.dtype, limit=options.limit, progress=progress)
    if options.json:
        _print_json(found.to_json())
        return
    print(
        f"{loaded.name}: {found.task}, {found.items} items, in {found.dtype}.\nDropped: {drop or 'nothing'}\n"
    )
    for name, share, error in (
        ("accuracy", found.accuracy, found.standard_error),
        ("accuracy, length-normalized", found.accuracy_normalized, found.standard_error_normalized),
    ):
        print(f"{name:<28}{share:>14.1%}" + (f"  +- {error:.1%}" if error == error else ""))
    print(f"{'blind guessing':<28}{found.chance:>14.1%}")


def _compare(options: argparse.Namespace) -> None:
    import pandas as pd

    from entviz.comparison.grid import compare
    from entviz.comparison.kept import StoredParts
    from entviz.comparison.texts import Split, split
    from entviz.comparison.verdict import verdict
    from entviz.corpus import read_text, windows_from_text
    from entviz.store import Store
    from entviz.tasks import read_task

    task = read_task(options.task) if options.task is not None else None
    loaded, windows = _model_and_windows(options)
    if options.calibration_text_file is not None:
        text = read_text(options.calibration_text_file, options.encoding)
        count, length = options.calibration_windows, windows.token_ids.shape[1]
        parts = Split(windows_from_text(text, loaded.tokenizer, windows=count, window_length=length), windows)
    else:
        parts = split(windows, options.calibration_windows)
    store = Store()
    try:
        with _progress_bar("compare") as progress:
            found = compare(
                loaded,
                parts.calibration,
                parts.measured,
                _words(options.criteria),
                _words(options.budgets),
                levels=_words(options.level),
                seeds=options.seeds,
                seconds=options.seconds,
                task=task,
                limit=options.limit,
                dtype=options.dtype,
                kept=StoredParts(store, loaded),
                progress=progress,
            )
    finally:
        store.close()
    if options.json:
        _print_json(found.to_json())
        return
    print(
        f"{loaded.name}: chosen by {found.calibration_windows} windows, measured on {found.windows} "
        f"{'of the same ' if found.overlap else ''}windows of {found.window_length} tokens, in {found.dtype}."
    )
    columns = ["title", "level", "budget", "perplexity", "kl", "top1_agreement", "parameters_kept", "speedup"]
    columns += ["accuracy", "accuracy_normalized"] if found.task else []
    dense = found.dense.assign(title="Dense", level="", budget="")
    table = pd.concat([dense, found.table()], ignore_index=True)[[*columns, "drop"]]
    print(table.to_string(index=False, float_format="{:.4g}".format, max_colwidth=60))
    print("", *(f"- {sentence}" for sentence in [*verdict(found), *found.notes]), sep="\n")


def _generate(options: argparse.Namespace) -> None:
    from entviz.evaluation.generation import generate

    drop = _drop(options)
    loaded = _load(options)
    with _progress_bar("generate") as progress:
        found = generate(
            loaded,
            options.prompt,
            drop,
            max_new_tokens=options.max_new_tokens,
            use_cache=not options.no_cache,
            progress=progress,
        )
    if options.json:
        _print_json(found.to_json())
        return
    print(found.text)
    print(
        f"{found.new_tokens} new tokens, {found.decode_tokens_per_second:.1f} a second, without {drop or 'nothing'}.",
        file=sys.stderr,
    )


def _export(options: argparse.Namespace) -> None:
    from entviz.export import export
    from entviz.export.place import check_target
    from entviz.export.registry import get_format

    recipe, target = _recipe(options), Path(options.out)
    drop = recipe.drop
    objection = get_format(options.format).objection(options.model, drop)
    if objection is not None:
        raise ExportError(objection)
    check_target(target, replace=options.force)  # before anything takes time
    evaluation, text = None, ""
    if options.text is None and options.text_file is None and options.token_ids is None:
        if options.windows is not None or options.window_length is not None:
            raise OptionError("--windows and --window-length cut a text: give one, or leave them out.")
        loaded = _load(options)
    else:
        from entviz.evaluation.loss import evaluate

        loaded, windows = _model_and_windows(options)
        files = options.text_file or options.token_ids
        text = Path(files).name if files else f'"{options.text[:60]}"'
        with _progress_bar("evaluate") as progress:
            evaluation = evaluate(loaded, windows, drop, dtype=options.dtype, progress=progress)
    with _progress_bar("export") as progress:
        found = export(
            loaded,
            drop,
            options.format,
            target,
            evaluation=evaluation,
            text=text,
            criterion=options.criterion or recipe.criterion,
            replace=options.force,
            progress=progress,
        )
    if options.json:
        _print_json(found.to_json())
        return
    print(f"Written to {found.directory}, {found.bytes / 1e6:.1f} MB: {', '.join(found.files)}.")
    if evaluation is not None:
        print(f"Perplexity {evaluation.dense_perplexity:.4f} dense, {evaluation.perplexity:.4f} pruned.")
    if found.check is not None:
        print(
            f"Loaded back: losses differ by {found.check.difference:.1e} nats over {found.check.tokens} tokens."
        )
    print(f"\n{found.loading}")
    for note in found.notes:
        print(f"Note: {note}", file=sys.stderr)


def _trust(options: argparse.Namespace) -> None:
    from entviz.comparison.trust import trust
    from entviz.comparison.trust_verdict import verdict

    loaded, windows = _model_and_windows(options)
    with _progress_bar("trust") as progress:
        found = trust(
            loaded,
            windows,
            options.level,
            estimators=_words(options.estimators),
            dtype=options.dtype,
            progress=progress,
        )
    if options.json:
        _print_json(found.to_json() | {"verdict": verdict(found)})
        return
    print(
        _measured_on(loaded, windows), "Damage: loss increase when a block alone is dropped.", *verdict(found)
    )
    for scope, name in (("all", "every block"), ("inner", "without the first two layers and the last")):
        table = found.correlations[found.correlations["scope"] == scope].drop(columns="scope")
        print(f"\nRank correlation with damage over {name}, 95% intervals")
        print(table.to_string(index=False, float_format="{:.3f}".format))


def _interactions(options: argparse.Namespace) -> None:
    from entviz.comparison.interactions import interactions
    from entviz.comparison.plan import plan
    from entviz.figures.interactions import headline

    blocks = [Block.parse(word) for word in _words(options.blocks)] or None
    loaded, windows = _model_and_windows(options)
    planned = plan(loaded, windows, options.level, blocks=blocks)
    print(
        f"entviz: {planned.pairs:,} pairs, about {planned.seconds_pairs:.0f} seconds here.", file=sys.stderr
    )
    with _progress_bar("interactions") as progress:
        found = interactions(
            loaded, windows, options.level, blocks=blocks, dtype=options.dtype, progress=progress
        )
    if options.json:
        _print_json(found.to_json())
        return
    print(_measured_on(loaded, windows), *headline(found, "loss"))
    table = found.table().sort_values("loss_interaction", ascending=False)
    table = table[["first", "second", *(column for column in table if column.startswith("loss_"))]]
    print("\nPairs by their loss increase beyond the sum of the two, nats a token")
    print(table.to_string(index=False, float_format="{:.4f}".format))


# --- their options --------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="entviz",
        description="See a decoder language model's entropy change with depth, drop blocks, and read what it costs.",
    )
    parser.add_argument("--version", action="version", version=f"entviz {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(
        commands, "analyze", _analyze, "entropy at every site and importance of every block", text=True
    )
    command.add_argument(
        "--metric",
        default="bucket,knn,renyi,cosine",
        help="some of bucket, knn, renyi, matrix, cosine (default: %(default)s)",
    )
    command.add_argument("--level", default=",".join(KINDS), help="some of layer, attn, mlp (default: all)")

    command = _command(
        commands, "rank", _rank, "blocks in the order in which a criterion drops them", text=True
    )
    command.add_argument(
        "--criterion",
        default="entrodrop",
        help="entrodrop, cosine, block-influence, angular-distance, leave-one-out, sleb, finercut, last, random or "
        "search (default: %(default)s)",
    )
    command.add_argument("--estimator", default="knn", help="entropy for entrodrop (default: %(default)s)")
    command.add_argument("--level", help="layer, attn, mlp or attn+mlp (default: the criterion's own)")
    command.add_argument(
        "--budget", default="0", metavar="N", help="how much to drop: 8 (blocks), 20%%, 50MB, '15%% latency'"
    )
    command.add_argument(
        "--protect",
        type=_protection,
        metavar="FIRST,LAST",
        help="layers never dropped at the start and the end (default: 2,1 for entrodrop, 0,0 for cosine)",
    )
    command.add_argument("--seed", type=int, default=0, help="of random (default: %(default)s)")
    command.add_argument("--seconds", type=float, default=120, help="for search (default: %(default)s)")
    command.add_argument("--stage", type=int, choices=[2], help="2: only blocks after the turning point")

    command = _command(
        commands, "evaluate", _evaluate, "what a prune set costs on a text or a task", text=True, task=True
    )
    command.add_argument(
        "--drop", default="", metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json (default: nothing)"
    )

    command = _command(commands, "compare", _compare, "criteria by budgets, and what each costs", text=True)
    command.add_argument(
        "--criteria",
        default="entrodrop:bucket,entrodrop:knn,entrodrop:renyi,cosine,random",
        help="criteria as for rank; entrodrop takes its estimator after a colon (default: %(default)s)",
    )
    command.add_argument("--budgets", default="4,8,12", help="each as for rank (default: %(default)s)")
    command.add_argument("--level", default="attn", help="some of layer, attn, mlp, attn+mlp (default: attn)")
    command.add_argument("--calibration-text-file", metavar="F", help="what the criteria choose by")
    command.add_argument(
        "--calibration-windows",
        type=int,
        metavar="N",
        help="how many windows they choose by (default: all of that file, or else the first half of the text)",
    )
    command.add_argument("--seeds", type=int, default=3, help="random prune sets a budget (default: 3)")
    command.add_argument("--seconds", type=float, default=120, help="for search, a budget (default: 120)")
    command.add_argument("--task", metavar="NAME-or-FILE", help="multiple-choice items to answer too")
    command.add_argument("--limit", type=int, metavar="N", help="only the task's first so many items")

    command = _command(commands, "generate", _generate, "continue a prompt greedily", text=False)
    command.add_argument("--prompt", required=True, metavar="P", help="the text to continue")
    command.add_argument(
        "--drop", default="", metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json (default: nothing)"
    )
    command.add_argument(
        "--max-new-tokens", type=int, default=24, metavar="N", help="at most this many (default: 24)"
    )
    command.add_argument("--no-cache", action="store_true", help="run the whole sequence anew for each token")

    command = _command(
        commands, "export", _export, "where a pruned model was written", text=True, text_required=False
    )
    command.add_argument("--drop", required=True, metavar="BLOCKS", help="attn.5,layer.7 or @recipe.json")
    command.add_argument("--out", required=True, metavar="DIR", help="the directory to write")
    command.add_argument(
        "--format", default="hf", help="hf, recipe, mergekit, llama.cpp or llm-drop (default: %(default)s)"
    )
    command.add_argument(
        "--criterion", metavar="WORDS", help="how the blocks were chosen, for the model card"
    )
    command.add_argument("--force", action="store_true", help="replace an earlier export there")

    command = _command(
        commands, "trust", _trust, "how each criterion's scores agree with measured damage", text=True
    )
    command.add_argument(
        "--level", default="attn", help="layer, attn, mlp or attn+mlp (default: %(default)s)"
    )
    command.add_argument(
        "--estimators",
        default=",".join(ENTROPIES),
        help="entropies to judge, matrix among them (default: %(default)s)",
    )

    command = _command(
        commands, "interactions", _interactions, "what pairs of blocks cost beyond their sum", text=True
    )
    command.add_argument(
        "--level", default="attn", help="layer, attn, mlp or attn+mlp (default: %(default)s)"
    )
    command.add_argument("--blocks", default="", metavar="BLOCKS", help="only pairs of these (default: all)")
    return parser


def _command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], None],
    purpose: str,
    *,
    text: bool,
    text_required: bool = True,
    task: bool = False,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=f"Print {purpose}."
    )
    command.set_defaults(command=function)
    command.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="M",
        help="catalog name, hub id or directory (default: %(default)s)",
    )
    command.add_argument(
        "--dtype",
        default="float32",
        help="float32, bfloat16, float16, or for evaluations auto: the fastest here (default: %(default)s)",
    )
    command.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: the best there is)")
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
            command.add_argument("--limit", type=int, metavar="N", help="only a task's first so many items")
        command.add_argument("--encoding", default="utf-8", help="of the text file (default: %(default)s)")
        command.add_argument(
            "--windows", type=int, metavar="N", help="how many windows (default: all whole ones)"
        )
        command.add_argument(
            "--window-length", type=int, metavar="S", help="tokens in a window (default: 256)"
        )
    return command


def _protection(text: str) -> tuple[int, int]:
    first, _, last = text.partition(",")
    try:
        return int(first), int(last)
    except ValueError:
        raise argparse.ArgumentTypeError(f"write two numbers such as 2,1, not '{text}'") from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


# --- what they share ------------------------------------------------------------------------------------------------


def _drop(options: argparse.Namespace) -> PruneSet:
    return _recipe(options).drop


def _recipe(options: argparse.Namespace) -> Recipe:
    """What stands after ``--drop``: blocks, or ``@`` and a recipe; notes where that was made for another model."""
    from entviz.export.recipe import Recipe, read_recipe

    written = options.drop.strip()
    if not written.startswith("@"):
        return Recipe(PruneSet.parse(written))
    recipe = read_recipe(written[1:])
    if recipe.model not in (None, options.model, Path(options.model).name):
        print(f"entviz: note: the recipe was made for {recipe.model}.", file=sys.stderr)
    return recipe


def _load(options: argparse.Namespace) -> LoadedModel:
    from entviz.models import load

    # Weights are loaded in float32 for everything that measures entropy; an evaluation casts its own copy.
    dtype = options.dtype if options.command not in (_evaluate, _compare) else "float32"
    return load(options.model, dtype=dtype, device=options.device)


def _model_and_windows(options: argparse.Namespace) -> tuple[LoadedModel, Windows]:
    from entviz.corpus import read_text, read_token_ids, windows_from_text, windows_from_token_ids

    if options.token_ids is not None:
        if options.windows is not None or options.window_length is not None:
            raise OptionError(
                "--windows and --window-length cut a text; token ids come already cut. Leave them out."
            )
        ids = read_token_ids(options.token_ids)
        loaded = _load(options)
        return loaded, windows_from_token_ids(ids, loaded.vocabulary_size)
    text = options.text if options.text is not None else read_text(options.text_file, options.encoding)
    loaded = _load(options)
    length = 256 if options.window_length is None else options.window_length
    return loaded, windows_from_text(text, loaded.tokenizer, windows=options.windows, window_length=length)


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """A bar on standard error that appears only once the work has taken a second."""
    from tqdm import tqdm

    shape = "{l_bar}{bar}| {elapsed}<{remaining}"
    with tqdm(desc=name, delay=1.0, leave=False, file=sys.stderr, bar_format=shape) as bar:

        def report(done: int, total: int, partial: object = None, /) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


def _print_json(data: dict[str, Any]) -> None:
    print(json.dumps(data, allow_nan=False, default=float))


def _measured_on(loaded: LoadedModel, windows: Windows) -> str:
    count, length = windows.token_ids.shape
    return f"{loaded.name}: {count} windows of {length} tokens."


def _print_table(title: str, table: Any, name: str) -> None:
    wide = table.pivot(index=name, columns="metric", values="value")
    wide = wide.loc[list(dict.fromkeys(table[name])), list(dict.fromkeys(table["metric"]))]
    print(
        f"\n{title}\n{wide.rename_axis(index=None, columns=None).to_string(float_format='{:.6g}'.format)}\n"
    )
