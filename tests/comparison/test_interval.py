"""Intervals against printed tables and a calculation by hand."""

import numpy as np
import pytest

from entviz.comparison.interval import paired_difference, students_t


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),  # from printed tables
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.95, 5, 2.015),
        (0.975, 7, 2.365),
        (0.995, 23, 2.807),
        (0.5, 4, 0),
    ],
)
def test_students_t_is_that_of_the_tables(probability, degrees, value):
    assert students_t(probability, degrees) == pytest.approx(value, abs=2e-3)


def test_a_paired_interval_by_hand():
    found = paired_difference([3.0, 4.0, 5.0, 8.0], [1.0, 3.0, 2.0, 4.0])
    assert found.mean == 2.5
    reach = 3.18245 * np.std([2, 1, 3, 4], ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((2.5 - reach, 2.5 + reach), abs=1e-3)
    assert found.clear
    assert not paired_difference([3.0], [1.0]).clear
