"""The model card that goes with every export: what was dropped, why, what it costs, and how to load it."""

from __future__ import annotations

import json
import re

from entviz.evaluation.perplexity import in_words
from entviz.export.order import Format, Order, Written, hub_name
from entviz.models import CATALOG
from entviz.version import __version__
from entviz.words.phrases import counted, of_windows, some

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def model_card(order: Order, form: Format, written: Written) -> str:
    """The README.md of an export: YAML front matter as the Hugging Face hub reads it, then Markdown."""
    loaded = order.loaded
    name = hub_name(order.model_name)
    title = CATALOG[loaded.name].title if loaded.name in CATALOG else name
    pieces = [
        _front_matter(order, name),
        f"# {_plain(title)} without {counted(len(order.drop), 'block')}",
        f"Written by [entviz](https://arxiv.org/abs/2504.03794) {__version__}. {form.title}: {form.purpose}",
        _what_was_dropped(order, written),
        _what_it_costs(order),
        f"## How to use it\n\n```{written.language}\n{written.loading}\n```",
    ]
    if written.check is not None:
        pieces.append(written.check.sentence)
    if written.notes:
        pieces.append("## Good to know\n\n" + "\n".join(f"- {note}" for note in written.notes))
    pieces.append("`recipe.json` is the prune set for entviz: `--drop @recipe.json`, or the Prune page.")
    return "\n\n".join(pieces) + "\n"


def _front_matter(order: Order, name: str) -> str:
    # JSON's texts and lists are YAML's too, so nothing in a name can break out of its place.
    fields = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["entviz", "pruned"]}
    if order.loaded.name in CATALOG or _HUB_ID.fullmatch(name):
        fields["base_model"] = name
    if order.loaded.name in CATALOG:
        licence = CATALOG[order.loaded.name].licence
        known = re.fullmatch(r"[A-Za-z]+(-[\d.]+)?", licence)
        fields |= {"license": licence.lower()} if known else {"license": "other", "license_name": licence}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _what_was_dropped(order: Order, written: Written) -> str:
    layers, kept = order.loaded.layers, len(order.kept)
    lines = [
        f"- Prune set: `{order.drop or 'nothing'}`",
        f"- Layers: {kept} of {layers}" + (f", {layers - kept} removed" if kept < layers else ""),
        f"- Chosen by: {_plain(order.criterion) if order.criterion else 'not recorded'}",
        f"- Weights: {str(order.loaded.dtype).removeprefix('torch.')}",
        f"- Made from: {_plain(order.model_name)}, fingerprint `{order.loaded.fingerprint}`",
    ]
    if written.zeroed:
        lines.append(f"- Set to zero: {some([f'`{name}`' for name in written.zeroed], 3)}")
    return "## What was dropped\n\n" + "\n".join(lines)


def _what_it_costs(order: Order) -> str:
    found = order.evaluation
    if found is None:
        return "## What it costs\n\nNot measured."
    rows = [
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
    table = "\n".join(f"| {name} | {dense} | {pruned} |" for name, dense, pruned in rows)
    windows = of_windows(found.windows, found.window_length)
    where = _plain(order.text) or "a text"
    return (
        f"## What it costs\n\nMeasured on {where}, {windows}, in {found.dtype}."
        f"{''.join(f' {_plain(note)}' for note in found.notes)}\n\n| | dense | pruned |\n|---|---:|---:|\n{table}"
    )


def _plain(text: str) -> str:
    """Someone's words on one line, unable to be Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]#|<>!])", r"\\\1", " ".join(text.split()))
