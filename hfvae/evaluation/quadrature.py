"""log p(x) and p(z|x) of a model with one or two latents, by quadrature: exact where draws only give a bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..inference import evaluating
from ..models import VAE

MAX_LATENTS = 2
_FIRST, _MOST = 128, 8192  # points along each axis
_GROUP = 64  # images that share a refined grid
_AT_ONCE = 1024  # points, or images, in one table
# Cells this many nats below an image's largest log p(x, z) are left out: e^-30 of it, and more where cells are so wide
# that their midpoints may miss a narrow peak
_MARGIN, _FIRST_MARGIN = 30.0, 100.0
_MAX_BORDER_SHARE = 1e-6
_SHOWN_MARGIN = 12.0  # nats: beyond it a posterior is too faint for a picture


class NotConverged(ArithmeticError):
    """The finest grid does not give the digits that were asked for."""


def quadrature_nll(vae: VAE, x: Tensor, tolerance: float = 1e-5) -> tuple[Tensor, int]:
    """-log of the integral of p(x|z) p(z) over latent space, by the midpoint rule on a grid that is refined locally.

    The first grid grows until next to nothing of the integral lies at its border. Images whose posteriors lie close to
    each other then share a finer one: every cell in which p(x, z) matters for one of them is halved along each axis,
    until their mean changes by less than `tolerance` of its value. For a smooth integrand the error then falls faster
    than any power of the distance between points.

    Args:
        vae: a model with one or two latents.
        x: images (B, *image_shape) as for `VAE.elbo`.
        tolerance: relative.

    Returns:
        The NLL of each image, (B,) float64 in nats on the CPU, and the finest grid's number of points along each axis.

    Raises:
        ValueError: more than two latents.
        NotConverged: the finest grid does not suffice.
    """
    if vae.latent_dim > MAX_LATENTS:
        raise ValueError(f"quadrature is for at most {MAX_LATENTS} latents, and the model has {vae.latent_dim}")
    vae.likelihood.validate_support(x)
    nll, finest = torch.empty(len(x), dtype=torch.float64), 0
    with evaluating(vae):
        half = float(vae.posterior.code(vae.encode(x[:_AT_ONCE])).abs().max()) + 1
        grid = LatentGrid(vae, half, _FIRST)
        best, border = grid.locate(x)
        while border > _MAX_BORDER_SHARE:
            half *= 1.25
            grid = LatentGrid(vae, half, _FIRST)
            best, border = grid.locate(x)
        for members in _neighbourhoods(grid.centres[best], _GROUP):
            nll[members], points = grid.refine(x[members.to(x.device)], tolerance)
            finest = max(finest, points)
    return nll, finest


class PosteriorMap(NamedTuple):
    """The exact posterior of one image in the plane of two latents."""

    low: Tensor
    """The corner (2,) of the square that holds nearly all of it, float64."""
    side: float
    """Of that square."""
    density: Tensor
    """p(z|x) at the midpoints of the square's cells, (P, P) float64: [i, j] at low + side * ((i, j) + 0.5) / P."""
    log_likelihood: float
    """log p(x) in nats."""


