"""Every call of transformers that reads a model's files. Nothing that came with a model is run, here or anywhere.

    config = config_from(values)                                    # from a config.json, without keys that name code
    model, info = read_model(directory, weights, values, dtype)
    tokenizer = read_tokenizer(directory, values)
    model, info = read_gguf_model(path, torch.float32, values)

No other module may call ``from_pretrained``, ``from_config``, ``AutoConfig`` and the like; a test looks for such calls.
transformers gets a separate directory (:mod:`entviz.models.clean_directory`), so that it never sees an unchecked file:
program code, an adapter, a pickle, another checkpoint, a pipe.
"""

import copy
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from entviz.decoder.offloading import keep_real_paths
from entviz.models.building import one_at_a_time
from entviz.models.clean_directory import clean_directory, point_back
from entviz.progress import Progress, silent

# If the package ``kernels`` is installed, transformers would download compiled code from the hub for some models.
# It reads this setting when it is imported.
os.environ["USE_HUB_KERNELS"] = "NO"

ATTENTIONS = ("sdpa", "eager")

# Keys of a config, at any depth, that name code or other files, or change what is returned and not the computation.
_NOT_THE_FUNCTION = frozenset(
    {
        "_attn_implementation",
        "_attn_implementation_internal",
        "_experts_implementation",
        "_experts_implementation_internal",
        "_name_or_path",
        "attn_implementation",
        "auto_map",
        "custom_generate",
        "custom_pipelines",
        "distributed_config",
        "experts_implementation",
        "fusion_config",
        "kernel_config",
        "name_or_path",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torchscript",
        "transformers_weights",
        "trust_remote_code",
        "use_kernels",
    }
)
_SAFE = {"trust_remote_code": False, "local_files_only": True}
_SAFE_WEIGHTS = {**_SAFE, "use_safetensors": True, "weights_only": True, "output_loading_info": True}


def without_code(values: Any) -> Any:
    """Return a config's values without the keys, at any depth, that name code or files or change what is returned."""
    if isinstance(values, Mapping):
        return {key: without_code(value) for key, value in values.items() if key not in _NOT_THE_FUNCTION}
    if isinstance(values, list):
        return [without_code(value) for value in values]
    return values


def config_from(values: Mapping[str, Any]) -> Any:
    """Return the transformers config that the content of a ``config.json`` describes, its code left out.

    Raises:
        KeyError: if transformers does not know its ``model_type``.
        Exception: of many kinds, if the config does not accept a value.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = CONFIG_MAPPING[values["model_type"]].from_dict(without_code(values))
    return _with_own_attention(config)


def read_model(
    directory: Path,
    weights: Sequence[str],
    values: Mapping[str, Any],
    dtype: torch.dtype,
    device_map: Any = None,
    progress: Progress = silent,
    folder: Path | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Read a causal language model from safetensors.

    Args:
        directory: the directory of the files.
        weights: names of the weight files there, and of their index if they have one.
        values: content of the ``config.json``.
        dtype: type of the loaded weights.
        device_map: a device map of transformers; None means the processor.
        progress: called while another model is built; it can raise ``Cancelled``.
        folder: a directory for weights that stay on disk and are not in the files as they are used.

    Returns:
        The model, and transformers' report of missing weights and weights left over.

    Raises:
        Exception: of many kinds, if the files do not fit together.
    """
    from transformers import AutoModelForCausalLM

    written = {"config.json": without_code(values)}
    with clean_directory(directory, weights, written) as clean, one_at_a_time(progress):
        model, info = AutoModelForCausalLM.from_pretrained(
            clean,
            config=config_from(values),
            dtype=dtype,
            device_map=device_map,
            offload_folder=folder,
            **_SAFE_WEIGHTS,
        )
        keep_real_paths(model)
    return _checked(model, directory), info


