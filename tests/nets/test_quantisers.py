"""Quantisers: the search against its plain form, codebook updates against k-means, gradients against their formulas."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn, optim

from urbild.contract import Batch, DataSpec, Model, Source, Stage, Turn
from urbild.errors import OptionError
from urbild.nets.quantisers import Ema, Gradient, Gumbel, Quantiser, grouped, nearest_codes
from urbild.nets.quantisers.estimators import pass_gradient
from urbild.training import Plan, fit

PARTS = [Ema(codes=8), Ema(codes=8, gradient="rotation", start="uniform"), Gradient(codes=8), Gumbel(codes=8)]
every_part = pytest.mark.parametrize("part", PARTS, ids=repr)


def normals(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# The search


@pytest.mark.parametrize("codes", [1, 3, 16, 37, 512, 2048])
@pytest.mark.parametrize("vectors", [1, 700])
def test_the_search_finds_the_nearest_code(codes: int, vectors: int) -> None:
    z, e = normals(vectors, 24, dtype=torch.float64), normals(codes, 24, seed=1, dtype=torch.float64)
    assert torch.equal(nearest_codes(z, e), torch.cdist(z, e).argmin(1))


def test_in_single_precision_only_near_ties_differ() -> None:
    z, e = normals(3000, 64), normals(1024, 64, seed=1)
    exact = torch.cdist(z.double(), e.double())
    found = exact.gather(1, nearest_codes(z, e)[:, None]).squeeze(1)
    assert ((found - exact.amin(1)) <= 1e-5 * found).all()


def test_far_from_the_origin_neighbours_are_told_apart() -> None:
    z, e = normals(500, 8) * 1e-3 + 3, normals(256, 8, seed=1) * 1e-3 + 3
    exact = torch.cdist(z.double(), e.double(), compute_mode="donot_use_mm_for_euclid_dist")
    found = exact.gather(1, nearest_codes(z, e)[:, None]).squeeze(1)
    assert (found - exact.amin(1)).max() < 1e-6


def test_the_search_ignores_autocast_and_the_layout_of_images() -> None:
    book = Ema(codes=64).build(16).eval()
    book.codes.copy_(normals(64, 16, seed=1))
    z = normals(2, 16, 5, 3)
    plain = book.indices(z)
    assert plain.shape == (2, 5, 3)
    assert torch.equal(plain, torch.cdist(z.movedim(1, -1).reshape(-1, 16), book.codes).argmin(1).view(2, 5, 3))
    assert torch.equal(plain, book.indices(z.contiguous(memory_format=torch.channels_last)))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain, book.indices(z))


# What every quantiser does


@every_part
@pytest.mark.parametrize("sites", [(), (5,), (3, 4)])
def test_shapes_and_lookup(part: Quantiser, sites: tuple[int, ...]) -> None:
    book = part.build(6).eval()
    z = normals(4, 6, *sites)
    said = book(z)
    assert said.z_q.shape == z.shape
    assert said.indices.shape == (4, *sites)
    assert said.indices.dtype == torch.int64
    assert torch.equal(said.indices, book.indices(z))
    assert torch.equal(said.z_q, book.lookup(said.indices)), "bit for bit what decoding the symbols starts from"
    assert book.distance(z, said.indices).shape == (4, *sites)
    assert book.distance(z, said.indices).min() >= 0
    assert all(value.shape == () for value in (said.loss, said.rate, *said.logs.values()))


@every_part
def test_evaluation_changes_and_draws_nothing(part: Quantiser) -> None:
    book = part.build(6)
    book(normals(4, 6, 3))
    book.eval()
    before, state = copy.deepcopy(book.state_dict()), torch.get_rng_state()
    book(normals(4, 6, 3, seed=1))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in book.state_dict().items())


@every_part
def test_losses_are_means_over_the_batch(part: Quantiser) -> None:
    book = part.build(6).eval()
    once = normals(4, 6, 3)
    one, many = book(once), book(once.repeat(5, 1, 1))
    torch.testing.assert_close(one.loss, many.loss)
    torch.testing.assert_close(one.rate, many.rate)


@every_part
def test_losses_stay_in_full_precision_under_autocast(part: Quantiser) -> None:
    book = part.build(6)
    narrow = copy.deepcopy(book)
    z = normals(64, 6, 3).bfloat16()
    torch.manual_seed(0)
    wide = book(z.float())
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = narrow(z)
    assert found.loss.dtype == found.rate.dtype == found.z_q.dtype == torch.float32
    if not isinstance(part, Gumbel):  # whose logits are a layer like others
        torch.testing.assert_close(found.loss, wide.loss)
        for name, value in book.state_dict().items():
            torch.testing.assert_close(narrow.state_dict()[name], value)


def test_perplexity_and_codes_in_use() -> None:
    book = Ema(codes=4).build(1).eval()
    book.codes.copy_(torch.tensor([[0.0], [1.0], [2.0], [9.0]]))
    logs = book(torch.tensor([[0.0], [0.1], [1.0], [2.0]])).logs
    entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert float(logs["perplexity"]) == pytest.approx(math.exp(entropy))
    assert float(logs["active"]) == 3


# Codebooks of moving averages


def test_without_memory_an_update_is_a_step_of_k_means() -> None:
    book = Ema(codes=6, decay=0.0, smoothing=0.0, revive=None, start="uniform").build(3)
    book.codes.copy_(torch.cat([normals(5, 3), torch.full((1, 3), 100.0)]))
    before, z = book.codes.clone(), normals(50, 3, seed=1)
    chosen = torch.cdist(z, before).argmin(1)
    book(z)
    for code in range(6):
        mine = z[chosen == code]
        torch.testing.assert_close(book.codes[code], mine.mean(0) if len(mine) else before[code])
    assert (chosen != 5).all(), "a code out of use stays where it was"


def test_an_update_follows_the_formula() -> None:
    part = Ema(codes=4, decay=0.9, smoothing=1e-2, revive=None, start="uniform")
    book = part.build(2)
    counts, sums, z = torch.ones(4), book.codes.clone(), normals(30, 2)
    for _ in range(3):
        one_hot = torch.nn.functional.one_hot(torch.cdist(z, book.codes).argmin(1), 4).float()
        counts = 0.9 * counts + 0.1 * one_hot.sum(0)
        sums = 0.9 * sums + 0.1 * one_hot.mT @ z
        smooth = (counts + 1e-2) / (counts.sum() + 4e-2) * counts.sum()
        book(z)
        torch.testing.assert_close(book.codes, sums / smooth[:, None])


def test_codes_that_the_first_batch_leaves_out_stay_near() -> None:
    book = Ema(codes=64, start="uniform").build(4)
    before = book.codes.clone()
    book(normals(8, 4))
    assert (book.codes - before).norm(dim=1).max() < 1


def test_idle_codes_return_as_vectors_of_the_batch() -> None:
    book = Ema(codes=5, revive=3, start="uniform").build(2)
    book.codes.copy_(torch.cat([torch.zeros(1, 2), torch.full((4, 2), 50.0)]))
    book.sums.copy_(book.codes)
    z = 0.1 * normals(40, 2)
    book(z)
    book(z)
    assert (book.codes[1:] > 40).all()
    book(z)
    assert (book.codes[1:, None] == z).all(2).any(1).all()
    assert float(book(z).logs["active"]) > 1
    patient = Ema(codes=5, revive=None, start="uniform").build(2)
    patient.codes.copy_(torch.cat([torch.zeros(1, 2), torch.full((4, 2), 50.0)]))
    patient.sums.copy_(patient.codes)
    for _ in range(5):
        patient(z)
    assert (patient.codes[1:] > 40).all()


def test_k_means_starts_a_codebook_once() -> None:
    torch.manual_seed(0)
    centres = 10 * normals(4, 3)
    z = centres[torch.randint(4, (200,))] + 0.01 * normals(200, 3, seed=1)
    book = Ema(codes=16).build(3)
    said = book(z)
    assert float(said.logs["distance"]) < 0.01
    codes = book.codes.clone()
    book(z + 100)
    moved = (book.codes - codes).norm(dim=1) > 1
    assert moved.sum() == 1, "of the second batch, only the nearest code learns"


def test_more_codes_than_vectors_start_apart() -> None:
    book = Ema(codes=32).build(3)
    book(normals(5, 3))
    assert torch.pdist(book.codes).min() > 0


def test_resuming_is_exact() -> None:
    def batch(step: int) -> Tensor:
        torch.manual_seed(step)  # as the engine does
        return normals(40, 4, seed=step)

    whole, first, later = (Ema(codes=16, revive=2).build(4) for _ in range(3))
    for step in range(6):
        whole(batch(step))
    for step in range(3):
        first(batch(step))
    later.load_state_dict(first.state_dict())
    for step in range(3, 6):
        later(batch(step))
    assert all(torch.equal(value, later.state_dict()[name]) for name, value in whole.state_dict().items())


# Gradients


def test_the_commitment_and_the_codebook_pull_by_their_formulas() -> None:
    book = Gradient(codes=4, commitment=0.5).build(3)
    z = normals(10, 3).requires_grad_()
    said = book(z)
    said.loss.backward()
    q = book.codes.detach()[said.indices]
    torch.testing.assert_close(z.grad, 0.5 * 2 * (z.detach() - q) / z.numel())
    expected = torch.zeros_like(book.codes).index_add_(0, said.indices, 2 * (q - z.detach()) / z.numel())
    torch.testing.assert_close(book.codes.grad, expected)


def gradients(how: str, z: Tensor, q: Tensor, upstream: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    passed = pass_gradient(z, q, how)  # type: ignore[arg-type]
    assert torch.equal(passed, q)
    passed.backward(upstream)
    assert z.grad is not None
    return z.grad


def test_the_straight_estimator_copies() -> None:
    z, q, upstream = normals(3, 5, 4)
    assert torch.equal(gradients("straight", z, q, upstream), upstream)


def test_the_rotation_is_one_and_takes_the_vector_to_its_code() -> None:
    z, q = normals(2, 20, 6, dtype=torch.float64)
    columns = [gradients("rotation", z, q, torch.eye(6, dtype=torch.float64)[i].expand(20, 6)) for i in range(6)]
    scaled = torch.stack(columns, 1)  # [20, i, j]: row i of lambda R
    torch.testing.assert_close((scaled @ z[..., None]).squeeze(-1), q)
    rotation = scaled / (q.norm(dim=1) / z.norm(dim=1))[:, None, None]
    identity = torch.eye(6, dtype=torch.float64).expand(20, 6, 6)
    torch.testing.assert_close(rotation @ rotation.mT, identity)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(20, dtype=torch.float64))


def test_the_rotation_keeps_angles_and_scales_norms() -> None:
    z, q, upstream = normals(3, 50, 6, dtype=torch.float64)
    found = gradients("rotation", z, q, upstream)
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(cosine(found, z), cosine(upstream, q))
    torch.testing.assert_close(found.norm(dim=1) / upstream.norm(dim=1), q.norm(dim=1) / z.norm(dim=1))
    torch.testing.assert_close(gradients("rotation", z, z, upstream), upstream)


def test_vectors_across_the_plane_of_the_rotation_are_only_scaled() -> None:
    z, q = (torch.tensor([row], dtype=torch.float64) for row in ([3.0, 1.0, 0.0], [0.5, 2.0, 0.0]))
    across = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(gradients("rotation", z, q, across), across * q.norm() / z.norm())


def test_where_no_rotation_is_defined_the_gradient_is_copied() -> None:
    z = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 1.0]])
    q = torch.tensor([[-1.0, -2.0], [1.0, 0.0], [0.0, 0.0]])
    assert torch.equal(gradients("rotation", z, q, torch.ones(3, 2)), torch.ones(3, 2))


# The relaxed choice


def test_the_divergence_of_a_choice() -> None:
    book = Gumbel(codes=4).build(4).eval()
    with torch.no_grad():
        book.logits.bias.zero_()
        book.logits.weight.copy_(torch.eye(4))
        uniform, sure = book(torch.zeros(2, 4, 3)), book(1e4 * torch.eye(4)[:2, :, None].expand(2, 4, 3))
    assert float(uniform.rate) == pytest.approx(0, abs=1e-6)
    assert float(sure.rate) == pytest.approx(3 * math.log(4), rel=1e-5), "summed over the three sites of a sample"
    assert torch.equal(sure.z_q[0, :, 0], book.codes[0]), "hard in evaluation"


def test_soft_choices_have_the_moments_of_the_relaxation() -> None:
    torch.manual_seed(0)
    book = Gumbel(codes=4).build(4)
    with torch.no_grad():
        book.logits.bias.copy_(torch.tensor([0.5, 0.3, 0.15, 0.05]).log())
        book.codes.copy_(torch.eye(4))
        y = book(torch.zeros(100_000, 4), progress=0.0).z_q
    share = torch.bincount(y.argmax(1), minlength=4) / len(y)
    torch.testing.assert_close(share, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.006, rtol=0)
    torch.testing.assert_close(y.mean(0), torch.tensor([0.429, 0.303, 0.186, 0.083]), atol=0.006, rtol=0)


def test_the_temperature_falls_to_the_middle_of_training() -> None:
    part = Gumbel(hot=2.0, cold=0.5)
    assert part.temperature(0) == 2.0
    assert part.temperature(0.25) == pytest.approx(1.25)
    assert part.temperature(0.5) == part.temperature(1) == 0.5


# Several codebooks, refusals, processes


@every_part
def test_groups_share_the_channels(part: Quantiser) -> None:
    books = grouped(part, 6, 3).eval()
    z = normals(4, 6, 2, 5)
    said = books(z)
    assert said.indices.shape == (4, 3, 2, 5)
    assert torch.equal(said.z_q, books.lookup(books.indices(z)))
    assert torch.equal(books.indices(z)[:, 1], books.books[1].indices(z[:, 2:4]))
    assert books.distance(z, said.indices).shape == (4, 2, 5)
    with pytest.raises(OptionError, match="do not divide"):
        grouped(part, 6, 4)


@pytest.mark.parametrize(
    "part",
    [Ema(codes=0), Ema(decay=1.0), Ema(revive=0), Ema(smoothing=-1.0), Gradient(commitment=0.0), Gumbel(cold=0.0)],
    ids=repr,
)
def test_what_is_out_of_range_is_refused(part: Quantiser) -> None:
    with pytest.raises(OptionError, match=r"positive|decay"):
        part.build(4)


class Rows(Source):
    """A matrix."""

    spec = DataSpec(shape=(6,), kind="vector")

    def __len__(self) -> int:
        return 96

    def fetch(self, rows, *, epoch: int = 0) -> Batch:  # type: ignore[no-untyped-def]
        index = torch.as_tensor(list(rows))
        return Batch(x=normals(96, 6)[index], index=index)


class Quantising(Model):
    """A linear map and a codebook, which fails where the processes' codebooks differ."""

    def __init__(self, part: Quantiser) -> None:
        super().__init__()
        self.spec = Rows.spec
        self.map, self.book = nn.Linear(6, 4), part.build(4)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        said = self.book(self.map(batch.x), batch.progress)
        own = torch.cat([value.flatten().float() for value in self.book.state_dict().values()])
        if torch.distributed.is_initialized():
            everyone = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather(everyone, own)
            assert all(torch.equal(everyone[0], other) for other in everyone)
        return {"loss": (said.z_q - batch.x[:, :4]).square().mean() + said.loss}

    def stages(self) -> list[Stage]:
        def sgd(named):  # type: ignore[no-untyped-def]
            return optim.SGD([p for _, p in named], lr=0.1)

        turn = Turn(name="learn", modules=[self.map, self.book], loss=self.loss, optimiser=sgd)
        return [Stage(name="only", turns=[turn])]


def test_two_processes_have_one_codebook() -> None:
    fit(Quantising(Ema(codes=64, revive=2)), Rows(), Plan(steps=6, batch=16, device="cpu", devices=2))


def test_two_processes_learn_the_codebook_of_one() -> None:
    torch.manual_seed(0)
    alone = Quantising(replace(Ema(codes=8), start="uniform", decay=0.5))
    together = copy.deepcopy(alone)
    fit(alone, Rows(), Plan(steps=8, batch=16, device="cpu"))
    fit(together, Rows(), Plan(steps=8, batch=16, device="cpu", devices=2))
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], value, atol=1e-5, rtol=1e-5)
