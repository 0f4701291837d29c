"""Defects painted into drawn surfaces; each returns its mask."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates


@dataclass(slots=True)
class Surface:
    """A surface before it is photographed.

    Attributes:
        shade: [H, W] brightness, about 0 to 1; painted into in place.
        light: direction (y, x) the light comes from.
        threads: of a weave, the numbers [H, W] of the vertical and of the horizontal thread at each pixel.
        beneath: of a weave, what shows [H, W] where the vertical, and where the horizontal, threads are gone.
    """

    shade: np.ndarray
    light: tuple[float, float]
    threads: tuple[np.ndarray, np.ndarray] | None = None
    beneath: tuple[np.ndarray, np.ndarray] | None = None


Painter: TypeAlias = Callable[[Surface, np.random.Generator], np.ndarray]


def scratch(surface: Surface, rng: np.random.Generator) -> np.ndarray:
    """A curved groove: one flank catches the light, the other lies in shadow; it fades in and out along its length."""
    side = len(surface.shade)
    length = side * rng.uniform(0.35, 0.75)
    angle = rng.uniform(0.2, 0.8) * np.pi * rng.choice([-1, 1])
    steps = np.linspace(-0.5, 0.5, 96)
    bend = rng.normal(0, 0.12)
    centre = rng.uniform(0.32, 0.68, size=2) * side
    along = np.stack([np.sin(angle) * steps, np.cos(angle) * steps])
    aside = np.stack([np.cos(angle) * (steps**2), -np.sin(angle) * (steps**2)])
    path = centre[:, None] + length * (along + bend * 4 * aside)
    wobble = gaussian_filter(rng.normal(0, 1, size=(2, 96)), (0, 6))
    distance, nearest = _nearest(path + 1.5 * wobble, side)
    width = rng.uniform(1.3, 2.3)
    pressure = 1 + gaussian_filter(rng.normal(0, 1, size=96), 4)
    strength = (np.clip(pressure, 0.45, 1.4) * np.minimum(1, (0.5 - np.abs(steps)) / 0.08 + 0.15))[nearest]
    core = np.exp(-((distance / width) ** 2)) * strength
    flank = np.exp(-(((distance - 1.6 * width) / width) ** 2)) * strength
    tone = rng.uniform(0.16, 0.4) * rng.choice([1, 1, -0.8])
    surface.shade += tone * core - 0.35 * tone * flank
    return np.asarray(core > 0.25)


def spot(surface: Surface, rng: np.random.Generator) -> np.ndarray:
    """A stain with a ragged edge that is darker than its inside."""
    side = len(surface.shade)
    radius = side * rng.uniform(0.045, 0.085)
    dy, dx = _offsets(rng, side, margin=0.14)
    stretch, turn = rng.uniform(0.75, 1.3), rng.uniform(0, np.pi)
    a, b = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    ragged = gaussian_filter(rng.normal(0, 1, size=dy.shape), radius / 4)
    field = 1 - np.hypot(a * stretch, b / stretch) / radius + 0.22 * ragged / ragged.std()
    inside = 1 / (1 + np.exp(-9 * field.clip(-3, 3)))
    rim = np.exp(-((field / 0.16) ** 2))
    depth = rng.uniform(0.2, 0.46)
    surface.shade *= 1 - depth * inside * (0.8 + 0.12 * ragged / ragged.std()).clip(0.5, 1) - 0.12 * rim
    return np.asarray(inside > 0.35)


def dent(surface: Surface, rng: np.random.Generator) -> np.ndarray:
    """A shallow hollow: the side turned to the light is bright, the other dark, and the texture is drawn inwards."""
    side = len(surface.shade)
    radius = side * rng.uniform(0.05, 0.085)
    dy, dx = _offsets(rng, side, margin=0.16)
    stretch = rng.uniform(0.8, 1.25)
    r2 = ((dx * stretch) ** 2 + (dy / stretch) ** 2) / radius**2
    hollow = np.exp(-r2)
    y, x = np.mgrid[:side, :side]
    pulled = (y - 0.35 * dy * hollow, x - 0.35 * dx * hollow)
    surface.shade[:] = map_coordinates(surface.shade, pulled, order=1, mode="nearest")
    slope = (dy * surface.light[0] + dx * surface.light[1]) / radius * hollow
    offset = [d + 0.55 * radius * part for d, part in zip((dy, dx), surface.light, strict=True)]
    glint = np.exp(-(offset[0] ** 2 + offset[1] ** 2) / (0.3 * radius) ** 2)
    strength = rng.uniform(0.26, 0.66)
    surface.shade -= strength * slope - 0.2 * strength * glint
    return np.asarray(r2 < 2.0)


def missing_thread(surface: Surface, rng: np.random.Generator) -> np.ndarray:
    """A thread of a weave is gone over a part of its length."""
    assert surface.threads is not None
    assert surface.beneath is not None
    side = len(surface.shade)
    axis = int(rng.integers(2))
    thread = surface.threads[axis]
    gone = int(np.median(thread)) + int(rng.integers(-4, 5))
    other = surface.threads[1 - axis]
    first, last = int(other.min()), int(other.max())
    length = int(rng.integers(round(0.35 * (last - first)), round(0.8 * (last - first))))
    start = int(rng.integers(first + 1, max(first + 2, last - length)))
    mask = (thread == gone) & (other >= start) & (other < start + length)
    surface.shade[mask] = surface.beneath[axis][mask]
    # Its neighbours lose their hold, and throw a shadow into the gap.
    surface.shade -= 0.07 * gaussian_filter(mask.astype(np.float32), side / 90)
    return np.asarray(mask)


def _offsets(rng: np.random.Generator, side: int, *, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance (y, x) of every pixel from a centre that keeps off the border."""
    centre = rng.uniform(margin, 1 - margin, size=2) * side
    y, x = np.mgrid[:side, :side]
    return y - centre[0], x - centre[1]


def _nearest(path: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every pixel from a path [2, P], and the number of the path's nearest point."""
    y, x = np.mgrid[:side, :side]
    squared = (y[..., None] - path[0]) ** 2 + (x[..., None] - path[1]) ** 2  # [H, W, P]
    nearest = squared.argmin(axis=2)
    return np.sqrt(np.take_along_axis(squared, nearest[..., None], axis=2)[..., 0]), nearest
