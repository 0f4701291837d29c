"""The known data set `surfaces`: drawn images of brushed, woven and grainy surfaces, with defects and their masks.

Every image is a pure function of the seed and its number. The textures are mixed, as in a plant that makes three
products. Light, exposure, contrast and the phase of the texture vary from image to image more than a defect changes
them, so that neither mean brightness nor local contrast finds the defects; what finds them is knowing what the surface
looks like.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from scipy.fft import irfft2
from scipy.ndimage import gaussian_filter

from urbild.data.defects import Painter, Surface, dent, missing_thread, scratch, spot

SIDE = 192
TRAIN_GOOD, TEST_GOOD, TEST_EACH = 200, 40, 15
CLASSES = ("dent", "good", "missing_thread", "scratch", "spot")

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Drawn:
    """One image of a surface.

    Attributes:
        image: uint8 [H, W].
        mask: bool [H, W], where the defect is.
        kind: class of the defect, or "good".
        texture: which of the three it shows.
    """

    image: np.ndarray
    mask: np.ndarray
    kind: str
    texture: str


def draw_surface(kind: str, number: int, *, seed: int = 0, side: int = SIDE) -> Drawn:
    """Draws the surface `number` of a class; a pure function of its arguments."""
    rng = np.random.default_rng([seed, CLASSES.index(kind), number])
    textures = [name for name, defects in DEFECTS.items() if kind == "good" or kind in defects]
    texture = textures[number % len(textures)]
    surface = TEXTURES[texture](rng, side)
    paint = None if kind == "good" else DEFECTS[texture][kind]
    mask = np.zeros((side, side), dtype=bool) if paint is None else paint(surface, rng)
    return Drawn(_photograph(surface.shade, rng), mask, kind, texture)


@lru_cache(maxsize=2)
def draw_all(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Images [N, H, W], masks [N, H, W], classes [N] and ids [N] of the whole data set, the training part first."""
    plan = [("train", "good", number) for number in range(TRAIN_GOOD)]
    plan += [("test", "good", TRAIN_GOOD + number) for number in range(TEST_GOOD)]
    plan += [("test", kind, number) for kind in CLASSES if kind != "good" for number in range(TEST_EACH)]
    drawn = [draw_surface(kind, number, seed=seed) for _, kind, number in plan]
    images, masks = (np.stack(arrays) for arrays in zip(*((d.image, d.mask) for d in drawn), strict=True))
    ids = tuple(f"{part}/{kind}/{number:03d}" for part, kind, number in plan)
    return images, masks, tuple(kind for _, kind, _ in plan), ids


def _brushed(rng: Generator, side: int) -> Surface:
    """Steel brushed along x: long streaks, and a highlight across them."""
    fy, fx = _frequencies(side)
    angle = rng.normal(0, 0.015)
    along, across = fx + angle * fy, fy - angle * fx
    fine = _noise(rng, (1 + (along / 0.004) ** 2) ** -0.8 * (1 + (across / 0.25) ** 2) ** -0.6)
    broad = _noise(rng, (1 + (along / 0.002) ** 2) ** -0.8 * np.exp(-((across / 0.04) ** 2)))
    shade = 0.56 + rng.uniform(0.026, 0.05) * fine + rng.uniform(0.008, 0.02) * broad
    y, x = _grid(side)
    band = np.exp(-(((x - rng.uniform(-0.6, 0.6) + rng.normal(0, 0.1) * y) / rng.uniform(0.35, 0.7)) ** 2))
    return Surface(shade * (0.85 + 0.3 * band), _light(rng))


def _grainy(rng: Generator, side: int) -> Surface:
    """A cast or sand-blasted surface: fine bumps lit from one side."""
    fy, fx = _frequencies(side)
    radius = np.hypot(fx, fy)
    grain = rng.uniform(0.11, 0.16)
    light = _light(rng)
    # The light sees slopes: a factor of frequency along its direction.
    slope = 2j * np.pi * (fx * light[1] + fy * light[0])
    bumps = _noise(rng, slope * np.exp(-((radius / grain) ** 2)))
    mottle = _noise(rng, np.exp(-((radius / 0.03) ** 2)))
    pits = np.minimum(0, bumps + 1.2)
    shade = 0.5 + rng.uniform(0.035, 0.06) * bumps + 0.03 * pits + rng.uniform(0.006, 0.014) * mottle
    return Surface(shade, light)


