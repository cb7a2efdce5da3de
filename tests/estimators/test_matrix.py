import math

import pytest
import torch
from hypothesis import given

from entviz.estimators import effective_rank
from entviz.estimators.matrix import MatrixEntropy
from tests.estimators import slow
from tests.estimators.ways import any_states, hidden_states


@given(states=any_states(1))
def test_is_the_definition(states: torch.Tensor) -> None:
    for window, entropy in zip(states.numpy(), MatrixEntropy()(states).tolist(), strict=True):
        assert entropy == pytest.approx(slow.matrix(window), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", [(40, 9), (9, 40)])
def test_lies_between_a_line_and_an_even_spread(shape: tuple[int, int]) -> None:
    even = torch.linalg.qr(torch.randn(40, 9)).Q.reshape(1, 40, 9)
    line = torch.randn(1, *shape)[:, :, :1] * torch.randn(shape[1])
    assert MatrixEntropy()(even).item() == pytest.approx(math.log(9))
    assert MatrixEntropy()(even.mT).item() == pytest.approx(math.log(9))
    assert effective_rank(even).item() == pytest.approx(9, rel=1e-5)
    assert MatrixEntropy()(line).item() == pytest.approx(0, abs=1e-6)


def test_scale_and_rotation_do_not_matter() -> None:
    states = hidden_states(2, 30, 12, 8).double()
    rotation = torch.linalg.qr(torch.randn(12, 12).double()).Q
    torch.testing.assert_close(
        MatrixEntropy()(1e6 * states @ rotation), MatrixEntropy()(states), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(effective_rank(1e-6 * states), effective_rank(states), rtol=1e-5, atol=0)


def test_effective_rank_is_of_singular_values_not_their_squares() -> None:
    states = torch.diag(torch.tensor([3.0, 1.0])).unsqueeze(0)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(states).item() == pytest.approx(math.exp(entropy))
    assert MatrixEntropy()(states).item() == pytest.approx(-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)))


def test_no_states_at_all_have_no_entropy() -> None:
    assert MatrixEntropy()(torch.zeros(2, 5, 3)).tolist() == [0, 0]
