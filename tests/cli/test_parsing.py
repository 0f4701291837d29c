import pytest
import yaml

from urbild.cli.main import COMMANDS
from urbild.cli.parsing import parse
from urbild.errors import OptionError
from urbild.nets.observations import Discretised, Gaussian


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fitt", "unknown command 'fitt'; did you mean fit"),
        ("fit", "PATH is missing"),
        ("fit a b", "'b' is one argument too many; urbild fit PATH [options]"),
        ("fit a --model vea", "unknown model 'vea'; did you mean veegan or vae?"),
        ("fit a --model", "which model? urbild fit PATH [options]; models: autoencoder"),
        ("fit a --latnt 3", "unknown option --latnt of fit with autoencoder; did you mean --latent"),
        ("fit a --beta 3", "unknown option --beta of fit with autoencoder"),
        ("fit a --zzzz 3", "`urbild fit --model autoencoder --help` lists them."),
        ("fit a --steps", "--steps wants a value: a whole number."),
        ("fit a --steps ten", "--steps: 'ten' is not a whole number."),
        ("fit a --steps 1.5", "--steps: '1.5' is not a whole number."),
        ("fit a --steps 0", "--steps: 0 is too small; it must be more than 0."),
        ("fit a --steps -3", "--steps: -3 is too small"),
        ("fit a --alpha much", "--alpha: 'much' is not a number."),
        ("fit a --alpha 1.5", "--alpha: 1.5"),
        ("fit a --size big", "--size: 'big' is neither a number of pixels (64) nor height x width (64x96)."),
        ("fit a --size 0", "--size: 0 is not a size"),
        (
            "fit a --reduction maxi",
            "--reduction: 'maxi' is not one of auto, model, mean, max, top; did you mean max?",
        ),
        ("fit a --upsampling bilinea", "did you mean bilinear?"),
        ("fit a --json=3", "--json takes no value"),
        ("fit a --model vae --likelihood Gausian", "--likelihood: there is no 'Gausian'; did you mean Gaussian?"),
        ("fit a --model vae --likelihood.scale 1", "--likelihood.scale needs --likelihood as well"),
        (
            "fit a --model vae --likelihood bernoulli --likelihood.scale 1",
            "Bernoulli has no 'scale'; it has no options.",
        ),
        ("fit a --config none.yaml", "--config: none.yaml cannot be read (No such file or directory)."),
        ("train", "which model? urbild train NAME PATH [options]; models: autoencoder"),
        ("train vae", "PATH is missing"),
        ("models vea", "unknown model 'vea'; did you mean veegan or vae?"),
        ("demo digit", "there is no demo 'digit'; did you mean digits?"),
        ("compare a --models pca,vea", "unknown model 'vea'"),
        ("fit a --resume", "--resume needs --out"),
    ],
)
def test_bad_words_get_one_sentence(cli, tmp_path, line, words):
    assert words in cli(*line.split()).sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "holds no options"),
        ("{", "is not YAML"),
        ("stepss: 3\n", "has an unknown key 'stepss'; did you mean steps?"),
        ("steps: ten\n", "in --config, --steps: 'ten' is not a whole number."),
        ("options: 3\n", "'options' holds 3"),
        ("options: {latnt: 3}\n", "autoencoder has no option 'latnt'; did you mean latent?"),
        ("options: {latent: few}\n", "in --config, --latent: 'few' is not a whole number."),
        ("latent: 3\n", "The model's own options stand below 'options:'."),
    ],
)
def test_bad_configurations_get_one_sentence(cli, tmp_path, text, words):
    (tmp_path / "run.yaml").write_text(text)
    assert words in cli("fit", "a", "--config", "run.yaml").sentence


LINES = [
    "fit data --model vae --latent 3 --likelihood gaussian --likelihood.scale .1 --size 32x48 --seed 7 --normal a,7",
    "train pca some/where.npz --components 4 --skip-bad --clip 1.5 --out runs/x",
    "fit data --alpha .01 --reduction max --patch 32 --epochs 2 --upsampling bilinear --group-by (\\d+)_",
    "compare digits --models pca,nearest --seeds 2",
    "train vae d --likelihood Discretised --likelihood.noise gaussian",
]


@pytest.mark.parametrize("line", LINES)
def test_a_printed_configuration_gives_the_same_run(cli, tmp_path, line):
    name, *words = line.split()
    printed = cli(name, *words, "--print-config")
    assert printed.code == 0
    (tmp_path / "run.yaml").write_text(printed.out)
    assert cli(name, "--config", "run.yaml", "--print-config").out == printed.out
    again = parse(COMMANDS[name], ["--config", "run.yaml"])
    first = parse(COMMANDS[name], words)
    assert {**again.values, "config": None} == dict(first.values)
    for key, value in first.options.items():
        assert again.options[key] == value


def test_the_command_line_wins_over_the_configuration(tmp_path):
    place = tmp_path / "run.yaml"
    place.write_text(yaml.safe_dump({"path": "a", "model": "vae", "seed": 3, "options": {"latent": 4, "beta": 2.0}}))
    found = parse(COMMANDS["fit"], ["b", "--config", str(place), "--latent", "5", "--seed=1"])
    assert (found["path"], found["model"], found["seed"]) == ("b", "vae", 1)
    assert found.options == {"latent": 5, "beta": 2.0}


def test_parts_are_made_from_their_names_and_fields():
    words = ["x", "--model", "vae", "--likelihood", "gaussian", "--likelihood.scale", ".5"]
    assert parse(COMMANDS["fit"], words).options == {"likelihood": Gaussian(scale=0.5)}
    words = ["x", "--model", "vae", "--likelihood", "Discretised", "--likelihood.levels=4"]
    assert parse(COMMANDS["fit"], words).options == {"likelihood": Discretised(levels=4)}


def test_words_may_stand_in_any_order():
    found = parse(COMMANDS["score"], ["--skip-bad", "run", "--out", "x.csv", "data", "--alpha", "0.1"])
    assert (found["dir"], found["path"], found["skip_bad"], found["alpha"]) == ("run", "data", True, 0.1)
    with pytest.raises(OptionError, match="too many"):
        parse(COMMANDS["score"], ["a", "b", "--skip-bad", "c"])


def test_a_name_that_begins_with_dashes_follows_two():
    assert parse(COMMANDS["models"], ["--", "--odd"])["name"] == "--odd"