class LatentGrid:
    """Midpoints of equal cells that cover [-half, half] along each axis, and the decoded images there.

    Args:
        vae: a model with one or two latents, in evaluation mode.
        half: half the length of the grid along each axis.
        points: number of cells along each axis.

    Attributes:
        centres: (G, latent_dim) float64, on the CPU.
        step: the length of a cell.
    """

    def __init__(self, vae: VAE, half: float, points: int) -> None:
        self.vae, self.points = vae, points
        self.step = 2 * half / points
        axis = (torch.arange(points, dtype=torch.float64) + 0.5) * self.step - half
        self.centres = torch.cartesian_prod(*[axis] * vae.latent_dim).view(-1, vae.latent_dim)
        self.at_border = (self.centres.abs() > half - self.step).any(1)
        self.decoded = [self._decode(part) for part in self.centres.split(_AT_ONCE)]

    def _decode(self, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder outputs (G, k * C, H, W) and log p(z) (G,)."""
        z = centres.to(self.vae.device, self.vae.density_dtype)
        return self.vae.decoder_outputs(z), self.vae.prior.log_prob(z)

    def _table(self, decoded: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
        """log p(x, z), (G, B)."""
        outputs, log_prior = decoded
        return self.vae.likelihood.log_prob_table(outputs, x) + log_prior.unsqueeze(1)

    @torch.no_grad()
    def posterior(self, x: Tensor, points: int, tolerance: float = 1e-4) -> PosteriorMap:
        """p(z|x) of an image (1, *image_shape) where it matters, on `points` by `points` cells; for two latents.

        Raises:
            NotConverged: the finest grid does not give log p(x) to the relative tolerance.
        """
        log_likelihood = -float(self.refine(x, tolerance)[0])
        table = torch.cat([self._table(part, x) for part in self.decoded])[:, 0].cpu()
        near = self.centres[table > table.max() - _SHOWN_MARGIN]
        low, high = near.amin(0) - self.step, near.amax(0) + self.step
        side = float((high - low).max())
        low = (low + high - side) / 2
        axis = (torch.arange(points, dtype=torch.float64) + 0.5) * side / points
        centres = torch.cartesian_prod(low[0] + axis, low[1] + axis)
        fine = torch.cat([self._table(self._decode(part), x) for part in centres.split(_AT_ONCE)])[:, 0]
        density = (fine.double().cpu() - log_likelihood).exp().view(points, points)
        return PosteriorMap(low, side, density, log_likelihood)

    def locate(self, x: Tensor) -> tuple[Tensor, float]:
        """The cell in which each image's p(x, z) is largest, (B,), and the mean share of p(x) at the border."""
        best, shares = [], []
        for images in x.split(_AT_ONCE):
            table = torch.cat([self._table(part, images) for part in self.decoded])
            best.append(table.argmax(0).cpu())
            border = table[self.at_border.to(x.device)].logsumexp(0) - table.logsumexp(0)
            shares.append(border.exp().double().cpu())
        return torch.cat(best), torch.cat(shares).mean().item()

    def refine(self, x: Tensor, tolerance: float) -> tuple[Tensor, int]:
        """The NLL of images that lie close to each other, (B,), and the number of points along each axis.

        Raises:
            NotConverged: the finest grid does not suffice.
        """
        centres, step, points, before = self.centres, self.step, self.points, math.inf
        table = torch.cat([self._table(part, x) for part in self.decoded])
        corners = torch.tensor(list(itertools.product((-0.25, 0.25), repeat=self.vae.latent_dim)), dtype=torch.float64)
        while True:
            nll = -(table.double().logsumexp(0).cpu() + self.vae.latent_dim * math.log(step))
            mean = float(nll.mean())
            if abs(mean - before) < tolerance * abs(mean):
                return nll, points
            if points == _MOST:
                raise NotConverged(f"{_MOST} points along each axis do not give log p(x) to a relative {tolerance:g}")
            margin = max(_MARGIN, _FIRST_MARGIN * self.points / points)
            matters = (table > table.amax(0) - margin).any(1).cpu()
            centres = (centres[matters].unsqueeze(1) + step * corners).flatten(0, 1)
            table = torch.cat([self._table(self._decode(part), x) for part in centres.split(_AT_ONCE)])
            step, points, before = step / 2, 2 * points, mean


def _neighbourhoods(places: Tensor, size: int) -> Iterator[Tensor]:
    """Divide points (B, D) into groups of at most `size` neighbours, by halving along the widest axis."""
    groups = [torch.arange(len(places))]
    while groups:
        members = groups.pop()
        if len(members) <= size:
            yield members
            continue
        low, high = places[members].aminmax(dim=0)
        order = places[members, int((high - low).argmax())].argsort(stable=True)
        groups += [members[half] for half in order.chunk(2)]
