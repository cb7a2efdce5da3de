"""Rotary positions: the settings in a GGUF file, as config values and as plain numbers.

llama.cpp rotates each pair of dimensions by position × frequency and scales the result: ``rope.freq_base`` and
``rope.dimension_count`` give the frequencies, ``rope.scaling.*`` divides all of them (linear) or some of them (YaRN),
and tensors hold a divisor for each (``rope_freqs.weight`` of Llama 3.1, ``rope_factors_*.weight`` of Phi 3).
transformers' reader uses only the base. :func:`rope_parameters` gives the same settings as config values, and
:func:`check_frequencies` compares the frequencies of the built model with the file's own.

YaRN: Peng et al. 2023, arXiv 2309.00071. LongRoPE: Ding et al. 2024, arXiv 2402.13753.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from entviz.errors import ModelError
from entviz.models.gguf.header import Header

FACTORS: Final = "rope_freqs.weight"
SHORT_FACTORS: Final = "rope_factors_short.weight"
LONG_FACTORS: Final = "rope_factors_long.weight"
TENSORS: Final = (FACTORS, SHORT_FACTORS, LONG_FACTORS)
KEYS: Final = (
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_log_multiplier",
)
_LOCAL_BASE: Final = 10_000.0  # for sliding layers, if a file does not say (llama.cpp, Gemma 3)


@dataclass(frozen=True)
class Turning:
    """The file's settings for rotary positions, in llama.cpp's terms.

    Attributes:
        base, local_base: the base of the frequencies, and the base in layers with sliding attention.
        kind: default, linear, yarn or longrope.
        factor: the divisor of linear and YaRN scaling.
        original: the number of positions before scaling.
        length: the factor of the cosines and sines.
        beta_fast, beta_slow: YaRN's bounds.
        short, long: a divisor for each frequency, or None.
    """

    base: float
    local_base: float
    kind: str
    factor: float
    original: int
    length: float
    beta_fast: float
    beta_slow: float
    short: np.ndarray | None
    long: np.ndarray | None

    @property
    def yarn_length(self) -> float:
        """YaRN's factor of the cosines and sines."""
        return self.length * (1 + 0.1 * math.log(self.factor)) if self.factor > 1 else self.length

    def frequencies(self, count: int, *, local: bool = False) -> np.ndarray:
        """The angle per position of each of ``count`` pairs of dimensions, shape (count,), by llama.cpp's formulas."""
        steps = np.arange(count, dtype=np.float64) / count
        plain = (self.local_base if local else self.base) ** -steps
        if local:
            return plain
        if self.kind == "yarn":
            return self._yarn(plain, count)
        divided = plain / self.factor if self.kind == "linear" else plain
        return divided if self.short is None else divided / self.short

    def _yarn(self, plain: np.ndarray, count: int) -> np.ndarray:
        def place(turns: float) -> float:
            return count * math.log(self.original / (turns * 2 * math.pi)) / math.log(self.base)

        low = max(0.0, math.floor(place(self.beta_fast)))
        high = min(2 * count - 1.0, math.ceil(place(self.beta_slow)))
        ramp = np.clip((np.arange(count) - low) / max(0.001, high - low), 0, 1)
        return plain / self.factor * ramp + plain * (1 - ramp)


