"""The config and tensors of a saved model agree, for every architecture."""

import pytest
import torch
from transformers import logging
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.auto_factory import _get_model_class
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from entviz.models.checks import check_directory
from entviz.models.fitting import check_fit
from entviz.models.headers import TYPES, Tensor
from tests.models.files import saved
from tests.tiny import OPTIONS

DECODERS = sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(MODEL_FOR_MASKED_LM_MAPPING_NAMES))
NAMES = {dtype: name for name, dtype in TYPES.items()}
FEW = {"num_hidden_layers": 4, "n_layer": 4, "num_layers": 4, "n_layers": 4}


def header(model) -> dict[str, Tensor]:
    """What the header of the model's file would say: its tensors under the names that they are saved by."""
    written = revert_weight_conversion(model, dict(model.state_dict()))
    return {
        name: Tensor(dtype=NAMES[value.dtype], shape=list(value.shape), data_offsets=[0, 0])
        for name, value in written.items()
    }


@pytest.mark.parametrize("architecture", sorted(OPTIONS))
def test_saved_models_fit(tmp_path, architecture):
    model = saved(tmp_path, architecture, with_tokenizer=False)
    plan = check_directory(tmp_path, "model").plan
    assert plan.parameters == sum(weight.numel() for weight in model.parameters())
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    experts = sum(
        size for name, size in sizes.items() if name.endswith(("gate_up_proj", "experts.down_proj"))
    )
    assert plan.twice == max(experts, *sizes.values())
    assert not plan.left_out


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", DECODERS)
def test_every_decoder_of_transformers_fits_itself(kind):
    logging.set_verbosity(logging.CRITICAL)
    try:
        config = CONFIG_MAPPING[kind]()
        model_class = _get_model_class(config, MODEL_FOR_CAUSAL_LM_MAPPING)
        built = config if model_class.config_class is type(config) else config.get_text_config()
        with torch.device("meta"):
            model = model_class(built)
    except Exception as error:  # noqa: BLE001  code of any architecture
        pytest.skip(f"transformers builds none of its default config: {error}")
    check_fit(config, header(model), kind)
