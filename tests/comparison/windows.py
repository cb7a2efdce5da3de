"""Windows of random tokens for the tiny models."""

import torch

from entviz.text.windows import windows_from_token_ids
from tests.tiny import VOCABULARY_SIZE


def random_windows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY_SIZE, (count, 40), generator=generator)
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)
