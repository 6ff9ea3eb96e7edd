r"""The continuous Bernoulli distribution in natural parameters.

Loaiza-Ganem & Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational autoencoders",
NeurIPS 2019, https://arxiv.org/abs/1907.06845.

With the logit eta = log(lambda / (1 - lambda)) as parameter the density on [0, 1] is an exponential family,

    log p(x) = x * eta - A(eta),    A(eta) = log((exp(eta) - 1) / eta),

whose cumulants are the derivatives of A: mean = A'(eta), variance = A''(eta). With eta's sign folded into x
and a series near 0, every quantity is exact to the last few float32 digits at every eta; the form in probabilities of
``torch.distributions.ContinuousBernoulli`` has to clamp and is wrong by 0.63 nats a pixel at \|eta\| = 30.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

from .tensors import values_known

# B_2k / (2k)! for k = 1, 2, ...: the Taylor coefficients of A'(eta) - 1/2 in odd powers of eta (B: Bernoulli numbers).
_SERIES = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
)
# Near 0 the closed forms cancel. dtype: (|eta| up to which the series is used, number of its terms that matter there)
_NEAR_ZERO = {torch.float32: (0.25, 2), torch.float64: (0.5, 7)}
_LOG2_E = 1 / math.log(2)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Horner's rule, constant term first; at least two terms."""
    value = torch.add(torch.tensor(coefficients[-2], dtype=torch.float64), x, alpha=coefficients[-1])
    for coefficient in reversed(coefficients[:-2]):
        value.mul_(x).add_(coefficient)
    return value


def _series(a: Tensor, terms: int) -> tuple[Tensor, Tensor]:
    """A(-a) and A'(-a) - 1/2 for small a."""
    square = a * a
    derivative = [-coefficient for coefficient in _SERIES[:terms]]
    integral = [-coefficient / (2 * k) for k, coefficient in enumerate(derivative, start=1)]
    return (
        _polynomial(square, integral).mul_(a).sub_(0.5).mul_(a),
        _polynomial(square, derivative).mul_(a),
    )


def _series_at_radius(dtype: torch.dtype) -> tuple[float, float]:
    """`_series` where the closed forms take over, rounded as they are."""
    radius, terms = _NEAR_ZERO[dtype]
    normalizer, mean = _series(torch.full((), radius, dtype=dtype), terms)
    return normalizer.item(), mean.item()


_AT_RADIUS = {dtype: _series_at_radius(dtype) for dtype in _NEAR_ZERO}


def _reflected_log_normalizer_and_mean(a: Tensor) -> tuple[Tensor, Tensor]:
    """A(-a) = log((1 - exp(-a)) / a) and A'(-a) = 1 / a - 1 / (exp(a) - 1) for a >= 0, from one exponential.

    With r the radius, closed(max(a, r)) + series(min(a, r)) - series(r) is the one or the other of them. On a CPU this
    takes a fraction of the time of ``torch.where``, which costs as much as five exponentials.
    """
    radius, terms = _NEAR_ZERO[a.dtype]
    far = a.clamp_min(radius)
    inverse = far.reciprocal()
    u = far.mul_(-_LOG2_E).exp2_()  # exp(-a); on a CPU exp2 takes a fifth of exp's time
    rest = 1 - u
    mean = u.div_(rest).neg_().add_(inverse)
    log_normalizer = inverse.mul_(rest).log_()
    series = _series(a.clamp_max(radius), terms)
    for closed, near, at_radius in zip((log_normalizer, mean), series, _AT_RADIUS[a.dtype], strict=True):
        closed.add_(near.sub_(at_radius))
    return log_normalizer, mean


def _reflected_variance(a: Tensor) -> Tensor:
    """A''(-a) = 1 / a^2 - exp(-a) / (1 - exp(-a))^2 for a >= 0."""
    radius, _ = _NEAR_ZERO[a.dtype]
    coefficients = [(2 * k - 1) * c for k, c in enumerate(_SERIES, start=1)]
    u = torch.exp(-a)
    return torch.where(a < radius, _polynomial(a * a, coefficients), a**-2 - u / (1 - u) ** 2)


