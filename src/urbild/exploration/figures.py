"""Pictures of a latent space: scatters of codes."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

_NAMED = 20  # classes that a legend names


def scatter(
    points: NDArray[np.float64],
    labels: NDArray[np.int64] | None,
    classes: Sequence[str],
    *,
    title: str,
    size: tuple[int, int] = (900, 700),
) -> bytes:
    """Points in the plane, a colour for each class, as PNG bytes.

    Args:
        points: [N, 2].
        labels: [N] of `classes`, -1 unlabelled, or None.
        classes: their names; the first 20 that occur are named in the legend.
        title: above the picture.
        size: width and height in px.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    given = np.full(len(points), -1) if labels is None else labels
    present = sorted({int(label) for label in given})
    colours = colormaps["tab10" if len(present) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    for place, label in enumerate(present):
        rows = given == label
        name = classes[label] if label >= 0 else "unlabelled"
        colour = colours[place % len(colours)] if label >= 0 else "#7a8194"
        shown = name if place < _NAMED else f"_{name}"  # matplotlib leaves out names that begin so
        axes.scatter(points[rows, 0], points[rows, 1], s=12, color=colour, label=shown, linewidths=0, alpha=0.75)
    if labels is not None:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
