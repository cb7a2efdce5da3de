"""Conclusions from the numbers: the Pareto front, and the verdict in words."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from entviz.comparison.grid.result import QUALITIES, pareto_front
from entviz.comparison.grid.verdict import verdict
from entviz.statistics import cosine_averages

RECORDED = Path(__file__).with_name("two_windows.json")


def test_the_pareto_front_is_what_no_other_row_beats(comparison):
    table = comparison.table()
    for quality, higher in QUALITIES.items():
        if quality.startswith("accuracy"):
            assert not pareto_front(table, quality, "parameters_kept").any()  # no task was scored
            continue
        front = pareto_front(table, quality, "parameters_kept")
        sign = 1 if higher else -1
        for row, on_it in zip(table.itertuples(), front, strict=True):
            beaten = any(
                sign * getattr(other, quality) >= sign * getattr(row, quality)
                and other.parameters_kept <= row.parameters_kept
                and (
                    getattr(other, quality) != getattr(row, quality)
                    or other.parameters_kept != row.parameters_kept
                )
                for other in table.itertuples()
            )
            assert on_it == (not beaten)
        assert front.any()


def told(comparison, nlls):
    """The verdict, had the criteria done as in ``nlls``: name -> loss of each of eight windows."""
    rows = comparison.rows.query("level == 'attn' and budget == '2' and seed == 0").copy()
    rows["window_nll"] = [tuple(nlls[name]) for name in rows["name"]]
    rows["nll_cosines"] = [()] * len(rows)  # sixteen windows need none, and eight do without
    rows["nll"] = [float(np.mean(nlls[name])) for name in rows["name"]]
    rows["perplexity"] = np.exp(rows["nll"])
    rows["drop"] = [f"attn.{place}" for place in range(len(rows))]
    return verdict(replace(comparison, rows=rows.reset_index(drop=True)))


def test_the_verdict_says_when_entropy_does_worse_than_cosine(comparison):
    noise = np.linspace(-0.02, 0.02, 8)
    even = {"last": 5 + noise, "random": 6 + noise}
    entropies = {"entrodrop:knn": 4.5 + noise, "entrodrop:bucket": 4.9 + noise}
    said = told(comparison, {**even, **entropies, "cosine": 4 + noise[::-1]})
    assert said[0].startswith("At 2 attentions dropped: Cosine does better than every entropy. ")
    assert "Perplexity is 54.6 for cosine and 90.02 for EntroDrop (KNN)." in said[0]
    said = told(comparison, {**even, **entropies, "cosine": 4.7 + noise[::-1]})
    assert said[0].startswith("At 2 attentions dropped: Entropy does better than cosine. ")
    said = told(comparison, {**even, **entropies, "cosine": 4.5 + 20 * noise[::-1]})
    assert "Cosine and the best entropy show no clear difference. " in said[0]
    assert "(interval −0.30 to 0.30)" in said[0]
    assert "-" not in said[0]


def test_the_verdict_names_the_best_and_those_no_better_than_random(comparison):
    noise = np.linspace(-0.02, 0.02, 8)
    said = told(
        comparison,
        {
            "entrodrop:knn": 4 + noise,
            "entrodrop:bucket": 6.5 + noise,
            "cosine": 5 + noise[::-1],
            "last": 5.99 + 20 * noise[::-1],
            "random": 6 + noise,
        },
    )
    paragraph, meaning = said
    assert meaning == "Intervals are 95% intervals for more text like the one measured, not for other texts."
    assert "EntroDrop (KNN) is best: perplexity 54.6. Next is Cosine: 148.4." in paragraph
    assert paragraph.endswith(
        "EntroDrop (Bucket) and Last are not clearly better than the random prune set (perplexity 403.4)."
    )


def test_two_windows_decide_by_their_tokens(comparison):
    """Perplexity 107.9 against 224.2 on two windows of 128 tokens is a clear difference.

    The losses were recorded from SmolLM2-135M on the news passage (``entviz compare --windows 4 --window-length 128``)
    without the 12 attentions that each criterion chose.
    """
    recorded = json.loads(RECORDED.read_text())
    averages = {name: cosine_averages(np.array(losses)) for name, losses in recorded.items()}
    rows = comparison.rows.query("level == 'attn' and budget == '2' and name in @recorded").copy()
    assert list(rows["name"]) == list(recorded)
    rows["window_nll"] = [tuple(averages[name][:, 0]) for name in rows["name"]]
    rows["nll_cosines"] = [tuple(averages[name][:, 1:].ravel()) for name in rows["name"]]
    rows["nll"] = [averages[name][:, 0].mean() for name in rows["name"]]
    rows["perplexity"] = np.exp(rows["nll"])
    found = replace(comparison, windows=2, window_length=128, rows=rows.reset_index(drop=True))
    assert verdict(found)[0] == (
        "At 2 attentions dropped: Cosine does better than entropy. Perplexity is 107.9 for cosine and 224.2 for "
        "EntroDrop (KNN). Their losses differ by 0.73 nats a token (interval 0.49 to 0.97). Cosine is best: "
        "perplexity 107.9. Next is EntroDrop (KNN): 224.2."
    )
    # Windows alone, as earlier versions kept them, cannot tell; and the verdict says what its intervals are.
    earlier = verdict(replace(found, rows=found.rows.drop(columns="nll_cosines")))
    assert "Cosine and entropy show no clear difference." in earlier[0]
    assert "(interval −1.54 to 3.01)" in earlier[0]
    assert earlier[-1].startswith("Intervals are 95% intervals over windows.")


def test_an_infinite_loss_is_clearly_worse(comparison):
    noise = np.linspace(-0.02, 0.02, 8)
    nlls = dict.fromkeys(("entrodrop:knn", "entrodrop:bucket", "last", "random"), 5 + noise)
    paragraph, _ = told(comparison, {**nlls, "cosine": np.full(8, np.inf)})
    assert "Entropy does better than cosine." in paragraph
