"""matplotlib figures of arrays, for TensorBoard, the model card and the notebook; pyplot's state stays untouched."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

CLASS_COLOURS = [colormaps["tab10"](digit) for digit in range(10)]


def image_grid(images: Tensor, columns: int, size: float = 0.8) -> Figure:
    """Images (N, 1, H, W) in [0, 1], row by row."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(columns * size, rows * size), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
    return figure


def reconstructions(x: Tensor, x_hat: Tensor) -> Figure:
    """Originals (N, 1, H, W) above their reconstructions."""
    figure = image_grid(list(x) + list(x_hat), columns=len(x))  # type: ignore[arg-type]
    figure.axes[0].set_title("x", loc="left", fontsize=8)
    figure.axes[len(x)].set_title("reconstruction", loc="left", fontsize=8)
    return figure


def latent_scatter(
    points: Tensor | NDArray[np.floating], labels: Tensor, axes: tuple[str, str] = ("z1", "z2")
) -> Figure:
    """Points (N, 2) in the colours of their digit labels (N,)."""
    points, classes = np.asarray(points), np.asarray(labels)
    figure = Figure(figsize=(6, 5), layout="constrained")
    axis = figure.subplots()
    for digit in range(10):
        x, y = points[classes == digit].T
        axis.scatter(x, y, s=6, color=CLASS_COLOURS[digit], alpha=0.5, edgecolors="none", label=str(digit))
    axis.set(xlabel=axes[0], ylabel=axes[1])
    axis.set_aspect("equal", adjustable="datalim")
    axis.grid(color="lightgray", linewidth=0.5)
    axis.set_axisbelow(True)
    axis.legend(title="digit", markerscale=2, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
