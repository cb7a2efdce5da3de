"""The input of tests/data/parity_estimators.json, from the formula stated there."""

import numpy as np
import torch


def wave(shape: tuple[int, int, int], phase: float) -> np.ndarray:
    i = np.arange(np.prod(shape), dtype=np.float64)
    values = np.sin(12.9898 * i + phase) * np.cos(0.0078233 * i**2 / (1 + i / 1000) + phase)
    return (values + 0.3 * np.sin(0.37 * i)).reshape(shape)


def states_x(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.from_numpy(wave(shape, 0).astype(np.float32))


def states_y(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.from_numpy(
        wave(shape, 0).astype(np.float32) + np.float32(0.5) * wave(shape, 1).astype(np.float32)
    )
