"""Numbers that are a pure function of their key: the same on every machine, in any order, in any process."""

import numpy as np

_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def draw(seed: int, *coordinates: "np.ndarray | int") -> np.ndarray:
    """Uniform 64-bit integers, one for each entry of the broadcast coordinates.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014), applied once for each coordinate.
    """
    state = _mix(np.asarray([seed % 2**64], dtype=np.uint64))
    for coordinate in coordinates:
        part = np.atleast_1d(np.asarray(coordinate, dtype=np.int64)).astype(np.uint64)
        # Multiplying breaks the symmetry: equal coordinates must not cancel.
        state = _mix(state * _FIRST + _mix(part))
    return state


def uniform(seed: int, *coordinates: "np.ndarray | int") -> np.ndarray:
    """Float64 numbers in [0, 1), one for each entry of the broadcast coordinates."""
    return np.asarray((draw(seed, *coordinates) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def below(limit: "np.ndarray | int", seed: int, *coordinates: "np.ndarray | int") -> np.ndarray:
    """Integers from 0 to `limit` - 1."""
    return np.asarray(np.floor(uniform(seed, *coordinates) * limit), dtype=np.int64)


def shuffled(n: int, seed: int, *coordinates: int) -> np.ndarray:
    """The numbers 0 to n - 1 in an order that the key decides."""
    return np.argsort(draw(seed, *coordinates, np.arange(n)), kind="stable")


def _mix(state: np.ndarray) -> np.ndarray:
    state = state + _STEP
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.asarray(state ^ (state >> np.uint64(31)))
