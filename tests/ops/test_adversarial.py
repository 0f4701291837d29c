"""Losses and penalties of adversarial games, where mathematics gives the answer."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from urbild.nets.games import Constraint, GradientPenalty, RealPenalty
from urbild.ops import adversarial
from urbild.ops.penalties import Critic, between, gradient_norm


def linear(weight: Tensor) -> nn.Module:
    critic = nn.Linear(len(weight), 1)
    with torch.no_grad():
        critic.weight.copy_(weight[None])
    return nn.Sequential(critic, nn.Flatten(0))


WEIGHT = torch.tensor([3.0, -4.0, 12.0])  # |w| = 13


def penalty(constraint: Constraint, critic: Critic, real: Tensor) -> Tensor:
    """What training adds to the critic's loss: [N]."""
    found = constraint.penalty(critic, real, torch.randn_like(real), 0)
    assert found is not None
    return found.value


@pytest.mark.parametrize("target", [1.0, 5.0])
def test_the_penalty_of_a_linear_critic(target: float) -> None:
    critic = linear(WEIGHT)
    value = penalty(GradientPenalty(weight=1.0, target=target), critic, torch.randn(4, 3))
    torch.testing.assert_close(value, torch.full((4,), (13 - target) ** 2))
    value.mean().backward()
    (parameter, _) = critic.parameters()
    torch.testing.assert_close(parameter.grad, 2 * (13 - target) * WEIGHT[None] / 13)


def test_r1_of_a_linear_critic() -> None:
    critic = linear(WEIGHT)
    value = penalty(RealPenalty(weight=0.3), critic, torch.randn(4, 3))
    torch.testing.assert_close(value, torch.full((4,), 0.3 * 169 / 2))
    value.mean().backward()
    (parameter, _) = critic.parameters()
    torch.testing.assert_close(parameter.grad, 0.3 * WEIGHT[None])


def test_penalties_are_computed_in_full_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = penalty(RealPenalty(weight=1.0), linear(WEIGHT + 0.001), torch.randn(4, 3))
    torch.testing.assert_close(value, torch.full((4,), float((WEIGHT + 0.001).square().sum()) / 2))


@pytest.mark.parametrize("constraint", [GradientPenalty(), RealPenalty()])
def test_a_flat_critic_has_a_finite_gradient(constraint: Constraint) -> None:
    critic = linear(torch.zeros(3))
    penalty(constraint, critic, torch.randn(4, 3)).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)


def test_the_norm_is_of_each_sample() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    torch.testing.assert_close(gradient_norm(lambda x: x.square().sum(1), x), torch.tensor([2.0, 6.0]))


