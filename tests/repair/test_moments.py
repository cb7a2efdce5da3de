"""Sums against plain least squares on all rows, in whatever parts the rows come."""

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.errors import ModelError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.repair import fitting
from entviz.repair import moments as file
from entviz.repair.fitting import fit
from entviz.repair.moments import Moments, Rows
from entviz.repair.refit import Refit
from entviz.repair.ridge import left
from entviz.repair.sums import Sums
from entviz.text.windows import windows_from_token_ids
from tests.tiny import VOCABULARY_SIZE, build

INPUTS, OUTPUTS = 7, 3
IDS = torch.randint(1, VOCABULARY_SIZE, (30, 48), generator=torch.Generator().manual_seed(1))
WINDOWS = windows_from_token_ids(IDS.tolist(), VOCABULARY_SIZE)


def drawn(rows, seed=0):
    rng = torch.Generator().manual_seed(seed)
    features, errors, weights = (torch.rand(rows, n, generator=rng) for n in (INPUTS, OUTPUTS, 1))
    return features, errors, weights[:, 0]


def by_hand(features, errors, weights, coefficients):
    """The weighted sum of squared errors, with the last row of coefficients for the intercept."""
    found = features.double() @ coefficients[:-1] + coefficients[-1] - errors.double()
    return float((found**2 * weights.double()[:, None]).sum())


@pytest.mark.parametrize("most", [1, 10**6], ids=["sums", "rows"])
def test_the_error_of_any_coefficients_is_that_of_all_rows(monkeypatch, most):
    monkeypatch.setattr(file, "_ROWS", most)
    features, errors, weights = drawn(50)
    coefficients = torch.rand(INPUTS + 1, OUTPUTS, dtype=torch.float64)
    found = Rows.of(features[:20], errors[:20], weights[:20], intercept=True)
    found = found.and_more(Rows.of(features[20:], errors[20:], weights[20:], intercept=True))
    assert isinstance(found, Moments if most == 1 else Rows)
    assert len(found) == 50
    error = by_hand(features, errors, weights, coefficients)
    assert found.error(coefficients) == pytest.approx(error)
    assert found.size - found.gain(coefficients) == pytest.approx(error)
    sketch = torch.linalg.qr(torch.rand(OUTPUTS, 2, dtype=torch.float64)).Q
    assert found.sketched(sketch).gain(coefficients @ sketch) == pytest.approx(
        by_hand(features, errors @ sketch.float(), weights, torch.zeros(INPUTS + 1, 2).double())
        - by_hand(features, errors @ sketch.float(), weights, coefficients @ sketch),
        rel=1e-5,
    )


def test_the_gram_matrix_is_that_of_the_rows():
    features, errors, weights = drawn(50)
    found = Moments.of(features, errors, weights, intercept=False)
    assert torch.allclose(found.gram, (features * weights[:, None]).double().T @ features.double())
    assert torch.allclose(found.copied().gram, found.gram)


@pytest.mark.parametrize("most", [1, 10**6], ids=["sums", "rows"])
@pytest.mark.parametrize("by_kind", [True, False])
def test_everything_is_all_parts_and_what_is_fitted_those_without_a_kind(monkeypatch, most, by_kind):
    monkeypatch.setattr(file, "_ROWS", most)
    sums, parts = Sums(), []
    for number, kind in enumerate((0 if by_kind else None, 1, 0 if by_kind else None, 2, 1)):
        parts.append((kind, drawn(20, number)))
        sums.add(Rows.of(*parts[-1][1], intercept=True), kind)
    fitted = [part for kind, part in parts if kind is None] or [part for _, part in parts]
    for found, of in ((sums.fitted, fitted), (sums.everything(), [part for _, part in parts])):
        plain = Moments.of(*(torch.cat(one) for one in zip(*of, strict=True)), intercept=True)
        assert torch.allclose(found.solve(0.1), plain.solve(0.1))
        assert len(found) == len(plain)
    ones = [Moments.of(*(torch.cat(one) for one in zip(*(p for k, p in parts if k == 1), strict=True)), True)]
    solution = sums.fitted.solve(0.1)
    assert left(solution, sums.kinds)[1 if by_kind else 0] == pytest.approx(left(solution, ones)[0])
    assert sums.finite


def test_rows_of_some_windows():
    features, errors, weights = drawn(12)
    rows = Rows.of(features, errors, weights, intercept=True)
    some = rows.of_windows([0, 2], 3)
    assert torch.equal(some.features, torch.cat([rows.features[:4], rows.features[8:]]))
    assert torch.equal(some.errors, torch.cat([rows.errors[:4], rows.errors[8:]]))


def test_a_number_that_is_not_finite_is_noticed():
    features, errors, weights = drawn(12)
    errors[3, 1] = torch.inf
    sums = Sums()
    sums.add(Rows.of(features, errors, weights, intercept=True), None)
    assert not sums.finite
    assert not Moments.of(features, errors, weights, True).finite


def test_a_fit_in_bfloat16_repairs_as_well_as_one_in_float32():
    model, drop = LoadedModel.of(build("llama")), PruneSet.parse("layer.1")

    def divergence(repair):
        return evaluate(model, WINDOWS, drop, repair=repair).kl

    exact, rounded = (fit(model, WINDOWS, drop, "refit", dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert exact.digest != rounded.digest
    assert divergence(exact) < 0.8 * divergence(None)
    assert divergence(rounded) == pytest.approx(divergence(exact), rel=0.02)


def test_a_fit_in_bfloat16_is_beside_the_weights_as_they_are():
    """And not beside those of the copy that it runs."""

    class Looking(Refit):
        def patch(self, place, matrix, bias, projection):
            seen.append(projection.weight)
            return super().patch(place, matrix, bias, projection)

    seen = []
    model = LoadedModel.of(build("llama"))
    fit(model, WINDOWS, PruneSet.parse("attn.2"), Looking(), dtype="bfloat16")
    assert torch.equal(seen[0], model.model.get_submodule("model.layers.1.mlp.down_proj").weight)


def test_without_room_for_a_copy_a_fit_runs_in_the_models_own_type(monkeypatch):
    model, drop = LoadedModel.of(build("llama")), PruneSet.parse("attn.2")

    def no_room(self, dtype):
        raise ModelError("There is no room for a copy.")

    plain = fit(model, WINDOWS, drop, "refit")
    monkeypatch.setattr(fitting, "resolved", lambda dtype, device: "bfloat16")
    monkeypatch.setattr(LoadedModel, "cast", no_room)
    assert fit(model, WINDOWS, drop, "refit", dtype="auto").digest == plain.digest
    with pytest.raises(ModelError, match="no room"):
        fit(model, WINDOWS, drop, "refit", dtype="bfloat16")
