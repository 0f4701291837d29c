"""What `train` says to do next: each line works as it stands, but for PATH."""

import shlex

import pytest


@pytest.mark.parametrize(("system", "data"), [("gan", "ring8"), ("bigan", "digits"), ("semi_supervised_gan", "digits")])
def test_what_is_said_to_do_next_can_be_done(cli, system, data):
    answer = cli("train", system, data, "--steps", 3, "--out", "run")
    assert answer.code == 0
    lines = [
        line.split("   ")[0].strip() for line in (answer.out + answer.err).splitlines() if line.startswith("  urbild ")
    ]
    assert len(lines) >= 3
    for line in lines:
        _, *words = shlex.split(line.replace("PATH", data))
        assert cli(*words).code == 0, line
