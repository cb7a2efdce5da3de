"""e^x in operations that all have vector instructions, for kernels to call in their loops."""

from __future__ import annotations

import numpy as np
from numba import njit

from entviz.kernels.compiling import float32_of_bits


@njit(error_model="numpy", fastmath={"nsz", "contract"})
def exp(x: np.float32) -> np.float32:
    """e^x to float32's precision for -87 <= x <= 88, in operations that all have vector instructions."""
    power = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    x = x - power * np.float32(0.693359375)  # log 2 in two parts, the first of few digits
    x = x - power * np.float32(-2.12194440e-4)
    y = np.float32(1.9875691500e-4)  # the coefficients of Cephes' expf
    y = y * x + np.float32(1.3981999507e-3)
    y = y * x + np.float32(8.3334519073e-3)
    y = y * x + np.float32(4.1665795894e-2)
    y = y * x + np.float32(1.6666665459e-1)
    y = y * x + np.float32(5.0000001201e-1)
    y = y * x * x + x + np.float32(1)
    return y * float32_of_bits((np.int32(power) + np.int32(127)) << np.int32(23))
