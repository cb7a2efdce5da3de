"""The model card of every export: what was dropped, why, what it costs, and how to load the files."""

from __future__ import annotations

import json
import re

from entviz.evaluation.perplexity import in_words
from entviz.export.request import ExportRequest, Format, FormatOutput, hub_name
from entviz.models import CATALOG
from entviz.repair.registry import METHODS
from entviz.version import __version__
from entviz.words.phrases import counted, of_windows, some

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def model_card(request: ExportRequest, form: Format, output: FormatOutput) -> str:
    """The README.md of an export: YAML front matter as the Hugging Face hub reads it, then Markdown."""
    loaded = request.loaded
    name = hub_name(request.model_name)
    title = CATALOG[loaded.name].title if loaded.name in CATALOG else name
    pieces = [
        _front_matter(request, name),
        f"# {_plain(title)} without {counted(len(request.drop), 'block')}",
        f"Written by [entviz](https://arxiv.org/abs/2504.03794) {__version__}. {form.title}: {form.purpose}",
        _what_was_dropped(request, output),
        _what_it_costs(request),
        f"## How to use it\n\n```{output.language}\n{output.loading}\n```",
    ]
    if output.check is not None:
        pieces.append(output.check.sentence)
    if output.notes:
        pieces.append("## Good to know\n\n" + "\n".join(f"- {note}" for note in output.notes))
    its_repair = "" if request.repair is None else " and its repair"
    pieces.append(
        f"`recipe.json` is the prune set{its_repair} for entviz: `--drop @recipe.json`, or the Prune page."
    )
    return "\n\n".join(pieces) + "\n"


def _front_matter(request: ExportRequest, name: str) -> str:
    # JSON texts and lists are also YAML, so a name cannot change the structure of the file.
    fields = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["entviz", "pruned"]}
    if request.loaded.name in CATALOG or _HUB_ID.fullmatch(name):
        fields["base_model"] = name
    if request.loaded.name in CATALOG:
        licence = CATALOG[request.loaded.name].licence
        known = re.fullmatch(r"[A-Za-z]+(-[\d.]+)?", licence)
        fields |= {"license": licence.lower()} if known else {"license": "other", "license_name": licence}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _what_was_dropped(request: ExportRequest, output: FormatOutput) -> str:
    layers, kept = request.loaded.layers, len(request.kept)
    lines = [
        f"- Prune set: `{request.drop or 'nothing'}`",
        f"- Layers: {kept} of {layers}" + (f", {layers - kept} removed" if kept < layers else ""),
        f"- Chosen by: {_plain(request.criterion) if request.criterion else 'not recorded'}",
        f"- Weights: {str(request.loaded.dtype).removeprefix('torch.')}",
        *_repair(request),
        f"- Made from: {_plain(request.model_name)}, fingerprint `{request.loaded.fingerprint}`",
    ]
    if output.zeroed:
        lines.append(f"- Set to zero: {some([f'`{name}`' for name in output.zeroed], 3)}")
    return "## What was dropped\n\n" + "\n".join(lines)


def _repair(request: ExportRequest) -> list[str]:
    if request.repair is None:
        return []
    fitted = f"fitted on {request.repair.tokens:,} tokens: {_plain(request.repair.fitted_on)}"
    return [f"- Repaired by: {METHODS[request.repair.method].title}, {fitted}"]


def _what_it_costs(request: ExportRequest) -> str:
    from entviz.evaluation.repaired import RepairedEvaluation

    found = request.evaluation
    if found is None:
        return "## What it costs\n\nNot measured."
    rows: list[tuple[str, ...]] = [
        ("Perplexity", in_words(found.dense_perplexity, ".2f"), in_words(found.perplexity, ".2f")),
        ("Loss a token (nats)", f"{found.dense_nll:.4f}", f"{found.nll:.4f}"),
        ("KL from dense (nats)", "0", f"{found.kl:.4f}"),
        ("Top-1 agreement with dense", "100%", f"{found.top1_agreement:.1%}"),
        (
            "Parameters that compute",
            f"{found.parameters_dense:,}",
            f"{found.parameters_pruned:,}",
        ),
    ]
    heads = ["dense", "pruned and repaired" if found.repair else "pruned"]
    if isinstance(found, RepairedEvaluation):
        plain = (in_words(found.plain_perplexity, ".2f"), f"{found.plain_nll:.4f}", f"{found.plain_kl:.4f}")
        added = 0 if request.repair is None else request.repair.parameters
        more = ("not measured", f"{found.parameters_pruned - added:,}")
        heads.insert(1, "pruned")
        rows = [(*row[:2], without, row[2]) for row, without in zip(rows, (*plain, *more), strict=True)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    windows = of_windows(found.windows, found.window_length)
    where = _plain(request.text) or "a text"
    return (
        f"## What it costs\n\nMeasured on {where}, {windows}, in {found.dtype}."
        f"{''.join(f' {_plain(note)}' for note in found.notes)}\n\n"
        f"| | {' | '.join(heads)} |\n|---{'|---:' * len(heads)}|\n{table}"
    )


def _plain(text: str) -> str:
    """A user's text on one line, escaped so that it is neither Markdown nor HTML."""
    return re.sub(r"([\\`*_{}\[\]#|<>!])", r"\\\1", " ".join(text.split()))
