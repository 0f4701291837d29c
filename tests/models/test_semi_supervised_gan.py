"""Facts of the semi-supervised GAN: two forms of one loss, its labelled draws, digits from 20 labels each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models_kit import DIGITS, digits
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from urbild.contract import UNLABELLED, Batch, DataSpec, Source
from urbild.errors import DataError
from urbild.models.adversarial.semi_supervised_gan import (
    LABELLED,
    Beside,
    SemiSupervisedGan,
    semi_supervised_gan,
    with_labelled,
)
from urbild.nets import play
from urbild.nets.adversaries import Dense, Pyramid
from urbild.nets.noisy import Noise, Noisy, Normed
from urbild.nets.statistics import batch_norms
from urbild.training import Plan, fit

TEN = replace(DIGITS, classes=tuple("0123456789"))


class Told(Source):
    """Samples in memory, some of which are labelled."""

    def __init__(self, spec: DataSpec, x: Tensor, labels: "np.ndarray[Any, Any] | None") -> None:
        self.spec, self.x, self.labels = spec, x, labels

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        index = torch.as_tensor(np.asarray(rows))
        y = None if self.labels is None else torch.from_numpy(self.labels)[index]
        return Batch(x=self.x[index], index=index, y=y)


def few(y: "np.ndarray[Any, Any]", each: int, *, seed: int = 0) -> "np.ndarray[Any, Any]":
    """The labels with all but some of each class taken away."""
    rng, kept = np.random.default_rng(seed), np.full_like(y, UNLABELLED)
    for label in np.unique(y):
        rows = rng.choice(np.flatnonzero(y == label), each, replace=False)
        kept[rows] = label
    return kept


def built(spec: DataSpec = TEN, **options: Any) -> SemiSupervisedGan:
    torch.manual_seed(0)
    small = {"generator": Dense(width=8, normalisation="batch"), "critic": Noisy(width=16)}
    model = semi_supervised_gan(spec, **{**small, **options})
    assert isinstance(model, SemiSupervisedGan)
    return model.train()


def batch(x: Tensor, y: Tensor | None = None) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)), y=y)


def test_the_partition_sum_is_the_softmax_of_one_more_class_whose_logit_is_nought() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(6, 4, dtype=torch.float64, generator=generator)).requires_grad_()
    whole = functional.log_softmax(torch.cat([logits, torch.zeros(6, 1)], dim=1), dim=1)  # the last is "made"
    sums = logits.logsumexp(1)
    for form, expected in ((functional.softplus(sums), -whole[:, -1]), (functional.softplus(-sums), -_real(whole))):
        torch.testing.assert_close(form, expected)
        (slope,) = torch.autograd.grad(form.sum(), logits, retain_graph=True)
        (wanted,) = torch.autograd.grad(expected.sum(), logits, retain_graph=True)
        torch.testing.assert_close(slope, wanted)


def _real(whole: Tensor) -> Tensor:
    return whole[:, :-1].logsumexp(1)


def test_the_losses_are_those_of_the_paper() -> None:
    model, x = built(critic=Noisy(width=16, noise=1e-9, hidden=1e-9), weight=3.0), digits()[0][:20]
    told = batch(x[:6], torch.tensor([3, 1, UNLABELLED, 0, 9, 9]))
    torch.manual_seed(1)
    found = model.critic_loss(replace(batch(x), others={LABELLED: told}))
    torch.manual_seed(1)
    made = play.restored(TEN, model.game.generator(model.game.prior.draw(20, model.game.latent, device=x.device)))
    on_real, on_fake = model.logits(x).logsumexp(1), model.logits(made).logsumexp(1)
    known = torch.tensor([0, 1, 3, 4, 5])
    assert told.y is not None
    entropy = functional.cross_entropy(model.logits(told.x)[known], told.y[known])
    telling = (functional.softplus(-on_real) + functional.softplus(on_fake)).mean()
    torch.testing.assert_close(found["cross-entropy"], entropy.detach())
    torch.testing.assert_close(found["loss"], entropy + 1.5 * telling, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.eval().classify(x).exp().sum(1), torch.ones(20))


def test_labelled_samples_stand_beside_each_batch_and_follow_from_it_alone() -> None:
    x, y = digits()
    labels = few(y, 2)
    source = with_labelled(Told(TEN, x, labels))
    assert isinstance(source, Beside)
    plan = [(0, range(12)), (0, np.arange(12, 24)), (1, range(12)), (2, range(50))]
    streamed = list(source.stream(iter(plan)))  # type: ignore[arg-type]
    for (epoch, rows), found in zip(plan, streamed, strict=True):
        again = source.fetch(rows, epoch=epoch)  # type: ignore[arg-type]
        assert found.index.tolist() == list(rows)
        beside = found.others[LABELLED]
        assert len(beside) == len(found)
        assert beside.y is not None
        assert torch.equal(beside.y, torch.from_numpy(labels)[beside.index])
        assert (beside.y != UNLABELLED).all()
        assert torch.equal(beside.index, again.others[LABELLED].index)
        counts = np.bincount(beside.index.numpy())
        assert counts.max() <= -(-len(beside) // 20), "none is drawn again before all were"
    drawn = [set(found.others[LABELLED].index.tolist()) for found in streamed]
    assert drawn[0] != drawn[1]
    assert drawn[0] != drawn[2]


def test_it_reads_digits_from_20_labels_a_class() -> None:
    """A short run: .08. The nearest labelled neighbour errs .07, and 2,000 steps .05."""
    x, y = digits()
    model = built(critic=Noisy(width=128), generator=Dense(width=64, normalisation="batch"))
    fit(model, Told(TEN, x[:1300], few(y[:1300], 20)), Plan(steps=500, batch=100, precision="32", device="cpu"))
    with torch.no_grad():
        error = (model.classify(x[1300:]).argmax(1).numpy() != y[1300:]).mean()
    assert error < 0.12


def test_noise_is_of_training_alone_and_weights_have_a_direction() -> None:
    layer = Normed(5, 3)
    x = torch.randn(4, 5)
    torch.testing.assert_close(layer(x), x @ functional.normalize(layer.direction).T)
    with torch.no_grad():
        layer.direction.mul_(7.0)
    torch.testing.assert_close(layer(x), x @ functional.normalize(layer.direction).T)
    noise = Noise(0.5)
    assert torch.equal(noise.eval()(x), x)
    assert 0.4 < float((noise.train()(torch.zeros(10_000))).std()) < 0.6


def test_the_data_set_the_lengths_of_a_noisy_critic_and_only_the_last_is_learnt() -> None:
    x, y = digits()
    model = built(critic=Noisy(width=64, noise=1e-9, hidden=1e-9))
    model.standardise(Told(TEN, x[:400], y[:400]))
    parts = [*model.game.critic.body.children(), *model.game.critic.verdict.last.children()]  # type: ignore[union-attr]
    with torch.no_grad():
        reached = play.worked(TEN, x[:400]).flatten(1)
        for part in parts:
            reached = part(reached)
            if isinstance(part, Normed):
                torch.testing.assert_close(reached.mean(0), torch.zeros(reached.shape[1]), atol=1e-3, rtol=0)
                torch.testing.assert_close(reached.std(0), torch.ones(reached.shape[1]), atol=1e-3, rtol=0)
    normed = [part for part in parts if isinstance(part, Normed)]
    assert [layer.length is not None for layer in normed] == [False] * 5 + [True]


@pytest.mark.parametrize("critic", [Pyramid(width=4), Dense(width=8)])
def test_other_critics_classify_too(critic: Any) -> None:
    x, y = digits()
    model = built(critic=critic, matching=False, average=0.9)
    labels = few(y[:200], 3)
    fit(model, Told(TEN, x[:200], labels), Plan(steps=4, batch=32, precision="32", device="cpu"))
    assert model.classify(x[:5]).shape == (5, 10)


def test_a_critic_with_batch_statistics_classifies_by_those_of_real_samples() -> None:
    """In the game made samples and labelled ones pass through it as well."""
    x, y = digits()
    model = built(critic=Dense(width=16, normalisation="batch"))
    fit(model, Told(TEN, x[:1000], few(y[:1000], 3)), Plan(steps=30, batch=50, precision="32", device="cpu"))
    norm = batch_norms(model.game.critic)[0]
    inputs: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        model.classify(x[:1000])
    spread = inputs[0].std(0)
    assert norm.running_mean is not None
    assert float(((norm.running_mean - inputs[0].mean(0)) / spread).abs().max()) < 0.1


def test_a_critic_with_spectral_normalisation_has_it_in_its_last_layer() -> None:
    last = built(critic=Dense(width=16, normalisation="spectral")).game.critic.verdict.last  # type: ignore[union-attr]
    assert is_parametrized(last, "weight")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, "none of the 9"),
        (np.full(9, UNLABELLED), "none of the 9"),
        (np.zeros(9, np.int64), "all 9"),
        ([0, 17], "17"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labels: Any, said: str) -> None:
    if isinstance(labels, list):
        labels = np.asarray([*labels, *[UNLABELLED] * 7])
    with pytest.raises(DataError, match=said):
        with_labelled(Told(TEN, torch.rand(9, 1, 8, 8), labels))


def test_data_of_one_class_are_refused() -> None:
    with pytest.raises(DataError, match="two classes"):
        semi_supervised_gan(DIGITS)
