"""Training objectives other than the ELBO."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..models import VAE
from ..probability.sampling import rsample


def importance_weighted_bound(
    vae: VAE, x: Tensor, num_samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """E[log (1/S) sum_s p(x, z_s) / q(z_s|x)] per image (Burda et al. 2016), with doubly reparameterised gradients.

    The signal-to-noise ratio of the plain encoder gradient falls as S grows; this one's does not. log q is evaluated
    with its parameters detached, and the gradient of z_s is scaled by its normalised weight (Tucker et al. 2019,
    "Doubly reparameterized gradient estimators", eq. 8).

    Args:
        vae: the model.
        x: images (B, *image_shape), as for `VAE.elbo`.
        num_samples: S, samples of z per image.
        generator: source of the samples; None uses torch's global generator.

    Returns:
        (B,) in nats.
    """
    outputs = vae.encoder_outputs(x)
    z = rsample(vae.posterior(outputs), (num_samples,), generator)
    log_weights = vae.log_weights(x, z, vae.posterior.detached(outputs))
    share = log_weights.detach().softmax(0)
    if z.requires_grad:
        z.register_hook(lambda gradient: share.unsqueeze(-1) * gradient)
    bound = log_weights.detach().logsumexp(0) - math.log(num_samples)
    surrogate = (share * log_weights).sum(0)  # for its gradient only
    return bound + surrogate - surrogate.detach()
