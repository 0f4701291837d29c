"""Spectral normalisation: its layers can be copied and sent to other processes."""

import pickle
from copy import deepcopy

import pytest
import torch
from models_kit import Rows
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.models.adversarial.gan import gan
from urbild.nets.adversaries import Dense
from urbild.nets.spectral import spectral
from urbild.training import Plan, fit

POINTS = DataSpec(shape=(3,), kind="vector")


def network() -> nn.Module:
    torch.manual_seed(0)
    return spectral(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.Flatten(), nn.Linear(12, 2)))


def test_a_network_that_was_sent_is_the_same_and_learns_the_same() -> None:
    own = network()
    before = torch.get_rng_state()
    sent = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(own))))
    assert torch.equal(torch.get_rng_state(), before)
    assert [name for name, _ in own.named_parameters()] == [name for name, _ in sent.named_parameters()]
    assert list(own.state_dict()) == list(sent.state_dict())
    x = torch.randn(5, 2, 4, 4)

    def moved(net: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            net(x).square().mean().backward()
            optimiser.step()
        return net.eval()(x).detach(), net.state_dict()

    (ours, weights), (theirs, copies) = moved(own), moved(sent)
    assert torch.equal(ours, theirs)
    assert all(torch.equal(weights[name], copies[name]) for name in weights)


def test_what_was_sent_shares_nothing_and_stays_normalised() -> None:
    own = network().eval()
    sent = pickle.loads(pickle.dumps(own))
    copy = deepcopy(sent)
    with torch.no_grad():
        own[2].parametrizations.weight.original.mul_(2)
        copy[2].parametrizations.weight.original.mul_(5)
    norm = torch.linalg.matrix_norm(sent[2].weight, 2)
    assert norm.item() == pytest.approx(1, rel=0.05)
    assert not sent.training


def test_two_processes_train_a_normalised_critic() -> None:
    torch.manual_seed(0)
    small = Dense(width=4)
    model = gan(POINTS, generator=small, critic=Dense(width=4, normalisation="spectral"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    source = Rows(POINTS, torch.randn(32, 3, generator=torch.Generator().manual_seed(0)))
    outcome = fit(model, source, Plan(steps=2, batch=8, device="cpu", devices=2))
    assert outcome.protocol["processes"] == 2
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name, _ in model.named_parameters()} <= changed
