"""The Gram matrix computed in strips equals the plain product, for any number of tokens."""

import pytest
import torch

from entviz.estimators.states import gram, upper_gram
from tests.estimators.ways import hidden_states


@pytest.mark.parametrize("tokens", [1, 2, 31, 63, 64, 100, 257, 300])
def test_gram_is_the_product_of_all_pairs(tokens: int) -> None:
    states = hidden_states(2, tokens, 24, tokens)
    exact = (states.double() @ states.double().mT).float()
    torch.testing.assert_close(gram(states), exact, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(upper_gram(states).triu(), exact.triu(), rtol=1e-5, atol=1e-4)
