"""Every system of the catalogue obeys the laws. A system is tested by being listed."""

import inspect
import json
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import laws_book as laws
import pytest
import torch
from laws_kit import BATCH, STEPS, Case, answers, cases, samples, source, train
from torch import Tensor

from urbild.artifacts import save
from urbild.catalogue import builder, cards, decode_options, encode_options, parameters
from urbild.contract import VERBS, Density, Reconstructs, Samples, Scores, verbs_of
from urbild.training import CHECKPOINT, Plan, fit

every_case = pytest.mark.parametrize("case", cases(), ids=str)
every_card = pytest.mark.parametrize(
    "case", [c for i, c in enumerate(cases()) if c.name != cases()[i - 1].name], ids=str
)


@every_case
@pytest.mark.parametrize(
    "law",
    [
        laws.gradient_reaches_every_parameter,
        laws.a_turn_moves_only_its_own_modules,
        laws.later_stages_leave_earlier_modules_alone,
        laws.same_seed_same_model,
        laws.everything_exists_from_the_start,
        laws.the_score_ignores_company_and_order,
        laws.verbs_draw_nothing,
        laws.images_stay_in_their_range,
        laws.it_trains_on_two_samples,
    ],
    ids=lambda law: law.__name__,
)
def test_law(law, case: Case) -> None:  # type: ignore[no-untyped-def]
    law(case)


@pytest.mark.parametrize("case", cases(Scores), ids=str)
def test_the_map_covers_the_sites(case: Case) -> None:
    laws.the_map_covers_the_sites(case)


@pytest.mark.parametrize("case", cases(Reconstructs), ids=str)
def test_the_reconstruction_depends_on_x(case: Case) -> None:
    laws.the_reconstruction_depends_on_x(case)


@pytest.mark.parametrize("case", cases(Samples), ids=str)
def test_sampling_follows_the_generator(case: Case) -> None:
    laws.sampling_follows_the_generator(case)


@pytest.mark.parametrize("case", cases(Density), ids=str)
def test_a_likelihood_says_what_it_is(case: Case) -> None:
    model = case.trained()
    assert isinstance(model, Density)
    with torch.no_grad():
        few, many = model.log_prob(samples(case.spec, 3)), model.log_prob(samples(case.spec, 3), draws=5)
    assert few.value.shape == many.value.shape == (3,)
    assert {few.kind, many.kind} <= {"exact", "ELBO", "IWAE"}
    if few.kind == "exact":
        assert (few.draws, many.draws) == (0, 0)
    else:
        assert (few.draws, many.draws) == (1, 5)


@every_card
def test_no_dead_knobs(case: Case) -> None:
    dead = [name for name, base, others in laws.knobs(case) if not laws.a_knob_is_alive(case, base, others)]
    assert not dead, f"changing {dead} changes nothing that can be observed"


class Cut(Exception):
    """A power cut."""


