"""Schedules: functions of a stage's progress, 0 to 1."""

from math import cos, pi

WARM_UP, SETTLING = 0.05, 0.1


def warm_cosine(progress: float) -> float:
    """Rises from 0.04 to 1 in the first twentieth, then falls to 0 along a cosine.

    Source: Loshchilov and Hutter 2016, SGDR, equation 5 (one cycle), behind a linear warm-up.
    """
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return 0.5 * (1 + cos(pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP))))


def settling(progress: float) -> float:
    """1, and linearly to 0 over the last tenth, so that the last weights are not those of one noisy step."""
    return min(1.0, (1 - progress) / SETTLING)
