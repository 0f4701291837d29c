"""Ctrl-C keeps a checkpoint, says how to go on, and going on gives the same bits."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

SMALL = ["--latent", "2", "--width", "4", "--steps", "1500", "--batch", "8", "--seed", "3"]


def interrupted(words: list[str], run: str, place: Path) -> tuple[int, str]:
    """Starts a command, presses Ctrl-C when it trains, and gives its exit code and last words."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    line = [sys.executable, "-m", "urbild.cli.main", *words]
    with subprocess.Popen(line, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:
        metrics = place / run / "metrics.csv"
        until = time.monotonic() + 120
        while not (metrics.exists() and metrics.stat().st_size > 100) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.parametrize("command", [["train", "autoencoder"], ["fit"]])
def test_an_interrupted_run_goes_on_to_the_same_bits(cli, digits, tmp_path, command):
    words = [*command, str(digits), *SMALL]
    code, said = interrupted(words, f"urbild-runs/{command[0]}-autoencoder-001", tmp_path)
    assert code == 130
    assert "stopped; the checkpoint is urbild-runs/" in said
    program, *again = shlex.split(said.strip().splitlines()[-1])
    run = tmp_path / again[again.index("--out") + 1]
    assert program == "urbild"
    assert "batch 8, this one has 4" in cli(*again, "--batch", "4", "--quiet").sentence
    assert "had latent 2, this one has 3" in cli(*again, "--latent", "3", "--quiet").sentence
    assert "had preparation " in cli(*again, "--normalise", "image", "--quiet").sentence
    assert list(run.glob("checkpoint*"))
    assert cli(*again).code == 0
    assert not list(run.glob("checkpoint*"))
    assert cli(*words, "--out", "whole").code == 0
    assert (run / "model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    assert "is finished, there is nothing to resume" in cli(*again).sentence


def test_another_system_objective_or_folder_is_no_resumption(cli, digits, tmp_path):
    def words(system="gan", folder="train"):
        return ["train", system, str(digits / folder / "good"), "--steps", "3000", "--batch", "8", "--out", "run"]

    assert interrupted(words(), "run", tmp_path)[0] == 130
    again = ("--resume", "--quiet")
    assert "had model gan, this one has unrolled_gan" in cli(*words("unrolled_gan"), *again).sentence
    assert "had objective " in cli(*words(), *again, "--objective", "Wasserstein").sentence
    assert "had data " in cli(*words(folder="test"), *again).sentence
    assert list(Path("run").glob("checkpoint*"))


def test_there_is_nothing_to_resume(cli, digits):
    assert "no run to resume at elsewhere" in cli("fit", digits, "--out", "elsewhere", "--resume").sentence
    assert not Path("elsewhere").exists()
