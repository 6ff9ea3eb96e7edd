"""matplotlib figures of arrays, for TensorBoard, the model card and the notebook; pyplot's state stays untouched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor


def class_colours(count: int) -> list[tuple[float, float, float, float]]:
    """A colour for each class: matplotlib's ten, or evenly spaced hues if there are more classes."""
    if count <= 10:
        return [colormaps["tab10"](index) for index in range(count)]
    return [colormaps["hsv"](index / count) for index in range(count)]


def image_grid(images: Tensor, columns: int, size: float = 0.8) -> Figure:
    """Images (N, C, H, W) in [0, 1], row by row: three channels in colour, else the first one in grey."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(columns * size, rows * size), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image in zip(axes.flat, images, strict=False):
        pixels = image.permute(1, 2, 0) if len(image) == 3 else image[0]
        axis.imshow(pixels.detach().cpu().numpy(), cmap="gray", vmin=0, vmax=1)
    return figure


def reconstructions(x: Tensor, x_hat: Tensor) -> Figure:
    """Originals (N, C, H, W) above their reconstructions."""
    figure = image_grid(list(x) + list(x_hat), columns=len(x))  # type: ignore[arg-type]
    figure.axes[0].set_title("x", loc="left", fontsize=8)
    figure.axes[len(x)].set_title("reconstruction", loc="left", fontsize=8)
    return figure


def latent_scatter(
    points: Tensor | NDArray[np.floating],
    labels: Tensor,
    classes: Sequence[str] = (),
    axes: tuple[str, str] = ("z1", "z2"),
    item: str = "class",
) -> Figure:
    """Points (N, 2) in the colours of their labels (N,); `classes` names the labels, `item` heads the legend."""
    points, indices = np.asarray(points), np.asarray(labels)
    names = list(classes) or [str(index) for index in range(int(indices.max()) + 1)]
    figure = Figure(figsize=(6, 5), layout="constrained")
    axis = figure.subplots()
    for index, (name, colour) in enumerate(zip(names, class_colours(len(names)), strict=True)):
        x, y = points[indices == index].T
        axis.scatter(x, y, s=6, color=colour, alpha=0.5, edgecolors="none", label=name)
    axis.set(xlabel=axes[0], ylabel=axes[1])
    axis.set_aspect("equal", adjustable="datalim")
    axis.grid(color="lightgray", linewidth=0.5)
    axis.set_axisbelow(True)
    columns = 1 + (len(names) - 1) // 16
    axis.legend(title=item, markerscale=2, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), ncols=columns)
    return figure
