import pytest
import torch
from hypothesis import given

from entviz.errors import OptionError
from entviz.estimators import block_importances, cosine_importance
from tests.estimators import slow
from tests.estimators.ways import WAYS, any_states, hidden_states, running_on


@pytest.mark.parametrize("way", WAYS)
@given(before=any_states(1, ("plain", "outlier", "near")))
def test_is_the_definition(way: str, before: torch.Tensor) -> None:
    after = before + hidden_states(*before.shape, seed=9)
    with running_on(way):
        got = cosine_importance(before, after)
    for x, y, importance in zip(before.numpy(), after.numpy(), got.tolist(), strict=True):
        assert importance == pytest.approx(slow.cosine_importance(x, y), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 33, 7), (3, 70, 576)])
def test_a_layer_and_its_blocks_are_measured_as_each_alone(way: str, shape: tuple[int, int, int]) -> None:
    before, middle, after = (hidden_states(*shape, seed=seed) + 1 for seed in range(3))
    with running_on(way):
        got = block_importances(before, middle, after)
        near = {"rtol": 1e-6, "atol": 1e-6}
        torch.testing.assert_close(got["attn"], cosine_importance(before, middle), **near)
        torch.testing.assert_close(got["mlp"], cosine_importance(middle, after), **near)
        torch.testing.assert_close(got["layer"], cosine_importance(before, after), **near)
        assert list(block_importances(before, None, after)) == ["layer"]
        assert torch.equal(block_importances(before, None, after)["layer"], cosine_importance(before, after))


@pytest.mark.parametrize("way", WAYS)
def test_same_opposite_and_no_direction(way: str) -> None:
    states = hidden_states(2, 20, 64, 2)
    with running_on(way):
        assert cosine_importance(states, states).abs().max() < 1e-6
        assert cosine_importance(states, 3 * states).abs().max() < 1e-6
        torch.testing.assert_close(cosine_importance(states, -states), torch.full((2,), 2.0).double())
        assert cosine_importance(states, torch.zeros_like(states)).tolist() == [1, 1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_window_that_is_not_finite_has_no_importance(way: str, bad: float) -> None:
    before, after = hidden_states(3, 40, 30, 1), hidden_states(3, 40, 30, 2)
    with running_on(way):
        clean = cosine_importance(before, after)
        after[1, 17, 23] = bad
        for got in (cosine_importance(before, after), cosine_importance(after, before)):
            assert got.isnan().tolist() == [False, True, False]
            torch.testing.assert_close(got[::2], clean[::2])


def test_states_of_different_shapes_are_refused() -> None:
    with pytest.raises(OptionError, match=r"equal shapes; these have the shapes \(1, 2, 3\) and \(1, 3, 3\)"):
        cosine_importance(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3))
