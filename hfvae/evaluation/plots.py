"""matplotlib figures of arrays, for TensorBoard, the model card and the notebook; pyplot's state stays untouched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor


def class_colours(count: int) -> list[tuple[float, float, float, float]]:
    """A colour for each class: matplotlib's ten, or evenly spaced hues if there are more classes."""
    if count <= 10:
        return [colormaps["tab10"](index) for index in range(count)]
    return [colormaps["hsv"](index / count) for index in range(count)]


def image_grid(images: Tensor, columns: int, size: float = 0.8, row_names: Sequence[str] = ()) -> Figure:
    """Images (N, C, H, W) in [0, 1], row by row: three channels in colour, else the first one in grey.

    `row_names` label the rows from the top. One axes shows all images: with an axes for each, matplotlib takes three
    times as long.
    """
    rows = -(-len(images) // columns)
    shown = images if images.shape[1] == 3 else images[:, :1].expand(-1, 3, -1, -1)
    cells = torch.ones(rows * columns, *shown.shape[1:])
    cells[: len(shown)] = shown.detach()
    framed = F.pad(cells, (1, 1, 1, 1), value=1).unflatten(0, (rows, columns))  # (rows, columns, 3, H, W)
    tiled = framed.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)  # (rows * H, columns * W, 3)
    figure = Figure(figsize=(columns * size, rows * size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(tiled.numpy())
    axis.set(frame_on=False, xticks=[])
    height = len(tiled) / rows
    axis.set_yticks([height * (row + 0.5) for row in range(len(row_names))], row_names, fontsize=8)
    axis.tick_params(length=0)
    return figure


def reconstructions(x: Tensor, x_hat: Tensor) -> Figure:
    """Originals (N, C, H, W) above their reconstructions, which may be on another device."""
    return image_grid(torch.cat([x.cpu(), x_hat.cpu()]), columns=len(x), row_names=["x", "reconstruction"])


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
