"""log p(x) of a model with one or two latents, by quadrature: exact where draws only give a bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..inference import evaluating
from ..models import VAE

MAX_LATENTS = 2
_FIRST, _MOST = 64, 2048  # points along each axis
_PILOTS = 500  # images on which the grid is chosen
_POINTS_AT_ONCE = 1024
_MAX_BORDER_SHARE = 1e-6


class NotConverged(ArithmeticError):
    """The finest grid does not give the digits that were asked for."""


def quadrature_nll(vae: VAE, x: Tensor, tolerance: float = 5e-5) -> tuple[Tensor, int]:
    """-log of the integral of p(x|z) p(z) over latent space, by the midpoint rule.

    The grid is chosen on the first images: it grows until next to nothing of the integral lies at its border, and is
    refined, to twice as many points along each axis, until the mean changes by less than `tolerance` of its value. For
    a smooth integrand the error then falls faster than any power of the distance between points.

    Args:
        vae: a model with one or two latents.
        x: images (B, *image_shape) as for `VAE.elbo`.
        tolerance: relative.

    Returns:
        The NLL of each image, (B,) float64 in nats on the CPU, and the number of points along each axis.

    Raises:
        ValueError: more than two latents.
        NotConverged: the finest grid does not suffice.
    """
    if vae.latent_dim > MAX_LATENTS:
        raise ValueError(f"quadrature is for at most {MAX_LATENTS} latents, and the model has {vae.latent_dim}")
    vae.likelihood.validate_support(x)
    with evaluating(vae):
        pilots = x[:_PILOTS]
        half = float(vae.posterior.code(vae.encode(pilots)).abs().max()) + 1
        points, before = _FIRST, math.inf
        while points <= _MOST:
            nll, border = _integrate(vae, pilots, half, points)
            if border > _MAX_BORDER_SHARE:
                half *= 1.25
                continue
            mean = float(nll.mean())
            if abs(mean - before) < tolerance * abs(mean):
                return (nll if len(x) == len(pilots) else _integrate(vae, x, half, points)[0]), points
            points, before = 2 * points, mean
    raise NotConverged(f"{_MOST} points along each axis do not give log p(x) to a relative {tolerance:g}")


def _integrate(vae: VAE, x: Tensor, half: float, points: int) -> tuple[Tensor, float]:
    """The NLL (B,) on a grid in [-half, half] along each axis, and the mean share that lies at the border."""
    step = 2 * half / points
    axis = (torch.arange(points, dtype=torch.float64) + 0.5) * step - half
    grid = torch.cartesian_prod(*[axis] * vae.latent_dim).view(-1, vae.latent_dim)
    at_border = (grid.abs() > half - 1.5 * step).any(1)
    totals = [torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device) for _ in range(2)]
    prior = vae.prior
    for z, outer in zip(grid.split(_POINTS_AT_ONCE), at_border.split(_POINTS_AT_ONCE), strict=True):
        z = z.to(x)
        table = vae.likelihood.log_prob_table(vae.decoder_outputs(z), x) + prior.log_prob(z).unsqueeze(1)
        totals[0] = torch.logaddexp(totals[0], table.logsumexp(0).double())
        if outer.any():
            totals[1] = torch.logaddexp(totals[1], table[outer.to(x.device)].logsumexp(0).double())
    share = float((totals[1] - totals[0]).exp().mean())
    return -(totals[0] + vae.latent_dim * math.log(step)).cpu(), share