def test_points_between_lie_on_lines() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(50, 2, 3, 3), torch.randn(50, 2, 3, 3)
    torch.testing.assert_close(between(real, fake, torch.ones(50)), real)
    torch.testing.assert_close(between(real, fake, torch.zeros(50)), fake)
    share = ((between(real, fake) - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=1e-3, atol=1e-3)
    assert 0 <= share.min() < 0.2
    assert 0.8 < share.max() <= 1.001


@pytest.mark.parametrize("distance", [0.0, 1.0, 12.0])
def test_at_the_best_critic_the_value_is_twice_the_jensen_shannon_divergence(distance: float) -> None:
    x = torch.linspace(-10, 22, 40_001, dtype=torch.float64)
    p, q = (Normal(torch.tensor(mean, dtype=torch.float64), 1.0).log_prob(x) for mean in (0.0, distance))
    logit = p - q  # of p / (p + q)
    p, q = p.exp(), q.exp()
    nothing = torch.zeros_like(x)
    both = adversarial.logistic_critic(logit, logit)
    on_real = adversarial.logistic_critic(logit, nothing - 1e4)
    value = -torch.trapezoid(p * on_real + q * (both - on_real), x)
    mixture = (p + q) / 2
    terms = [torch.xlogy(law, law) - torch.xlogy(law, mixture) for law in (p, q)]
    divergence = torch.trapezoid(terms[0] + terms[1], x) / 2
    torch.testing.assert_close(value, 2 * divergence - 2 * math.log(2), rtol=1e-6, atol=1e-6)
    if distance == 0:
        assert abs(value + 2 * math.log(2)) < 1e-6
    if distance == 12:
        assert abs(value) < 1e-6, "the divergence saturates at ln 2"


def test_the_best_critic_under_one_sided_smoothing() -> None:
    p, q = torch.tensor([0.7, 0.3]), torch.tensor([0.2, 0.8])
    best = 0.9 * p / (p + q)
    logit = torch.logit(best).requires_grad_()
    far = torch.full((2,), -1e4)
    both = adversarial.logistic_critic(logit, logit, smoothing=0.1)
    on_real = adversarial.logistic_critic(logit, far, smoothing=0.1)
    (p * on_real + q * (both - on_real)).sum().backward()
    assert logit.grad is not None
    torch.testing.assert_close(logit.grad, torch.zeros(2), rtol=0, atol=1e-6)


def test_beyond_its_margin_the_hinge_learns_nothing() -> None:
    real = torch.tensor([2.0, 0.5], requires_grad=True)
    fake = torch.tensor([-2.0, 0.5], requires_grad=True)
    loss = adversarial.hinge_critic(real, fake)
    torch.testing.assert_close(loss, torch.tensor([0.0, 2.0]))
    loss.sum().backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.tolist() == [0, -1]
    assert fake.grad.tolist() == [0, 1]


def test_where_the_critic_is_sure_minimax_dies_and_the_other_form_does_not() -> None:
    """Of the logit l, d ln(1 - D) = -D and d(-ln D) = -(1 - D)."""
    for share in (1e-4, 0.5, 0.9):
        logit = torch.logit(torch.tensor([share])).requires_grad_()
        (saturating,) = torch.autograd.grad(adversarial.minimax_generator(logit).sum(), logit)
        (other,) = torch.autograd.grad(adversarial.non_saturating_generator(logit).sum(), logit)
        torch.testing.assert_close(saturating, torch.tensor([-share]))
        torch.testing.assert_close(other, torch.tensor([share - 1]))


def test_losses_that_are_formulae() -> None:
    real, fake = torch.tensor([1.5, 0.0]), torch.tensor([0.5, -1.0])
    torch.testing.assert_close(adversarial.wasserstein_critic(real, fake), torch.tensor([-1.0, -1.0]))
    torch.testing.assert_close(adversarial.wasserstein_generator(fake), torch.tensor([-0.5, 1.0]))
    torch.testing.assert_close(adversarial.least_squares_critic(real, fake), torch.tensor([0.25, 1.0]))
    torch.testing.assert_close(adversarial.least_squares_generator(fake), torch.tensor([0.125, 2.0]))


def dirac(gamma: float, steps: int = 1000, rate: float = 0.1) -> float:
    """Distance from equilibrium of a critic psi x and a made sample theta, after turns from (1, 1); data at 0."""
    psi, theta, data = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True), torch.zeros(1)
    for _ in range(steps):
        loss = adversarial.logistic_critic(psi * data, psi * theta.detach())
        if gamma:
            loss = loss + penalty(RealPenalty(weight=gamma), lambda x, psi=psi: psi * x, data[None])
        (slope,) = torch.autograd.grad(loss.sum(), psi)
        psi = (psi - rate * slope).detach().requires_grad_()
        (slope,) = torch.autograd.grad(adversarial.non_saturating_generator(psi.detach() * theta).sum(), theta)
        theta = (theta - rate * slope).detach().requires_grad_()
    return math.hypot(psi.item(), theta.item())


def test_the_dirac_gan_converges_with_r1_alone() -> None:
    """Mescheder et al. 2018, section 2.3 and theorem 4.1."""
    assert dirac(1.0) < 1e-4
    assert dirac(0.0) > 0.05
