"""Curves across depth: the authors' figures, and properties that an analysis of any model must have."""

import pytest

from entviz.analysis import analyze
from entviz.blocks import all_blocks, site_names
from tests.parity import FIGURES, measured_windows

AUTHORS_NAMES = {"bucket": "bucket_b20", "knn": "knn_k25", "renyi": "renyi_a4"}


@pytest.fixture(scope="module")
def measured(smollm2):
    """The default model on the windows of the authors' figures."""
    return analyze(smollm2, measured_windows())


@pytest.mark.parametrize("metric", AUTHORS_NAMES)
def test_entropy_of_the_default_model_is_the_authors_at_every_site(measured, metric):
    curve = measured.sites[measured.sites["metric"] == metric].set_index("site")["per_window"]
    assert list(curve.index) == site_names(30)
    assert set(curve.index) == set(FIGURES["entropy_by_site"])
    for site, values in curve.items():
        assert values == pytest.approx(FIGURES["entropy_by_site"][site][AUTHORS_NAMES[metric]], rel=1e-3), (
            site
        )


def test_cosine_importance_of_the_default_model_is_the_authors_for_every_block(measured):
    figures = FIGURES["cosine_importance_by_block"]
    found = measured.blocks[measured.blocks["metric"] == "cosine"].set_index("block")["per_window"]
    assert set(found.index) == set(figures) == {str(block) for block in all_blocks(30)}
    for block, values in found.items():
        assert values == pytest.approx(figures[block], rel=1e-3), block
