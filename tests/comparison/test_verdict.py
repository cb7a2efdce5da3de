"""What is made of the numbers: the Pareto front, and the verdict in words."""

from dataclasses import replace

import numpy as np

from entviz.comparison.result import QUALITIES, pareto_front
from entviz.comparison.verdict import verdict


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
    rows["nll"] = [float(np.mean(nlls[name])) for name in rows["name"]]
    rows["perplexity"] = np.exp(rows["nll"])
    rows["drop"] = [f"attn.{place}" for place in range(len(rows))]
    return verdict(replace(comparison, rows=rows.reset_index(drop=True)))


def test_the_verdict_says_when_entropy_does_worse_than_cosine(comparison):
    noise = np.linspace(-0.02, 0.02, 8)
    even = {"last": 5 + noise, "random": 6 + noise}
    entropies = {"entrodrop:knn": 4.5 + noise, "entrodrop:bucket": 4.9 + noise}
    said = told(comparison, {**even, **entropies, "cosine": 4 + noise[::-1]})
    assert said[0].startswith("At 2 attentions dropped, cosine does better than every entropy here")
    assert "perplexity 54.6 against 90.02 (EntroDrop (KNN))" in said[0]
    said = told(comparison, {**even, **entropies, "cosine": 4.7 + noise[::-1]})
    assert said[0].startswith("At 2 attentions dropped, entropy does better than cosine")
    said = told(comparison, {**even, **entropies, "cosine": 4.5 + 20 * noise[::-1]})
    assert "there is no clear difference between cosine and the best entropy" in said[0]


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
    (paragraph,) = said
    assert "EntroDrop (KNN) is best: perplexity 54.6; next is Cosine with 148.4." in paragraph
    assert "Not clearly better than the mean of 1 " not in paragraph
    assert paragraph.endswith(": EntroDrop (Bucket) and Last.")