@every_card
def test_a_run_that_was_cut_off_reaches_the_same_weights(case: Case, tmp_path: Path) -> None:
    plan = Plan(steps=STEPS, batch=BATCH, precision="32", checkpoint_every=2, device="cpu")
    whole = train(case.build(), case.spec)
    broken = case.build()
    stages = broken.stages()
    if not any(stage.turns for stage in stages):
        fit(broken, source(case.spec), plan, directory=tmp_path)
    else:
        _cut(stages[-1].turns[-1], at=3 // len(stages))
        broken.stages = lambda: stages  # type: ignore[method-assign]
        with pytest.raises(Cut):
            fit(broken, source(case.spec), plan, directory=tmp_path)
        assert (tmp_path / CHECKPOINT).exists()
    resumed = case.build(seed=1)
    fit(resumed, source(case.spec), plan, directory=tmp_path, resume=True)
    assert laws.same(dict(whole.state_dict()), dict(resumed.state_dict()))


def _cut(turn, *, at: int) -> None:  # type: ignore[no-untyped-def]
    spied = turn.loss

    def loss(batch):  # type: ignore[no-untyped-def]
        if batch.step == at:
            raise Cut
        return spied(batch)

    object.__setattr__(turn, "loss", loss)


FRESH = """
import json, sys, torch
from safetensors.torch import save_file, load_file
from urbild.artifacts import load, restore
from urbild.catalogue import build, decode_options
from urbild.contract import DataSpec
from urbild.training import place
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from laws_kit import answers
torch.set_num_threads(int(sys.argv[3]))
for home in sorted(Path(sys.argv[2]).iterdir()):
    tensors, manifest = load(home)
    spec = DataSpec(**{k: tuple(v) if isinstance(v, list) else v for k, v in manifest["spec"].items()})
    model = place(build(manifest["name"], spec, decode_options(manifest["name"], manifest["options"]), seed=7))
    restore(model, tensors)
    x = load_file(home / "x.safetensors")["x"]  # a copy has the alignment of new tensors, which the last bit can feel
    said = answers(model.eval(), x.clone())
    save_file({verb: value.contiguous() for verb, value in said.items()}, home / "said.safetensors")
"""


def test_saved_systems_answer_the_same_bits_in_a_fresh_process(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    expected: dict[str, dict[str, Tensor]] = {}
    for case in cases():
        model, x = case.trained(), samples(case.spec, 4, seed=5)
        spec = json.loads(json.dumps(asdict(case.spec)))
        manifest = {"name": case.name, "options": encode_options(case.options), "spec": spec}
        save(tmp_path / str(case), model.state_dict(), manifest)
        save_file({"x": x}, tmp_path / str(case) / "x.safetensors")
        expected[str(case)] = answers(model, x)
    command = [sys.executable, "-c", FRESH, str(Path(__file__).parent), str(tmp_path), str(torch.get_num_threads())]
    subprocess.run(command, check=True, timeout=300)
    for name, said in expected.items():
        found = load_file(tmp_path / name / "said.safetensors")
        assert laws.same(found, said), name


@every_card
def test_the_card_tells_the_truth(case: Case) -> None:
    model, entry = case.trained(), case.card
    assert set(entry.verbs) == set(verbs_of(model)), "the card's verbs are the class's"
    assert set(entry.verbs) <= set(VERBS)
    assert entry.kinds
    assert (entry.epochs == 0) == (not any(stage.turns for stage in model.stages())), "only solvers need no epochs"
    assert not [kind for kind in type(model).__subclasses__()], "a model is final"


@every_card
def test_the_module_cites_its_source(case: Case) -> None:
    module = import_module(case.card.module)
    text = module.__doc__ or ""
    assert case.card.url in text
    author, year = (
        case.card.paper.split()[0].strip(","),
        next(w for w in case.card.paper.split() if w.strip(",").isdigit()),
    )
    assert author in text
    assert year.strip(",") in text
    path = Path(module.__file__ or "")
    assert f".models.{case.card.family}." in case.card.module
    assert path.stem == case.name
    assert len(path.read_text().splitlines()) <= 400


@every_card
def test_the_builder_is_the_configuration(case: Case) -> None:
    build = builder(case.name)
    names = list(inspect.signature(build).parameters)
    known = parameters(case.name)
    assert names == ["spec", *known], "data spec first, keyword-only options after it"
    assert len(known) <= 8
    for name, parameter in known.items():
        assert parameter.annotation is not inspect.Parameter.empty, f"{name} has a type"
        assert parameter.default is not inspect.Parameter.empty, f"{name} has a default"
        assert f"{name}:" in (build.__doc__ or ""), f"{name} is documented"
    defaults = {name: parameter.default for name, parameter in known.items()}
    written = json.loads(json.dumps(encode_options(defaults)))
    assert decode_options(case.name, written) == defaults, "options survive being written as JSON"
    assert set(case.options) <= set(known)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_case
def test_a_gpu_answers_as_the_cpu_does(case: Case) -> None:
    from copy import deepcopy

    model, x = case.trained(), samples(case.spec, 4, seed=5)
    there = deepcopy(model).to("cuda")
    for verb, value in answers(there, x.to("cuda")).items():
        if verb != "sample":
            torch.testing.assert_close(value.cpu(), answers(model, x)[verb], rtol=1e-3, atol=1e-4)


def test_all_cards_are_tried() -> None:
    assert {case.name for case in cases()} == set(cards())
