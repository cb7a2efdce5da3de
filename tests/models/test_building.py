"""While a model is being built, other threads compute the same as always."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel, modeling_utils

from entviz.estimators import entropies, estimator
from entviz.models import load
from entviz.models.building import default_type_of_this_thread, one_at_a_time
from tests.models.files import saved
from tests.tiny import OPTIONS, build

IDS = torch.arange(40, dtype=torch.long)[None] % 90 + 3


@contextmanager
def default_type_of_the_process(dtype, model_class_name=None):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("architecture", OPTIONS)
def test_weights_and_buffers_are_those_that_transformers_reads(tmp_path, architecture, dtype):
    saved(tmp_path, architecture)
    with patch.object(modeling_utils, "local_torch_dtype", default_type_of_the_process):
        plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=getattr(torch, dtype))
    with patch.object(torch, "set_default_dtype", side_effect=AssertionError("of the whole process")):
        ours = load(str(tmp_path), dtype=dtype).model
    for kind in ("named_parameters", "named_buffers"):
        expected, found = dict(getattr(plain, kind)()), dict(getattr(ours, kind)())
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].dtype == value.dtype, name
            assert torch.equal(found[name], value), name
    with torch.inference_mode():
        assert torch.equal(ours(IDS).logits, plain.eval()(IDS).logits)


def test_threads_measure_and_run_right_while_another_builds(tmp_path):
    saved(tmp_path)
    # Positions of OPT beyond 256 are not numbers that bfloat16 has; states far from the origin take every path of knn.
    opt, ids = build("opt", max_position_embeddings=512), torch.arange(300)[None] % 90 + 3
    states = torch.randn(3, 40, 64, generator=torch.Generator().manual_seed(0)) + 300

    def measured():
        with torch.inference_mode():
            return [opt(ids).logits, *(estimator(name)(states) for name in entropies())]

    alone, beside = measured(), []
    build_it = LlamaForCausalLM.__init__

    def while_built(self, *args, **kwargs):
        build_it(self, *args, **kwargs)
        assert torch.empty(1).dtype == torch.bfloat16  # of the building thread
        with ThreadPoolExecutor(1) as other:
            beside.append(other.submit(measured).result())

    with patch.object(LlamaForCausalLM, "__init__", while_built):
        assert load(str(tmp_path), dtype="bfloat16").dtype == torch.bfloat16
    assert beside
    for found in beside:
        assert all(torch.equal(*pair) for pair in zip(found, alone, strict=True))


def test_one_model_is_built_at_a_time(tmp_path):
    saved(tmp_path)
    tie_weights, build_it, inside, most = PreTrainedModel.tie_weights, LlamaForCausalLM.__init__, [], []

    def slowly(self, *args, **kwargs):
        inside.append(self)
        threading.Event().wait(0.05)
        most.append(len(inside))
        build_it(self, *args, **kwargs)
        inside.pop()

    def read(dtype):
        with one_at_a_time():
            AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype)

    with patch.object(LlamaForCausalLM, "__init__", slowly), ThreadPoolExecutor(4) as threads:
        list(threads.map(read, [torch.float32, torch.bfloat16] * 3))
    assert most == [1] * 6
    assert PreTrainedModel.tie_weights is tie_weights
    assert torch.get_default_dtype() == torch.float32


def test_types_that_are_named_or_given_stay():
    given = torch.zeros(2, dtype=torch.float32)
    with default_type_of_this_thread(torch.float16):
        assert torch.tensor([1, 2]).dtype == torch.int64
        assert torch.arange(3).dtype == torch.full((2,), 1).dtype == torch.int64
        assert (
            torch.tensor(0.5).dtype
            == torch.full((2,), 0.5).dtype
            == torch.arange(0.0, 1).dtype
            == torch.float16
        )
        assert torch.ones(2).dtype == torch.float16
        assert torch.zeros_like(given).dtype == torch.as_tensor(given).dtype == torch.float32
        assert torch.ones(2, dtype=torch.float64).dtype == torch.float64
    assert torch.ones(2).dtype == torch.float32
    with (
        pytest.raises(ValueError, match="Llama cannot have weights"),
        default_type_of_this_thread(torch.int8, "Llama"),
    ):
        pass
