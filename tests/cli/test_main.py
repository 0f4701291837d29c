import os
import subprocess
import sys
from dataclasses import replace

import pytest

from urbild import catalogue
from urbild.cli.builders import options_of
from urbild.cli.main import COMMANDS


def test_overview_names_every_command(cli):
    answer = cli("--help")
    assert answer.code == 0
    for name, command in COMMANDS.items():
        assert name in answer.out
        assert command.summary in answer.out
    assert cli().out == answer.out


def test_help_is_fast_and_imports_nothing_heavy():
    code = "import sys; from urbild.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    spent = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    loaded = set(done.stderr.split())
    assert not loaded & {"torch", "numpy", "pandas", "sklearn", "matplotlib"}
    assert min(spent) < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(cli, name):
    answer = cli(name, "--help")
    assert answer.code == 0
    assert answer.out.startswith("usage: " + COMMANDS[name].usage)
    assert COMMANDS[name].example in " ".join(answer.out.split())
    for option in COMMANDS[name].options.values():
        assert f"--{option.name}" in answer.out


def test_help_of_fit_shows_the_options_of_the_model(cli):
    assert "--likelihood.scale" in cli("fit", "--model", "vae", "--help").out
    assert "--components" in cli("train", "pca", "--help").out


@pytest.mark.parametrize("name", catalogue.cards())
def test_no_option_of_a_model_hides_behind_an_option_of_a_command(name):
    for command in ("fit", "train"):
        shown = {entry.path[0] for entry in options_of(name, COMMANDS[command].options)}
        assert shown == set(catalogue.parameters(name))


def test_a_bug_keeps_its_traceback(cli, monkeypatch):
    def broken(arguments, console):
        raise ZeroDivisionError

    command = COMMANDS["models"]
    monkeypatch.setattr("urbild.cli.main.COMMANDS", {**COMMANDS, "models": replace(command, run=broken)})
    with pytest.raises(ZeroDivisionError):
        cli("models")


@pytest.mark.parametrize("words", ["--help", "models", "models --json --quiet"])
def test_a_broken_pipe_is_quiet(words):
    code = f"from urbild.cli.main import main; import sys; sys.exit(main({words.split()}))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


def test_version(cli):
    assert cli("--version").out.startswith("urbild 0.")
