import pytest
import torch
from training_toys import OnePlayer, TwoPlayers, TwoStages, rows

from urbild.contract import DataSpec
from urbild.training import Plan, fit

SPEC = DataSpec(shape=(6,), kind="vector")


class Ranked(TwoPlayers):
    """Fails the run where the processes' weights or buffers differ."""

    def criticise(self, batch):
        own = torch.cat([v.flatten().float() for v in self.state_dict().values()])
        everyone = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(everyone, own)
        assert all(torch.equal(everyone[0], other) for other in everyone)
        return super().criticise(batch)


def build(kind, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(SPEC, **options)


def test_two_processes_give_the_curve_of_one():
    alone, together = build(OnePlayer), build(OnePlayer)
    one = fit(alone, rows(), Plan(steps=12, batch=16, device="cpu"))
    two = fit(together, rows(), Plan(steps=12, batch=16, device="cpu", devices=2))
    assert two.protocol["processes"] == 2
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(value, together.state_dict()[name], atol=1e-5, rtol=1e-5)
    assert [r.step for r in one.rows] == [r.step for r in two.rows]


@pytest.mark.parametrize("kind", [Ranked, TwoStages])
def test_with_noise_and_batch_statistics_all_ranks_agree(kind):
    model = build(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    outcome = fit(model, rows(), Plan(steps=8, batch=16, device="cpu", devices=2))
    assert sum(outcome.protocol["steps"].values()) == 8
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert {name.partition(".")[0] for name in moved} >= {name for name, _ in model.named_children()}
