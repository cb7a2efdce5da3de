"""How long a repair takes while a person waits: a refit, one more tick after it, and a bias beside an evaluation."""

from __future__ import annotations

from statistics import median

from benchmarks.timing import Figure, seconds
from entviz.blocks import Block, PruneSet
from entviz.decoder.precision import AUTO
from entviz.decoder.states import StateCache
from entviz.evaluation.loss import evaluate
from entviz.models import LoadedModel
from entviz.repair.choice import RepairChoice
from entviz.repair.fitted import calibration_of
from entviz.repair.fitting import fit
from entviz.repair.kept import Kept
from entviz.text.passages import passages
from entviz.text.windows import Windows, windows_from_text

CHOSEN = "attn.5,attn.6,attn.7,attn.10,attn.11,attn.12,attn.14,attn.24"  # 8 attentions, by EntroDrop (KNN)
LAYERS = (3, 8, 13, 18, 23)
_BOUND = 8.0  # seconds


def repairs(loaded: LoadedModel) -> list[Figure]:
    """The default model with the calibration text of the Prune page, of which the model's own is written already."""
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=4, window_length=128)
    return [
        *_refit(loaded, "attn.15", "attn.15"),
        *_refit(loaded, "8 attentions", CHOSEN),
        _bias(loaded, text),
    ]


def _refit(loaded: LoadedModel, name: str, ticks: str) -> list[Figure]:
    """The first fit, with nothing kept, and one for a prune set with one block more."""
    calibration, kept = _calibration(loaded, "refit"), Kept()

    def fitted(drop: PruneSet) -> float:
        return seconds(lambda: fit(loaded, calibration, drop, "refit", kept=kept, dtype=AUTO))

    drop, bound = PruneSet.parse(ticks), f"the bound of {_BOUND:g} s"
    first, then = fitted(drop), fitted(PruneSet([*drop, Block("attn", 27)]))
    return [
        Figure(f"refit of {name}", first, bound, _BOUND, first / _BOUND, 1),
        Figure("refit after one more tick, attn.27", then, bound, _BOUND, then / _BOUND, 1),
    ]


def _bias(loaded: LoadedModel, text: Windows) -> Figure:
    """Fitting a bias and evaluating with it, beside evaluating without; the median over ticks at several depths."""
    calibration, kept, cache = _calibration(loaded, "bias"), Kept(), StateCache()
    evaluate(loaded, text, PruneSet(), dtype="auto", cache=cache)
    fit(
        loaded, calibration, PruneSet.parse("mlp.29"), "bias", kept=kept, dtype=AUTO
    )  # the dense hidden states

    def repaired(drop: PruneSet) -> None:
        repair = fit(loaded, calibration, drop, "bias", kept=kept, dtype=AUTO)
        evaluate(loaded, text, drop, dtype="auto", repair=repair, cache=cache)

    times = []
    for layer in LAYERS:
        drop = PruneSet([Block("attn", layer)])
        plain = seconds(lambda drop=drop: evaluate(loaded, text, drop, dtype="auto", cache=cache))
        times.append((seconds(lambda drop=drop: repaired(drop)), plain))
    mine, base = (median(column) for column in zip(*times, strict=True))
    ratio = median(mine / base for mine, base in times)
    return Figure("a tick with a bias: fit and evaluation", mine, "the evaluation without", base, ratio, 1.5)


def _calibration(loaded: LoadedModel, method: str) -> list[Windows]:
    texts = tuple(passage.text for name, passage in passages().items() if name not in ("news", "story"))
    return calibration_of(RepairChoice(method, texts), loaded)