def _woven(rng: Generator, side: int) -> Surface:
    """A plain weave: vertical and horizontal threads pass over each other in turn."""
    fy, fx = _frequencies(side)
    soft = np.exp(-((np.hypot(fx, fy) / 0.015) ** 2))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    pitch = side / 15
    u = (x + 0.35 * _noise(rng, soft)) / (pitch * rng.uniform(0.98, 1.02)) + rng.uniform(0, 1)
    v = (y + 0.35 * _noise(rng, soft)) / (pitch * rng.uniform(0.98, 1.02)) + rng.uniform(0, 1)
    threads = (np.floor(u).astype(np.int64), np.floor(v).astype(np.int64))
    tones = [1 + rng.normal(0, 0.035, size=int(index.max()) + 2) for index in threads]
    across, along = u - threads[0] - 0.5, v - threads[1] - 0.5
    upright = _thread(across, along, tones[0][threads[0]])
    lying = _thread(along, across, tones[1][threads[1]])
    above = (threads[0] + threads[1]) % 2 == 0
    fuzz = _noise(rng, np.exp(-(((np.hypot(fx, fy) - 0.28) / 0.1) ** 2)))
    contrast = rng.uniform(0.5, 0.75)
    weave = np.where(above, upright, lying)
    shade = 0.56 + contrast * (weave - 0.72) + rng.uniform(0.014, 0.026) * fuzz
    loose = [
        np.where(above, _loose(along, tones[1][threads[1]]), lying),
        np.where(above, upright, _loose(across, tones[0][threads[0]])),
    ]
    beneath = [0.56 + contrast * (layer - 0.72) + 0.02 * fuzz for layer in loose]
    return Surface(shade, _light(rng), threads=threads, beneath=(beneath[0], beneath[1]))


def _thread(across: np.ndarray, along: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Brightness of a round thread, twisted of fibres, that dives at both ends of a cell."""
    roundness = np.sqrt(np.maximum(0, 1 - (across / 0.52) ** 2))
    fibres = 1 + 0.07 * np.cos(2 * np.pi * (2.6 * across + 0.5 * along))
    return np.asarray(tone * fibres * (0.4 + 0.6 * roundness) * (0.55 + 0.45 * np.cos(np.pi * along)))


def _loose(across: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """A thread that lies free because the one over it is gone: thin, and dark between it and the next."""
    roundness = np.sqrt(np.maximum(0, 1 - (across / 0.36) ** 2))
    return np.asarray(tone * (0.2 + 0.58 * roundness))


def _photograph(shade: np.ndarray, rng: Generator) -> np.ndarray:
    """Uneven light, exposure, the blur of a lens and the noise of a camera; uint8 [H, W]."""
    side = len(shade)
    y, x = _grid(side)
    tilt_y, tilt_x = rng.normal(0, 0.1, size=2)
    glow = np.exp(-((x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2) / 0.8)
    light = 1 + tilt_x * x + tilt_y * y - rng.uniform(0, 0.14) * (x * x + y * y) + rng.uniform(-0.12, 0.16) * glow
    exposed = gaussian_filter(shade, 0.55) * light * rng.uniform(0.64, 1.18)
    exposed += rng.normal(0, 0.009, size=shade.shape)
    return np.asarray(np.rint(255 * exposed.clip(0, 1)), dtype=np.uint8)


def _light(rng: Generator) -> tuple[float, float]:
    """Direction (y, x) the light comes from: the upper left, more or less."""
    angle = rng.normal(0.75 * np.pi, 0.3)
    return -float(np.sin(angle)), float(np.cos(angle))


@lru_cache(maxsize=4)
def _frequencies(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles per pixel along y [H, 1] and x [1, W // 2 + 1]."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    return fy.astype(np.float32), fx.astype(np.float32)


@lru_cache(maxsize=4)
def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates y and x of the pixels, from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return y.astype(np.float32), x.astype(np.float32)


def _noise(rng: Generator, gain: np.ndarray) -> np.ndarray:
    """Gaussian noise [H, W] of unit variance whose spectrum has the amplitudes `gain` [H, W // 2 + 1]."""
    parts = rng.standard_normal((2, *gain.shape), dtype=np.float32)
    values = irfft2((parts[0] + 1j * parts[1]) * gain, s=(len(gain), len(gain)))
    return np.asarray((values - values.mean()) / values.std())


TEXTURES: Mapping[str, Callable[[Generator, int], Surface]] = MappingProxyType(
    {"brushed": _brushed, "grainy": _grainy, "woven": _woven}
)
DEFECTS: Mapping[str, Mapping[str, Painter]] = MappingProxyType(
    {
        "brushed": {"scratch": scratch, "spot": spot, "dent": dent},
        "grainy": {"scratch": scratch, "spot": spot, "dent": dent},
        "woven": {"missing_thread": missing_thread, "spot": spot},
    }
)
