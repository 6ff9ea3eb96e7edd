r"""The continuous Bernoulli distribution in natural parameters.

Loaiza-Ganem & Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational autoencoders",
NeurIPS 2019, https://arxiv.org/abs/1907.06845.

With the logit eta = log(lambda / (1 - lambda)) as parameter the density on [0, 1] is an exponential family,

    log p(x) = x * eta - A(eta),    A(eta) = log((exp(eta) - 1) / eta),

whose cumulants are the derivatives of A: mean = A'(eta), variance = A''(eta). Every quantity is exact to the last few
float32 digits at every eta; the form in probabilities of ``torch.distributions.ContinuousBernoulli`` has to clamp and
is wrong by 0.63 nats a pixel at \|eta\| = 30.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import (
    Beta,
    Distribution,
    Exponential,
    Gamma,
    Gumbel,
    Laplace,
    Normal,
    Pareto,
    Uniform,
    constraints,
    register_kl,
)
from torch.distributions.utils import broadcast_all

from ..tensors import full_dtype, full_precision, values_known
from . import log_normalizer


class ContinuousBernoulli(Distribution):
    r"""Continuous Bernoulli on [0, 1], with the arguments of ``torch.distributions.ContinuousBernoulli``.

    .. math:: \log p(x) = x \eta - \log\frac{e^\eta - 1}{\eta}

    Args:
        probs: lambda in [0, 1], a number or a floating-point tensor of any shape. It is *not* the mean. 0 and 1 count
            as the nearest numbers between them.
        logits: eta = log(lambda / (1 - lambda)), likewise, any number but NaN. Give either `probs` or `logits`.
        lims: accepted because torch's class has it, and not needed: nothing here is unstable near lambda = 0.5.
        validate_args: whether to check parameters and values; None follows ``Distribution.set_default_validate_args``.
        limit: largest \|eta\| the density may have; logits beyond it count as +-limit. Infinite by default: the logits
            are taken as they are. ``math.log(9999)`` keeps lambda in [1e-4, 1 - 1e-4], the bound of the paper's
            experiments.

    Results have the dtype of the parameter; float16 and bfloat16 are computed in float32 and then rounded.

    On data with exact zeros and ones the density is unbounded and its logits run away; a model trained with
    ``limit`` cannot. Outside the limit ``log_prob`` has the value at the limit and a gradient that leads back.

    Raises:
        TypeError: a parameter of an integer or complex dtype.
        ValueError: both parameters or neither, probs outside [0, 1] or NaN logits (with ``validate_args``), or a limit
            that is not positive.

    Example:
        >>> import torch
        >>> p = ContinuousBernoulli(logits=torch.tensor([-3.0, 0.0, 3.0]))
        >>> p.mean
        tensor([0.2809, 0.5000, 0.7191])
        >>> p.log_prob(torch.tensor(0.5))[[0, 2]]
        tensor([-0.3503, -0.3503])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
        *,
        limit: float = math.inf,
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("ContinuousBernoulli needs either probs or logits, and not both")
        if not limit > 0:
            raise ValueError(f"limit must be positive, got {limit}")
        (given,) = broadcast_all(probs if logits is None else logits)  # type: ignore[arg-type] # one of them is given
        if not given.is_floating_point():
            raise TypeError(f"ContinuousBernoulli needs a parameter of a floating-point dtype, got {given.dtype}")
        self.limit = float(limit)
        self._dtype = given.dtype
        super().__init__(given.shape, validate_args=False)
        self._validate_args = Distribution._validate_args if validate_args is None else validate_args
        if self._validate_args and given.numel() and values_known(given):
            low, high = given.aminmax()  # NaN if any of them is; a tenth of the time of checking each
            if probs is not None and not (low >= 0 and high <= 1):
                raise ValueError(
                    f"probs must lie in [0, 1], got values from {low:.4g} to {high:.4g}: for log-odds write logits=..."
                )
            if low.isnan():
                raise ValueError("logits must be numbers, got NaN")
        wide = full_precision(given)
        self._eta = wide if probs is None else _logit(wide)

    def _arguments(self, value: Tensor | float, validate: bool) -> tuple[Tensor, Tensor, torch.dtype]:
        """`value` and eta in one shape and a dtype to compute in, and the dtype of the result."""
        if not isinstance(value, Tensor):
            value = torch.full((), value, dtype=self._dtype, device=self._eta.device)
        if validate:
            self._validate_sample(value)
        dtype = torch.promote_types(value.dtype, self._dtype)
        try:
            x, eta = torch.broadcast_tensors(value, self._eta)
        except RuntimeError as error:
            raise ValueError(
                f"a value of shape {tuple(value.shape)} does not broadcast to the batch shape {tuple(self.batch_shape)}"
            ) from error
        return x.to(full_dtype(dtype)), eta.to(full_dtype(dtype)), dtype

    def _validate_sample(self, value: Tensor) -> None:
        if value.numel() and values_known(value):
            low, high = value.aminmax()
            if not (low >= 0 and high <= 1):  # NaN too
                raise ValueError(
                    f"Expected value argument (shape {tuple(value.shape)}) to be within the support [0, 1], got values "
                    f"from {low:.4g} to {high:.4g}"
                )

    def _bounded(self, eta: Tensor) -> Tensor:
        return eta.clamp(-self.limit, self.limit) if math.isfinite(self.limit) else eta

    @property
    def logits(self) -> Tensor:
        """eta, within [-limit, limit]."""
        return self._bounded(self._eta).to(self._dtype)

    @property
    def probs(self) -> Tensor:
        """lambda = sigmoid(eta) in [0, 1]. It is *not* the mean."""
        return torch.sigmoid(self._bounded(self._eta)).to(self._dtype)

    @property
    def param_shape(self) -> torch.Size:
        """The shape of `probs` and `logits`."""
        return self._eta.shape

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 - exp(-eta)) - 1 / eta (paper, eq. 8)."""
        return log_normalizer.mean(self._bounded(self._eta)).to(self._dtype)

    @property
    def variance(self) -> Tensor:
        """Var[x] = 1 / eta^2 - 1 / (4 sinh^2(eta / 2))."""
        return log_normalizer.variance(self._bounded(self._eta)).to(self._dtype)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Log-density in nats of `value` in [0, 1], a number or a tensor, broadcast against the logits.

        Raises:
            ValueError: a shape that does not broadcast, or (with `validate_args`) a value outside [0, 1].
        """
        x, eta, dtype = self._arguments(value, self._validate_args)
        return log_normalizer.log_density(x, eta, self.limit).to(dtype)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, at most 0: -E[log p(x)] = -log p(E[x]), since log p is linear in x."""
        reflected = -self._bounded(self._eta).abs()  # the entropy is even, and on this side nothing cancels
        return -log_normalizer.log_density(log_normalizer.mean(reflected), reflected).to(self._dtype)

    def cdf(self, value: Tensor | float) -> Tensor:
        """P(X <= value) = (exp(eta * value) - 1) / (exp(eta) - 1); 0 below 0 and 1 above 1.

        Raises:
            ValueError: as `log_prob`, as torch's distributions do.
        """
        x, eta, dtype = self._arguments(value, self._validate_args)
        x, eta = x.clamp(0, 1), self._bounded(eta)
        central = eta.abs() < _central(eta.dtype)
        # near 0: the generating function of the Bernoulli polynomials
        near_zero = x + eta * x * (x - 1) * (1 / 2 + eta * ((2 * x - 1) / 12 + eta * x * (x - 1) / 24))
        # elsewhere at -|eta|: exp never overflows
        a = torch.where(central, torch.ones_like(eta), eta.abs())
        closed = torch.exp(eta.clamp_min(0) * (x - 1)) * torch.expm1(-a * x) / torch.expm1(-a)
        return torch.where(central, near_zero, closed).to(dtype)

    def icdf(self, value: Tensor | float) -> Tensor:
        """The quantile log(1 + value * (exp(eta) - 1)) / eta of `value` in [0, 1]; differentiable in both."""
        u, eta, dtype = self._arguments(value, validate=False)
        eta = self._bounded(eta)
        central = eta.abs() < _central(eta.dtype)
        # near 0: the cumulants of a Bernoulli(u), whose generating function log(1 + u (exp(eta) - 1)) is
        spread = u * (1 - u)
        skew = spread * (1 - 2 * u)
        near_zero = u + eta * (spread / 2 + eta * (skew / 6 + eta * spread * (1 - 6 * spread) / 24))
        # elsewhere at -|eta|, mirrored back: exp never overflows
        a = torch.where(central, torch.ones_like(eta), eta.abs())
        mirrored = torch.where(eta > 0, 1 - u, u)
        quantile = torch.log1p(mirrored * torch.expm1(-a)) / -a
        closed = torch.where(eta > 0, 1 - quantile, quantile)
        return torch.where(central, near_zero, closed).clamp(0, 1).to(dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A reparameterised draw of shape sample_shape + batch_shape, by inversion of the cdf."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.icdf(torch.rand(shape, dtype=self._eta.dtype, device=self._eta.device)).to(self._dtype)

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> ContinuousBernoulli:
        new = self._get_checked_instance(ContinuousBernoulli, _instance)
        new._eta = self._eta.expand(torch.Size(batch_shape))
        new._dtype = self._dtype
        new.limit = self.limit
        super(ContinuousBernoulli, new).__init__(new._eta.shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def __repr__(self) -> str:
        single = self._eta.numel() == 1 and not self._eta.is_meta
        logits = f"{self.logits.item():.6g}" if single else str(self._eta.shape)
        return (
            f"{type(self).__name__}(logits: {logits}{f', limit: {self.limit:g}' if math.isfinite(self.limit) else ''})"
        )


def _logit(probs: Tensor) -> Tensor:
    """log(p / (1 - p)), with 0 and 1 taken as the nearest numbers between them."""
    info = torch.finfo(probs.dtype)
    return torch.logit(probs.clamp(info.tiny, 1 - info.eps / 2))


def _central(dtype: torch.dtype) -> float:
    """The largest |eta| at which cdf and icdf are computed by their series."""
    return torch.finfo(dtype).eps ** 0.25


# KL divergences: the pairs for which torch registers its own ContinuousBernoulli


def _cross_entropy(mean: Tensor, logits: Tensor) -> Tensor:
    """-E[log q(x)] of a continuous Bernoulli q: log q is linear in x, so that the mean of x is all it needs."""
    return -ContinuousBernoulli(logits=logits, validate_args=False).log_prob(mean)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_to_itself(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    # mirrored (x -> 1 - x) where p's mean is above 1/2, since the mean near 0 is the one that floats hold exactly
    above = p.logits > 0
    mirrored = ContinuousBernoulli(logits=torch.where(above, -p.logits, p.logits), validate_args=False)
    return _cross_entropy(mirrored.mean, torch.where(above, -q.logits, q.logits)) - p.entropy()


@register_kl(ContinuousBernoulli, Exponential)
def _kl_to_exponential(p: ContinuousBernoulli, q: Exponential) -> Tensor:
    return q.rate * p.mean - q.rate.log() - p.entropy()


@register_kl(ContinuousBernoulli, Normal)
def _kl_to_normal(p: ContinuousBernoulli, q: Normal) -> Tensor:
    squares = (p.variance + (p.mean - q.loc) ** 2) / q.scale**2
    return (squares + math.log(2 * math.pi)) / 2 + q.scale.log() - p.entropy()


@register_kl(ContinuousBernoulli, Uniform)
def _kl_to_uniform(p: ContinuousBernoulli, q: Uniform) -> Tensor:
    inside = (q.low <= 0) & (q.high >= 1)
    return torch.where(inside, (q.high - q.low).log() - p.entropy(), math.inf)


@register_kl(Beta, ContinuousBernoulli)
def _kl_from_beta(p: Beta, q: ContinuousBernoulli) -> Tensor:
    return _cross_entropy(p.mean, q.logits) - p.entropy()


@register_kl(Uniform, ContinuousBernoulli)
def _kl_from_uniform(p: Uniform, q: ContinuousBernoulli) -> Tensor:
    inside = (p.low >= 0) & (p.high <= 1)
    return torch.where(inside, _cross_entropy(p.mean, q.logits) - p.entropy(), math.inf)


def _infinite_kl(p: Distribution, q: Distribution) -> Tensor:
    """Where p has mass at which q has no density."""
    mean = p.mean + q.mean  # of their common shape, dtype and device
    return torch.full_like(mean, math.inf)


register_kl(ContinuousBernoulli, Pareto)(_infinite_kl)
for _family in (Exponential, Gamma, Gumbel, Laplace, Normal, Pareto):
    register_kl(_family, ContinuousBernoulli)(_infinite_kl)
