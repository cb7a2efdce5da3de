"""Repairs against least squares written out by hand, and against copies of models that were really changed."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from entviz.blocks import Block, PruneSet
from entviz.errors import ModelError, OptionError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.repair.fitting import fit
from entviz.repair.kept import Kept
from entviz.repair.moments import Moments
from entviz.repair.nbl import BlockLinearization
from entviz.repair.refit import Refit
from entviz.repair.registry import METHODS
from entviz.repair.ridge import RIDGES, best_ridge, left
from entviz.text.windows import windows_from_token_ids
from tests.altered import PARTS, losses, read_sites, without
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

FOLDABLE = sorted(set(PARTS) - {"gemma2", "gemma3_text", "olmo2", "mixtral"})
DROP = "mlp.1,attn.2"


def text(windows=12, length=48, seed=1):
    ids = torch.randint(1, VOCABULARY_SIZE, (windows, length), generator=torch.Generator().manual_seed(seed))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


@dataclass(frozen=True)
class PlainRefit(Refit):
    """Without a ridge, so that the answer is that of textbook least squares."""

    ridge = False


def loaded(architecture, **options):
    return LoadedModel.of(build(architecture, **options))


def changed_copy(model, drop, repair):
    """A copy with the blocks really gone and the refitted projections really in it."""
    copy = without(model, drop)
    kept = [
        i
        for i in range(len(model.get_submodule(PARTS[model.config.model_type].layers)))
        if i not in drop.attention & drop.mlp
    ]
    layers = copy.get_submodule(PARTS[model.config.model_type].layers)
    for patch in repair.patches:
        module = layers[kept.index(patch.block.index)].get_submodule(patch.path)
        weight = patch.weight.T if type(module).__name__ == "Conv1D" else patch.weight
        module.weight = torch.nn.Parameter(weight.contiguous())
        if patch.bias is not None:
            module.bias = torch.nn.Parameter(patch.bias)
    return copy


@pytest.mark.parametrize("architecture", FOLDABLE)
@pytest.mark.parametrize("method", ["refit", "refit-all", "replaceme"])
def test_a_repaired_run_is_that_of_a_copy_with_the_new_projections(architecture, method):
    model, drop = loaded(architecture), PruneSet.parse(DROP)
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    repair = fit(model, text(24), drop, method)
    found = evaluate(model, text(seed=2), drop, repair=repair)
    copy = changed_copy(model.model, drop, repair)
    assert found.per_window_nll == pytest.approx(losses(copy, text(seed=2).token_ids).tolist(), abs=1e-4)
    assert all(torch.equal(before[name], weight) for name, weight in model.model.state_dict().items())


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt"])
def test_refit_is_weighted_least_squares(architecture):
    """The last kept block before attn.2 is dropped is mlp.1; all is read off plain copies by hooks."""
    model, drop = loaded(architecture), PruneSet.parse("attn.2")
    windows = text(24)
    repair = fit(model, windows, drop, PlainRefit())
    [patch] = repair.patches
    assert str(patch.block) == "mlp.1"
    read = []
    module = model.model.get_submodule(f"{PARTS[architecture].layers}.1.{PARTS[architecture].mlp_output}")
    hook = module.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    try:
        dense = read_sites(model.model, windows.token_ids)
    finally:
        hook.remove()
    inputs = read[0].reshape(-1, read[0].shape[-1]).double()
    stream, target = (dense[site].flatten(0, 1).double() for site in ("attn.1", "attn.2"))
    root = 1 / target.square().mean(1, keepdim=True).sqrt()
    ones = torch.ones(len(inputs), 1, dtype=torch.float64)
    solution, *_ = np.linalg.lstsq(
        (torch.cat([inputs, ones], 1) * root).numpy(), ((target - stream) * root).numpy(), rcond=None
    )
    left = {}
    for name, weight, bias in (
        ("ours", patch.weight.double().numpy().T, patch.bias.double().numpy()),
        ("numpy", solution[:-1], solution[-1]),
    ):
        errors = (inputs.numpy() @ weight + bias + stream.numpy() - target.numpy()) * root.numpy()
        left[name] = (errors**2).sum()
    assert left["ours"] == pytest.approx(left["numpy"], rel=1e-4)


@pytest.mark.parametrize("architecture", sorted(OPTIONS))
@pytest.mark.parametrize("method", ["bias", "nbl", "ghosted", "prune-comp"])
def test_the_stream_is_nearer_to_the_dense_one_after_the_hole(architecture, method):
    """Of any architecture, on the text that was fitted on: the sites are read with the repair and without it."""
    model, drop = loaded(architecture), PruneSet.parse(DROP)
    windows = text(40)
    repair = fit(model, windows, drop, method)
    dense, plain, repaired = (
        sites_after(model, windows, PruneSet(), None),
        sites_after(model, windows, drop, None),
        sites_after(model, windows, drop, repair),
    )
    if method == "prune-comp":
        assert float((dense.norm(dim=-1) / repaired.norm(dim=-1)).mean()) == pytest.approx(1, abs=1e-4)
    else:
        weights = 1 / dense.square().mean(-1, keepdim=True)
        assert ((repaired - dense) ** 2 * weights).sum() < ((plain - dense) ** 2 * weights).sum()


def sites_after(model, windows, drop, repair):
    """The stream where the hole at attn.2 ends: after it, or after its layer where the MLP reads the same stream."""
    anatomy = model.anatomy if repair is None else repair.on(model.anatomy)
    with torch.inference_mode():
        hidden, calls = anatomy.begin(windows.token_ids)
        for i, step in enumerate(anatomy.split_layers[:3]):
            kept = i not in drop.attention
            if i == 2 and not step.parallel:
                return step.half(hidden, calls[i], "attn", run=kept)
            hidden = step.run(hidden, calls[i], attention=kept, mlp=i not in drop.mlp)
    return hidden


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3_text", "olmo2", "mixtral"])
def test_a_block_whose_output_is_no_linear_map_is_refused_by_refit(architecture):
    with pytest.raises(ModelError, match="Use bias, nbl or ghosted"):
        fit(loaded(architecture), text(), PruneSet.parse("attn.2"), "refit")


def test_a_hole_at_the_start_is_left_and_said():
    model, drop = loaded("llama"), PruneSet.parse("attn.0,attn.2")
    repair = fit(model, text(24), drop, "refit")
    assert [fit.block for fit in repair.fits] == ["mlp.1"]
    assert "attn.0 is dropped with no kept block before it" in repair.notes[0]
    assert len(fit(model, text(24), drop, "bias").patches) == 2


def test_too_few_tokens_for_the_unknowns_is_a_sentence():
    with pytest.raises(OptionError, match=r"unknowns .* use bias"):
        fit(loaded("llama"), text(2, 8), PruneSet.parse("attn.2"), "refit")


def test_a_repair_belongs_to_its_prune_set():
    model = loaded("llama")
    repair = fit(model, text(24), PruneSet.parse("attn.2"), "bias")
    with pytest.raises(OptionError, match=r"fitted for the prune set attn\.2"):
        evaluate(model, text(seed=2), PruneSet.parse("attn.1"), repair=repair)


def test_one_massive_token_does_not_decide_the_fit():
    """A token a thousand times as long as others, in target and features, changes what others are led to little."""
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(400, 6, generator=rng)
    truth = torch.randn(6, 4, generator=rng)
    errors = features @ truth
    features[0], errors[0] = 1000 * features[0], 1000 * torch.randn(4, generator=rng)
    target = errors.square().mean(1)

    def apart(weights):
        found = Moments.of(features, errors, weights, intercept=True).solve(1e-9)[:-1]
        return float((found - truth).abs().max())

    assert apart(1 / target) < 0.25
    assert apart(torch.ones(400)) > 0.4


def test_no_change_is_kept_where_it_is_best():
    """Held-out windows of noise: a fit would carry nothing over, so the ridge is infinite and the stream stays."""
    model = loaded("llama")
    repair = fit(model, text(24), PruneSet.parse("attn.2"), BlockLinearization())
    assert all(0 <= share <= 1.0 for one in repair.fits for share in one.left)
    assert all(one.ridge < math.inf or one.left == (1.0,) for one in repair.fits)


def test_every_method_says_where_it_is_from():
    for method in METHODS.values():
        assert method.title
        assert method.purpose
        assert method.source
    assert Block.parse("attn.2") in PruneSet.parse(DROP)


@pytest.mark.parametrize("method", ["refit", "refit-all", "ghosted", "nbl", "bias"])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_what_is_kept_changes_nothing(architecture, method):
    """A repair is the same whatever was fitted before: fewer blocks, other blocks, or nothing."""
    model, kept = loaded(architecture), Kept(10**8)
    for drop in ("attn.1", "attn.1,mlp.2", "mlp.2", "attn.1,layer.3", "attn.1,mlp.2"):
        with_kept = fit(model, text(24), PruneSet.parse(drop), method, kept=kept)
        alone = fit(model, text(24), PruneSet.parse(drop), method)
        assert [one.digest for one in with_kept.patches] == [one.digest for one in alone.patches]
        assert with_kept.fits == alone.fits


def test_one_more_dropped_block_fits_only_what_it_leaves_behind(monkeypatch):
    model, kept = loaded("llama"), Kept(10**8)
    fit(model, text(24), PruneSet.parse("attn.1"), "refit", kept=kept)
    solved = []
    monkeypatch.setattr(
        Moments, "solve", lambda moments, ridge, real=Moments.solve: solved.append(1) or real(moments, ridge)
    )
    fit(model, text(24), PruneSet.parse("attn.1"), "refit", kept=kept)
    assert not solved
    both = fit(model, text(24), PruneSet.parse("attn.1,attn.3"), "refit", kept=kept)
    assert solved
    assert [str(patch.block) for patch in both.patches] == ["mlp.0", "mlp.2"]


def test_the_ridge_is_that_of_trying_all_of_them():
    """By a formula apart: numpy's least squares with rows for the ridge, and the error of every output."""
    generator = torch.Generator().manual_seed(3)
    truth = torch.randn(30, 100, generator=generator, dtype=torch.float64)
    for noise in (0.1, 3.0, 30.0, 1000.0):

        def drawn(rows, noise=noise):
            features = torch.randn(rows, 30, generator=generator, dtype=torch.float64)
            return features, features @ truth + noise * torch.randn(
                rows, 100, generator=generator, dtype=torch.float64
            )

        (x, y), (u, v) = drawn(60), drawn(40)
        one = Moments.of(x, y, torch.ones(60), False)
        held_out = [Moments.of(u, v, torch.ones(40), False)]
        errors = {}
        for ridge in RIDGES:
            rows = math.sqrt(ridge * one.scale) * np.eye(30)
            found = np.linalg.lstsq(np.vstack([x, rows]), np.vstack([y, np.zeros((30, 100))]), rcond=None)[0]
            errors[ridge] = np.square(u.numpy() @ found - v.numpy()).sum()
        chosen = best_ridge(one, held_out)
        if chosen == math.inf:
            assert min(errors.values()) > 0.9 * float(held_out[0].square)
        else:
            assert errors[chosen] < 1.05 * min(errors.values())
            assert left(one.solve(chosen), held_out)[0] == pytest.approx(
                errors[chosen] / float(held_out[0].square)
            )