def turning(header: Header, factors: Mapping[str, np.ndarray]) -> Turning:
    """Read a file's settings for rotary positions. ``factors`` are the tensors of :data:`TENSORS` that it holds.

    Raises:
        ModelError: if a setting is unknown, or the settings contradict each other.
    """

    def number(key: str, default: float, most: float = 1e12) -> float:
        value = header.value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise _refused(header, key, value)
        return float(value)

    kind = header.value("rope.scaling.type", "linear")
    factor = number("rope.scaling.factor", number("rope.scale_linear", 0.0)) or 1.0
    if kind not in ("none", "linear", "yarn", "longrope"):
        raise _refused(header, "rope.scaling.type", kind)
    if kind == "none" or (kind in ("linear", "yarn") and factor == 1):
        kind, factor = "default", 1.0
    for key, neutral in (("yarn_ext_factor", 1.0), ("yarn_attn_factor", 1.0), ("yarn_log_multiplier", 0.0)):
        if number(f"rope.scaling.{key}", neutral) != neutral:
            raise _refused(header, f"rope.scaling.{key}", header.value(f"rope.scaling.{key}"))
    short = factors.get(SHORT_FACTORS, factors.get(FACTORS))
    long = factors.get(LONG_FACTORS, short)
    for name, values in factors.items():
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ModelError(
                f"{header.path} has values in {name} that are not finite or not above 0. Download it again."
            )
    if (kind == "longrope" and not factors) or (kind == "yarn" and factors):
        raise ModelError(
            f"{header.path} has the rope.scaling.type {kind!r} and {'the tensor' if factors else 'no tensor'} "
            f"{next(iter(factors), SHORT_FACTORS)}, which contradict each other. Use the model's safetensors."
        )
    base = number("rope.freq_base", 10_000.0) or 10_000.0
    context = int(number("context_length", 0))
    return Turning(
        base=base,
        local_base=number("rope.freq_base_swa", _LOCAL_BASE),
        kind=kind,
        factor=factor,
        original=int(number("rope.scaling.original_context_length", 0)) or context,
        length=number("rope.scaling.attn_factor", 1.0),
        beta_fast=number("rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=number("rope.scaling.yarn_beta_slow", 1.0),
        short=short,
        long=long,
    )


def rope_parameters(said: Turning, header: Header, config: Any) -> dict[str, Any] | None:
    """The config values for these settings, or None if the architecture has no rotary positions.

    Raises:
        ModelError: if the architecture has no rotary positions but the file has settings for them.
    """
    known = getattr(config, "rope_parameters", None)
    if not known:
        if said.kind != "default" or said.short is not None:
            raise _refused(header, "rope.scaling.type", said.kind)
        return None
    nested = config.nested_rope_parameter_keys(known)
    if not set(nested) <= {"full_attention", "sliding_attention"}:
        raise ModelError(
            f"{header.path} has the architecture {header.architecture}, whose rotary positions are of kinds that "
            f"entviz cannot check ({', '.join(nested)}). Use the model's safetensors."
        )
    whole = _scaled(said, header, config)
    if not nested:
        return whole
    local = {"rope_type": "default", "rope_theta": said.local_base}
    return {name: whole if name == "full_attention" else local for name in known}


def _scaled(said: Turning, header: Header, config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"rope_type": "default", "rope_theta": said.base}
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dimensions = header.value("rope.dimension_count", head)
    if not isinstance(dimensions, int) or dimensions < 2 or dimensions % 2 or dimensions > head:
        raise _refused(header, "rope.dimension_count", dimensions)
    if dimensions != head or getattr(config, "partial_rotary_factor", None) is not None:
        found["partial_rotary_factor"] = dimensions / head
    elif "partial_rotary_factor" in (getattr(config, "rope_parameters", None) or {}):
        found["partial_rotary_factor"] = 1.0
    original = said.original or config.max_position_embeddings
    if said.kind == "yarn":
        return found | {
            "rope_type": "yarn",
            "factor": said.factor,
            "original_max_position_embeddings": original,
            "beta_fast": said.beta_fast,
            "beta_slow": said.beta_slow,
            "attention_factor": said.yarn_length,
        }
    if said.short is None and said.length == 1:
        return found | ({"rope_type": "linear", "factor": said.factor} if said.kind == "linear" else {})
    short = np.ones(dimensions // 2) if said.short is None else said.short.astype(np.float64)
    long = short if said.long is None else said.long.astype(np.float64)
    if short.shape != (dimensions // 2,) or long.shape != short.shape:
        raise ModelError(
            f"{header.path} has {short.size} divisors of rotary frequencies ({FACTORS} or {SHORT_FACTORS}), but its "
            f"{dimensions} rotary dimensions need {dimensions // 2}. Convert the model again."
        )
    if said.kind == "default" and said.length == 1 and np.array_equal(short, long):
        known = _as_llama3(short, said.base, dimensions)
        if known is not None:
            return found | known
    if said.kind == "linear":
        short, long = short * said.factor, long * said.factor
    # The general form: any divisor for each frequency.
    return found | {
        "rope_type": "longrope",
        "short_factor": short.tolist(),
        "long_factor": long.tolist(),
        "factor": max(1.0, config.max_position_embeddings / original),
        "original_max_position_embeddings": original,
        "attention_factor": said.length,
    }


def _as_llama3(factors: np.ndarray, base: float, dimensions: int) -> dict[str, Any] | None:
    """The parameters of Llama 3.1's scaling that give these divisors, or None if there are none.

    Between its two bounds, 1/divisor is a linear function of the unscaled frequency. Two points give the line, and with
    the usual distance of 3 between the bounds the parameters follow.
    """
    plain = base ** (-np.arange(0, dimensions, 2) / dimensions)
    factor = float(factors.max())
    between = (factors > 1.0001) & (factors < factor * 0.9999)
    if factor <= 1 or between.sum() < 2:
        return None
    mixed = (1 / factors - 1 / factor) / (1 - 1 / factor)
    slope, start = np.polyfit(plain[between], mixed[between], 1)
    low, original = float(-start * 3), float(slope * 3 * 2 * math.pi)
    if abs(low - round(low)) < 1e-3 and abs(original - round(original)) < 1e-3 * original:
        low, original = round(low), round(original)
    if low <= 0 or original < 1:
        return None
    high = low + 3
    mix = np.clip((original * plain / (2 * math.pi) - low) / (high - low), 0, 1)
    if not np.allclose(1 / ((1 - mix) / factor + mix), factors, rtol=1e-5):
        return None
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": float(low),
        "high_freq_factor": float(high),
        "original_max_position_embeddings": int(original),
    }


def check_frequencies(said: Turning, header: Header, model: Any) -> None:
    """Compare the rotary frequencies of a built model with the file's own.

    Raises:
        ModelError: if they differ; the message names the key.
    """
    dimensions = header.value("rope.dimension_count")
    for name, buffer in model.named_buffers():
        place, _, last = name.rpartition(".")
        if not last.endswith("inv_freq") or "original" in last:
            continue
        kind = last.removesuffix("inv_freq")
        local = kind == "sliding_attention_"
        found = buffer.detach().double().cpu().numpy()
        length = float(getattr(model.get_submodule(place), f"{kind}attention_scaling", 1.0))
        wanted_length = 1.0 if local else said.yarn_length if said.kind == "yarn" else said.length
        right_count = local or dimensions is None or 2 * found.size == dimensions
        right = right_count and np.allclose(
            found, said.frequencies(found.size, local=local), rtol=1e-4, atol=0
        )
        if not right or not math.isclose(length, wanted_length, rel_tol=1e-4):
            raise ModelError(
                f"{header.path} has rotary positions that transformers' {header.architecture} does not support "
                f"({', '.join(key for key in KEYS if header.value(key) is not None) or 'rope'}"
                f"{''.join(f', {tensor}' for tensor in TENSORS if tensor in header.tensors)}). "
                "Use the model's safetensors."
            )


def _refused(header: Header, key: str, value: Any) -> ModelError:
    return ModelError(
        f"{header.path} says {header.architecture}.{key} = {str(value)[:40]}, which transformers does not "
        "support. Use the model's safetensors."
    )
