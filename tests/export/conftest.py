"""Tiny models as entviz loads them, and their losses in plain transformers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

import entviz
from entviz.models import LoadedModel
from entviz.text.windows import windows_from_token_ids
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 5


@pytest.fixture(scope="session")
def tiny() -> Callable[..., LoadedModel]:
    """``tiny("gpt2")`` is a tiny model of five layers, the same object every time."""
    made: dict[str, LoadedModel] = {}

    def get(architecture: str) -> LoadedModel:
        if architecture not in made:
            made[architecture] = LoadedModel.of(build(architecture, layers=LAYERS), name=architecture)
        return made[architecture]

    return get


@pytest.fixture(scope="session")
def windows() -> entviz.Windows:
    """Three windows of 24 token ids, drawn at random and not those that the export checks itself with."""
    ids = torch.randint(VOCABULARY_SIZE, (3, 24), generator=torch.Generator().manual_seed(4))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


def plain_losses(model: Any, windows: entviz.Windows) -> torch.Tensor:
    """Each window's mean loss a token, by the model's own forward pass."""
    ids = windows.token_ids
    with torch.no_grad():
        logits = model(input_ids=ids).logits[:, :-1]
    losses = functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    return losses.reshape(len(ids), -1).mean(dim=1)
