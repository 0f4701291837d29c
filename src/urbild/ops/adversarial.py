"""What the two players of an adversarial game minimise, of the critic's logits: one value per sample.

A critic's functions take its logits of real and of made samples, both [N]; a generator's those of made samples.
"""

import torch
from torch import Tensor
from torch.nn import functional


def logistic_critic(real: Tensor, fake: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of telling real from made samples, -ln D(x) - ln(1 - D(G(z))), in nats: [N].

    `smoothing` s makes the wanted answer for real samples 1 - s (one-sided: the answer for made ones stays 0), so that
    the best critic is D = (1 - s) p / (p + q).

    Source: Goodfellow et al. 2014, equation 1; Salimans et al. 2016, section 3.4.
    """
    entropy = functional.softplus(-real)
    if smoothing:
        entropy = (1 - smoothing) * entropy + smoothing * functional.softplus(real)
    return entropy + functional.softplus(fake)


def minimax_generator(fake: Tensor) -> Tensor:
    """ln(1 - D(G(z))): [N]. Its gradient dies where the critic is sure.

    Source: Goodfellow et al. 2014, equation 1.
    """
    return -functional.softplus(fake)


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-ln D(G(z)): [N].

    Source: Goodfellow et al. 2014, section 3.
    """
    return functional.softplus(-fake)


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """f(G(z)) - f(x): [N]; its negative mean is the estimate of the earth mover's distance.

    Source: Arjovsky et al. 2017, equation 3.
    """
    return fake - real


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-f(G(z)): [N]."""
    return -fake


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - f(x)) + max(0, 1 + f(G(z))): [N]; beyond the margin nothing is learned.

    Source: Miyato et al. 2018, equations 16 and 17.
    """
    return torch.relu(1 - real) + torch.relu(1 + fake)


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """((f(x) - 1)^2 + f(G(z))^2) / 2: [N].

    Source: Mao et al. 2016, equation 9.
    """
    return 0.5 * ((real - 1).square() + fake.square())


def least_squares_generator(fake: Tensor) -> Tensor:
    """(f(G(z)) - 1)^2 / 2: [N]."""
    return 0.5 * (fake - 1).square()