def skeleton(config: Any, progress: Progress = silent) -> Any:
    """Build a causal language model without memory for its weights (on torch's device ``meta``).

    ``progress`` is called while another model is built, and may raise ``Cancelled``.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), one_at_a_time(progress):
        return AutoModelForCausalLM.from_config(_with_own_attention(config), trust_remote_code=False)


def dry_run(
    config: Any, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, progress: Progress = silent
) -> tuple[Any, dict[str, Any]]:
    """Load tensors on torch's device ``meta``, which have no content, into a causal language model there.

    Only the modules use memory, however large the model is. ``progress`` is called while another model is built, and
    can raise ``Cancelled``.

    Returns:
        The model, and transformers' report of weights that were missing, left over or of another shape.

    Raises:
        Exception: of many kinds, if a model of this config cannot be built.
    """
    from transformers.models.auto.auto_factory import _get_model_class
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = _with_own_attention(copy.deepcopy(config))
    model_class = _get_model_class(config, MODEL_FOR_CAUSAL_LM_MAPPING)
    text_class = config.sub_configs.get("text_config")
    if text_class is not None and model_class.config_class is text_class:
        config = config.get_text_config()
    # Missing weights are not initialised: that would compute on the processor, as much as the config asks for.
    names = {
        "__module__": model_class.__module__,
        "_initialize_missing_keys": lambda self, is_quantized: None,
    }
    uninitialized: Any = type(model_class.__name__, (model_class,), names)
    with one_at_a_time(progress):
        model, info = uninitialized.from_pretrained(
            None,
            config=config,
            state_dict=dict(tensors),
            dtype=dtype,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            **_SAFE_WEIGHTS,
        )
    return model, info


def read_tokenizer(directory: Path, values: Mapping[str, Any]) -> Any:
    """Read the tokenizer in a model's directory.

    Args:
        directory: the directory of the files.
        values: content of the ``config.json``, which may name the kind of tokenizer.

    Raises:
        Exception: of many kinds, if the files are damaged or of a kind that is not installed.
    """
    from transformers import AutoTokenizer

    with clean_directory(directory, (), {"config.json": without_code(values)}) as clean:
        tokenizer = AutoTokenizer.from_pretrained(clean, config=config_from(values), **_SAFE)
        return point_back(tokenizer, clean, directory)


def gguf_config_values(path: Path) -> dict[str, Any]:
    """Return transformers' reading of a GGUF file's metadata, as the content of a ``config.json``."""
    from transformers import PreTrainedConfig

    with tempfile.TemporaryDirectory(prefix="entviz-") as empty:
        values, _ = PreTrainedConfig.get_config_dict(
            empty, gguf_file=str(path.absolute()), local_files_only=True
        )
    return dict(without_code(values))


def read_gguf_model(
    path: Path, dtype: torch.dtype, values: Mapping[str, Any], progress: Progress = silent
) -> tuple[Any, dict[str, Any]]:
    """Read a causal language model from a GGUF file, de-quantized; the result is the same as for :func:`read_model`.

    ``values`` are the content of a ``config.json`` for it. Files beside it are not read. ``progress`` is called while
    another model is built, and can raise ``Cancelled``.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    with tempfile.TemporaryDirectory(prefix="entviz-") as empty, one_at_a_time(progress):
        model, info = AutoModelForCausalLM.from_pretrained(
            empty,
            # An absolute path, because otherwise a file of the same name in the working directory would be read.
            gguf_file=str(path.absolute()),
            config=config_from(values),
            dtype=dtype,
            # Without this, weights stay packed if a kernel for packed weights is installed.
            quantization_config=GgufConfig(dequantize=True),
            **_SAFE_WEIGHTS,
        )
    return _checked(model, path), info


def read_gguf_tokenizer(path: Path) -> Any:
    """Read the tokenizer inside a GGUF file; files beside it are not read."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory(prefix="entviz-") as empty:
        tokenizer = AutoTokenizer.from_pretrained(empty, gguf_file=str(path.absolute()), **_SAFE)
        return point_back(tokenizer, Path(empty), path.parent)


def _with_own_attention(config: Any) -> Any:
    """The same config with the attention that transformers chooses itself: torch's own or the plain one."""
    config._attn_implementation = None
    config._experts_implementation = None
    return config


def _checked(model: Any, source: Path) -> Any:
    """The model under the name of its own files; refused unless its attention is code of transformers or torch."""
    attention = model.config._attn_implementation
    if attention not in ATTENTIONS:
        raise ValueError(f"its attention is {attention!r}, not one of {', '.join(ATTENTIONS)}")
    model.config.name_or_path = model.name_or_path = str(source)
    return model