# Reflected to -|eta|, nothing cancels and nothing overflows. With s = sign(eta) and h = (s + 1) / 2,
#   mean(eta) = h - s * mean(-|eta|)    and    log p(x) = (x - h) * eta - A(-|eta|),
# where h and x - h are exact.


class _Mean(torch.autograd.Function):
    """A'(eta), whose derivative is the variance."""

    generate_vmap_rule = True

    @staticmethod
    def forward(eta: Tensor) -> Tensor:
        sign = eta.sign()
        _, mean = _reflected_log_normalizer_and_mean(eta.abs())
        return (sign + 1).mul_(0.5).addcmul_(sign, mean, value=-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (eta,) = ctx.saved_tensors
        return grad * _reflected_variance(eta.abs())


class _LogProb(torch.autograd.Function):
    """x * eta - A(eta) with eta clamped to [-limit, limit].

    Inside the limit the gradient is the exact x - mean(eta). Outside, the exact gradient of a clamp is 0 and a
    saturated logit would never come back, while a straight-through x - mean(limit) pushes it further out. There the
    gradient is x - 1 for positive and x for negative logits: that of the Bernoulli, saturated, which always leads back.

    The forward pass computes the gradient too, with the one exponential that both need; it is the second output.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, eta: Tensor, limit: float) -> tuple[Tensor, Tensor]:
        log_normalizer, mean = _reflected_log_normalizer_and_mean(eta.abs())
        if math.isfinite(limit):  # both decrease, so that a bound on them is one on |eta|
            log_normalizer.clamp_min_(math.log(-math.expm1(-limit) / limit))
            torch.threshold_(mean, 1 / limit - 1 / math.expm1(limit), 0.0)
        sign = eta.sign()
        offset = torch.add(x, sign + 1, alpha=-0.5)  # x - h
        gradient = torch.addcmul(offset, sign, mean)
        return offset.mul_(eta.clamp(-limit, limit)).sub_(log_normalizer), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: tuple[Tensor, Tensor]) -> None:
        x, eta, ctx.limit = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, eta, output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, eta, gradient = ctx.saved_tensors
        grad_x = grad_eta = None
        if ctx.needs_input_grad[0]:
            grad_x = grad * eta.clamp(-ctx.limit, ctx.limit)
        if ctx.needs_input_grad[1]:
            grad_eta = grad * _LogProbGradient.apply(x, eta, gradient, ctx.limit)
        return grad_x, grad_eta, None


class _LogProbGradient(torch.autograd.Function):
    """x - mean(eta), known already, so that log_prob can be differentiated twice."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, eta: Tensor, gradient: Tensor, limit: float) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: Tensor) -> None:
        _, eta, _, ctx.limit = inputs
        ctx.save_for_backward(eta)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (eta,) = ctx.saved_tensors
        a = eta.abs()
        return grad, -grad * _reflected_variance(a) * (a <= ctx.limit), None, None


class ContinuousBernoulli(Distribution):
    r"""Continuous Bernoulli on [0, 1] with natural parameter ``logits`` (eta).

    .. math:: \log p(x) = x \eta - \log\frac{e^\eta - 1}{\eta}

    Args:
        logits: eta, any shape, float32 or float64, finite; log(lambda / (1 - lambda)).
        limit: largest \|eta\| the density may have; logits beyond it count as +-limit, with a gradient that leads
            back (see below). Infinite by default: the logits are taken as they are. ``math.log(9999)`` keeps lambda
            in [1e-4, 1 - 1e-4], the bound of the paper's experiments.

    On data with exact zeros and ones the density is unbounded and its logits run away; a model trained with
    ``limit`` cannot. Outside the limit ``log_prob`` has the value at the limit and a gradient that leads back.

    Raises:
        TypeError: logits that are not float32 or float64.
        ValueError: NaN logits, or (with ``validate_args``) a value outside [0, 1].

    Example:
        >>> import torch
        >>> p = ContinuousBernoulli(torch.tensor([-3.0, 0.0, 3.0]))
        >>> p.mean
        tensor([0.2809, 0.5000, 0.7191])
        >>> p.log_prob(torch.tensor(0.5))[[0, 2]]
        tensor([-0.3503, -0.3503])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor | float, limit: float = math.inf, validate_args: bool | None = None) -> None:
        (self._eta,) = broadcast_all(logits)
        if self._eta.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"ContinuousBernoulli needs float32 or float64 logits, got {self._eta.dtype}")
        if not limit > 0:
            raise ValueError(f"limit must be positive, got {limit}")
        self.limit = float(limit)
        super().__init__(self._eta.shape, validate_args=False)
        self._validate_args = Distribution._validate_args if validate_args is None else validate_args
        if self._validate_args and self._eta.numel() and values_known(self._eta):
            low, _ = self._eta.aminmax()  # NaN if any of them is; a tenth of the time of checking each
            if low.isnan():
                raise ValueError("ContinuousBernoulli needs logits that are numbers, got NaN")

    def _validate_sample(self, value: Tensor) -> None:
        if value.numel() and values_known(value):
            low, high = value.aminmax()
            if not (low >= 0 and high <= 1):  # NaN too
                raise ValueError(f"a continuous Bernoulli's values lie in [0, 1], got [{low:.4g}, {high:.4g}]")

    @property
    def logits(self) -> Tensor:
        """eta, within [-limit, limit]."""
        return self._eta.clamp(-self.limit, self.limit) if math.isfinite(self.limit) else self._eta

    @property
    def probs(self) -> Tensor:
        """lambda = sigmoid(eta) in [0, 1]. It is *not* the mean."""
        return torch.sigmoid(self.logits)

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 - exp(-eta)) - 1 / eta (paper, eq. 8)."""
        return _Mean.apply(self.logits)

    @property
    def variance(self) -> Tensor:
        """Var[x] = 1 / eta^2 - 1 / (4 sinh^2(eta / 2))."""
        return _reflected_variance(self.logits.abs())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats of `value` in [0, 1], broadcast against the logits."""
        if self._validate_args:
            self._validate_sample(value)
        value, eta = torch.broadcast_tensors(value, self._eta)
        return _LogProb.apply(value, eta, self.limit)[0]

    def entropy(self) -> Tensor:
        """Differential entropy in nats, at most 0: -E[log p(x)] = -log p(E[x]), since log p is linear in x."""
        reflected = -self.logits.abs()  # the entropy is even, and on this side nothing cancels
        return -_LogProb.apply(_Mean.apply(reflected), reflected, math.inf)[0]

    def cdf(self, value: Tensor) -> Tensor:
        """P(X <= value) = (exp(eta * value) - 1) / (exp(eta) - 1)."""
        if self._validate_args:
            self._validate_sample(value)
        eta = self.logits
        a = eta.abs().clamp_min(torch.finfo(eta.dtype).tiny ** 0.5)
        return torch.exp(eta.clamp_min(0) * (value - 1)) * torch.expm1(-a * value) / torch.expm1(-a)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile log(1 + value * (exp(eta) - 1)) / eta of `value` in [0, 1]; differentiable in both."""
        eta, u = torch.broadcast_tensors(self.logits, value)
        radius = torch.finfo(eta.dtype).eps ** 0.25
        central = eta.abs() < radius
        # near 0: the cumulants of a Bernoulli(u), whose generating function log(1 + u (exp(eta) - 1)) is
        spread = u * (1 - u)
        skew = spread * (1 - 2 * u)
        near_zero = u + eta * (spread / 2 + eta * (skew / 6 + eta * spread * (1 - 6 * spread) / 24))
        # elsewhere at -|eta|, mirrored back: exp never overflows
        a = torch.where(central, torch.ones_like(eta), eta.abs())
        mirrored = torch.where(eta > 0, 1 - u, u)
        quantile = torch.log1p(mirrored * torch.expm1(-a)) / -a
        closed = torch.where(eta > 0, 1 - quantile, quantile)
        return torch.where(central, near_zero, closed).clamp(0, 1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A reparameterised draw of shape sample_shape + batch_shape, by inversion of the cdf."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.icdf(torch.rand(shape, dtype=self._eta.dtype, device=self._eta.device))

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> ContinuousBernoulli:
        new = self._get_checked_instance(ContinuousBernoulli, _instance)
        new._eta = self._eta.expand(torch.Size(batch_shape))
        new.limit = self.limit
        super(ContinuousBernoulli, new).__init__(new._eta.shape, validate_args=False)
        new._validate_args = self._validate_args
        return new
