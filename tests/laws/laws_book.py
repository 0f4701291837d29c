"""The laws that every system obeys. Each takes a case and fails by an assertion.

`test_laws` tries them on the catalogue, `test_laws_bite` on faults that were seen in published code.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from laws_kit import BATCH, Case, Part, alone, answers, rowwise, samples, source, train
from torch import Tensor

from urbild.catalogue import parameters, parts_of
from urbild.contract import Density, Discrete, Model, Reconstructs, Samples, Scores
from urbild.errors import OptionError

TOLERANCE = 1e-5  # of an answer's size


def _snapshot(model: Model) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].shape == b[k].shape and torch.equal(a[k], b[k]) for k in a)


def _close(value: Tensor, expected: Tensor, what: str) -> None:
    assert value.shape == expected.shape, what
    scale = float(expected.abs().max()) or 1.0
    assert float((value - expected).abs().max()) <= TOLERANCE * scale, what


def gradient_reaches_every_parameter(case: Case) -> None:
    model = case.build()
    for stage in model.stages():
        own = stage.source(source(case.spec)) if stage.source is not None else source(case.spec)
        batch = own.fetch(range(BATCH))
        for turn in stage.turns:
            model.train()
            model.zero_grad(set_to_none=True)
            turn.loss(batch)["loss"].backward()
            for module in turn.modules:
                for name, parameter in module.named_parameters():
                    assert parameter.grad is not None, f"{stage.name}/{turn.name}: {name} gets no gradient"
                    assert torch.isfinite(parameter.grad).all(), f"{stage.name}/{turn.name}: {name}"


def a_turn_moves_only_its_own_modules(case: Case) -> None:
    for s, stage in enumerate(case.build().stages()):
        for t, turn in enumerate(stage.turns):
            model = train(case.build(), case.spec, steps=2)  # solvers have run
            stage = model.stages()[s]  # noqa: PLW2901 -- the same stage, of the model that is trained
            own = {id(p) for module in stage.turns[t].modules for p in module.parameters()}
            assert own, f"{turn.name} trains nothing"
            inside = {id(b) for module in stage.turns[t].modules for b in module.buffers()}
            before = {name: (value, value.detach().clone()) for name, value in model.named_parameters()}
            buffers = {name: (value, value.clone()) for name, value in model.named_buffers()}
            train(Part(model, [alone(stage, t)]), case.spec, steps=2)
            moved = {id(value) for value, old in before.values() if not torch.equal(value, old)}
            assert moved, f"{turn.name} moved nothing"
            strays = [n for n, (value, _) in before.items() if id(value) in moved - own]
            strays += [n for n, (b, old) in buffers.items() if id(b) not in inside and not torch.equal(b, old)]
            assert not strays, f"{turn.name} moved {strays}"


def later_stages_leave_earlier_modules_alone(case: Case) -> None:
    for count in range(1, len(case.build().stages())):
        model = case.build()
        first, later = model.stages()[:count], model.stages()[count:]
        train(Part(model, first), case.spec)
        own = {id(m) for stage in later for turn in stage.turns for top in turn.modules for m in top.modules()}
        kept = [m for stage in first for turn in stage.turns for m in turn.modules if id(m) not in own]
        before = [{name: value.clone() for name, value in module.state_dict().items()} for module in kept]
        train(Part(model, later), case.spec)
        for module, state in zip(kept, before, strict=True):
            assert same(dict(module.state_dict()), state), f"stages after {first[-1].name!r} moved {type(module)}"


def same_seed_same_model(case: Case) -> None:
    first, again = train(case.build(), case.spec), train(case.build(), case.spec)
    assert same(_snapshot(first), _snapshot(again))
    if any(stage.turns for stage in first.stages()):
        assert not same(_snapshot(first), _snapshot(case.build())), "training moves something"
        assert not same(_snapshot(first), _snapshot(train(case.build(seed=1), case.spec))), "the seed matters"


def everything_exists_from_the_start(case: Case) -> None:
    model = case.build()
    before = _snapshot(model)
    names = [(stage.name, [turn.name for turn in stage.turns]) for stage in model.stages()]
    assert names == [(stage.name, [turn.name for turn in stage.turns]) for stage in model.stages()]
    assert len({name for name, _ in names}) == len(names), "stages have names of their own"
    assert same(before, _snapshot(model)), "asking for the stages changes nothing"
    assert before.keys() == train(model, case.spec).state_dict().keys(), "a stage adds no parameter or buffer"


def the_score_ignores_company_and_order(case: Case) -> None:
    model, x = case.trained(), samples(case.spec, 6, seed=5)
    strangers = samples(case.spec, 5, seed=6).flip(1)
    together = rowwise(model, x)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = rowwise(model, x[order])
    crowd = rowwise(model, torch.cat([strangers, x]))
    single = [rowwise(model, x[row : row + 1]) for row in range(len(x))]
    for verb, value in together.items():
        assert len(value) == len(x), verb
        assert torch.isfinite(value).all(), verb
        _close(shuffled[verb], value[order], f"{verb}: order")
        _close(crowd[verb][len(strangers) :], value, f"{verb}: company")
        _close(torch.cat([one[verb] for one in single]), value, f"{verb}: alone")


def verbs_draw_nothing(case: Case) -> None:
    model, x = case.trained(), samples(case.spec, 4, seed=5)
    state = torch.get_rng_state()
    first, again = answers(model, x), answers(model, x)
    assert same(first, again), "the same question, the same answer"
    assert torch.equal(state, torch.get_rng_state()), "the global generator is not used"


def the_map_covers_the_sites(case: Case) -> None:
    model, x = case.trained(), samples(case.spec, 2, seed=5)
    assert isinstance(model, Scores)
    with torch.no_grad():
        before = model.anomaly(x)
        assert before.score.shape == (2,)
        if before.map is None:
            return
        assert before.map.shape == (2, *case.spec.sites)
        assert before.map.min() >= 0
        channel_last = case.spec.kind in ("vector", "sequence")
        for site in (tuple(0 for _ in case.spec.sites), tuple(size - 1 for size in case.spec.sites)):
            changed = x.clone()
            index = (0, *site) if channel_last else (0, *site[:-2], slice(None), *site[-2:])
            if isinstance(model, Discrete):  # a symbol stands for many sites, and one of them may not change it
                index = (0,)
            changed[index] += torch.where(changed[index] > 0.5, -3.0, 3.0)  # black becomes white, and white black
            after = model.anomaly(changed)
            assert after.map is not None
            seen = after.map[(0, *site)] - before.map[(0, *site)]
            # a surprise may be smaller at the end of the scale, an error may not
            surprise = isinstance(model, (Density, Discrete))
            assert seen > 0 or (surprise and seen != 0), f"the map does not see site {site}"


def the_reconstruction_depends_on_x(case: Case) -> None:
    model = case.trained()
    assert isinstance(model, Reconstructs)
    with torch.no_grad():
        x = samples(case.spec, 4, seed=5)
        version = model.reconstruct(x)
    assert version.shape == x.shape
    assert float((version - version[:1])[1:].abs().amax(dim=tuple(range(1, x.dim()))).min()) > 1e-7


def sampling_follows_the_generator(case: Case) -> None:
    model = case.trained()
    assert isinstance(model, Samples)

    def draw(seed: int, **settings: Any) -> Tensor:
        with torch.no_grad():
            return model.sample(5, generator=torch.Generator().manual_seed(seed), **settings)

    assert draw(0).shape == (5, *case.spec.shape)
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert len(torch.unique(draw(0), dim=0)) > 1, "the samples of a draw differ"
    assert not torch.equal(draw(0), draw(0, temperature=0.5))


def images_stay_in_their_range(case: Case) -> None:
    said = answers(case.trained(), samples(case.spec, 4, seed=5))
    for verb in ("sample", "decode", "reconstruct", "complete"):
        if verb in said and case.spec.kind in ("image", "video"):
            assert 0 <= float(said[verb].min()) <= float(said[verb].max()) <= 1, verb


def it_trains_on_two_samples(case: Case) -> None:
    model = train(case.build(), case.spec, n=2, steps=2)
    for verb, value in answers(model, samples(case.spec, 3, seed=5)).items():
        assert torch.isfinite(value).all(), verb


# No dead knobs


def _annotated(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is Literal or not inner:
        return [annotation]
    return [leaf for entry in inner for leaf in _annotated(entry)]


def _alternatives(value: Any, annotation: Any) -> list[Any]:
    """Other values of an option, a number's double first."""
    leaves = _annotated(annotation)
    found: list[Any] = [choice for leaf in leaves if get_origin(leaf) is Literal for choice in get_args(leaf)]
    if isinstance(value, bool):
        found.append(not value)
    elif isinstance(value, int):
        found += [2 * value, max(1, value // 2), value + 2, 3]
    elif isinstance(value, float):
        found += [2 * value, value / 2]
    elif value is None:
        found += [3 for leaf in leaves if leaf is int] + [0.05 for leaf in leaves if leaf is float]
    for part in parts_of(annotation):
        found += [part()] if _makes_itself(part) else []
    return [other for other in found if other != value]


def _makes_itself(part: type) -> bool:
    try:
        part()
    except TypeError:
        return False
    return True


def knobs(case: Case) -> list[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Each option, and each field of each part, with options around it and other values of it."""
    found = []
    for name, parameter in parameters(case.name).items():
        value = case.options.get(name, parameter.default)
        others = _alternatives(value, parameter.annotation)
        found.append((name, dict(case.options), [{**case.options, name: other} for other in others]))
        parts = [other for other in [value, *others] if is_dataclass(other)]
        for part in parts:
            if hasattr(part, "system"):
                continue  # its fields are the options of another system, on which they are tried
            hints = get_type_hints(type(part))
            for knob in fields(part):
                values = _alternatives(getattr(part, knob.name), hints[knob.name])
                changed = [{**case.options, name: replace(part, **{knob.name: v})} for v in values]
                found.append((f"{name}.{type(part).__name__}.{knob.name}", {**case.options, name: part}, changed))
    return found


_ANSWERS: dict[Any, dict[str, Tensor] | None] = {}  # most options are tried around the same others


def _answers_with(case: Case, options: dict[str, Any], spec: Any) -> dict[str, Tensor] | None:
    tried = Case(case.name, spec, options, case.planted)
    if tried.key not in _ANSWERS:
        try:
            _ANSWERS[tried.key] = answers(tried.trained(), samples(spec, 4, seed=5))
        except OptionError:
            _ANSWERS[tried.key] = None  # such data do not take that value
    return _ANSWERS[tried.key]


def a_knob_is_alive(case: Case, base: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    """Whether two values of an option give different answers, on some data that the system takes."""
    for spec in case.specs:
        first: dict[str, Tensor] | None = None
        for options in (base, *others):
            said = _answers_with(case, options, spec)
            if said is not None and first is not None and not same(first, said):
                return True
            first = first or said
    return False
