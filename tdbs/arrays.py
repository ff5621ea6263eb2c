"""Names of array types, and ranges. Array names end in their shapes; each file has its legend."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
TokenArray = npt.NDArray[np.int32]


def ragged_positions(firsts: IntArray, sizes: IntArray) -> IntArray:
    """Return first, first + 1, … first + size - 1 of each range, one range after the other."""
    ends = np.cumsum(sizes)
    return np.repeat(firsts - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0)
