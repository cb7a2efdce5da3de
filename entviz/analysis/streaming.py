"""Measure a model layer by layer: each layer is read from disk once, all windows go through it, and it is forgotten.

The memory is that of the embeddings, one layer and the temporaries of a few windows, however large the model and the
text are: the hidden states of all windows are in a file that is mapped into memory. After every layer everything is on
disk that is needed to go on, so an analysis that was stopped, even by the end of its process, goes on after the last
finished layer when it is asked for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import nullcontext

from entviz.analysis.massive import Kept, MassiveCount
from entviz.analysis.unfinished import Unfinished
from entviz.analysis.values import Values
from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.offloading import resident
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress
from entviz.text.windows import Windows
from entviz.version import __version__


def stream_name(
    loaded: LoadedModel,
    windows: Windows,
    metrics: Iterable[str],
    levels: Sequence[str],
    drop: PruneSet,
    first: int,
    kept: Kept | None,
) -> str:
    """The name under which an analysis that was stopped is found again: a hash of all that its values depend on."""
    parts = (
        *(loaded.fingerprint, str(loaded.dtype), windows.fingerprint, *metrics, "|", *levels),
        *(str(drop), str(first), "" if kept is None else repr(kept.places), __version__),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def stream(
    values: Values,
    loaded: LoadedModel,
    anatomy: Anatomy,
    windows: Windows,
    drop: PruneSet,
    first: int,
    count: MassiveCount | None,
    name: str | None,
    progress: Progress,
    *,
    inside: bool,
) -> None:
    """Measure the stream of all windows from layer ``first`` on, one layer after the other.

    Args:
        values: takes the values.
        first: the layer from which on values are measured; those before it are only run.
        count: looks at the states too, or None.
        name: the result of :func:`stream_name`; None if the analysis is not to go on where it was stopped.
        progress: called after each batch with the layers times windows done, and all of them.
        inside: whether the sites between attention and MLP are visited.

    Raises:
        OptionError: if there is no room on disk for the hidden states.
    """
    size = windows_per_batch(loaded.anatomy, windows.input_length, resident=True)
    total = len(windows) * (anatomy.layers - first)
    shape = (len(windows), windows.input_length, loaded.width)
    with Unfinished(name, shape, loaded.dtype) as unfinished:
        # The embedding has the number -1.
        for layer in range(unfinished.go_on(values, count), anatomy.layers):
            split = anatomy.split_layers[max(layer, 0)]
            runs = layer >= 0 and not (layer in drop.attention and layer in drop.mlp)
            with resident(split.layer) if runs else nullcontext():
                for done, token_ids in batches(windows.inputs, size):
                    hidden, calls = anatomy.begin(token_ids.to(loaded.device))
                    values.begin(done, count)
                    if layer >= 0:
                        hidden = unfinished.states_of(done, len(token_ids)).to(loaded.device)
                    if layer < 0 and not first:
                        values.site(token_ids, "embed", hidden)
                    elif 0 <= layer < first:
                        attention, mlp = layer not in drop.attention, layer not in drop.mlp
                        hidden = split.run(hidden, calls[layer], attention=attention, mlp=mlp)
                    elif layer >= first:
                        last = f"layer.{layer - 1}" if layer else "embed"
                        hidden = values.step(
                            token_ids, layer, split, calls[layer], hidden, last=last, inside=inside
                        )
                    unfinished.put(done, hidden)
                    before = max(layer - first, 0) * len(windows)
                    progress(before + (done + len(token_ids)) * (layer >= first), total)
            unfinished.finish(layer, values, count)
