"""What the pictures of the guides share: colours, quiet axes, and where they are written."""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from urbild.artifacts import write_atomically
from urbild.ops.sheets import Pixels
from urbild.report.figures import ABNORMAL, INK, MUTED, NORMAL, RULE

__all__ = ["ABNORMAL", "FOLDER", "GREEN", "INK", "MUTED", "NORMAL", "RULE", "canvas", "pixels", "save"]

FOLDER = Path(__file__).resolve().parents[1] / "images" / "adversarial"
GREEN = "#00795c"
DOTS = 100  # px an inch


def canvas(columns: int, rows: int = 1, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` px, and its axes row by row."""
    figure = Figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]


def _quiet(axes: Axes) -> None:
    """Leaves out of axes what says nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=8, length=3)
    axes.xaxis.label.set(color=MUTED, size=9)
    axes.yaxis.label.set(color=MUTED, size=9)
    axes.title.set(size=9, color=INK)


def pixels(figure: Figure) -> Pixels:
    """The figure as it looks, with quiet axes."""
    for axes in figure.axes:
        _quiet(axes)
    painted = FigureCanvasAgg(figure)
    painted.draw()
    return np.asarray(painted.buffer_rgba())[..., :3].copy()


def save(path: Path, figure: Figure) -> None:
    """Writes a PNG of few colours, which a drawing is small in."""
    stream = BytesIO()
    Image.fromarray(pixels(figure)).quantize(128).save(stream, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())
