"""The demo, whole: what it prints, how long it takes and what it finds."""

import json
import time

import pytest

from urbild.cli.main import COMMANDS
from urbild.data import Reading, as_records
from urbild.evaluation import Evaluation, detection_metrics, floors


@pytest.mark.slow
@pytest.mark.parametrize("job", ["digits", "surfaces"])
def test_the_demos_detector_beats_trivial_scores(cli, tmp_path, job):
    answer = cli("demo", job)
    assert answer.code == 0
    place = tmp_path / "urbild-demo" / job
    for command in ("fit", "score", "evaluate", "report"):
        assert f"$ urbild {command} urbild-demo/{job}/" in answer.out
    assert answer.out.rstrip().endswith(f"urbild-demo/{job}/run/report.html")
    assert (place / "run" / "report.html").stat().st_size > 10_000
    found = Evaluation.load(place / "run")
    train, test = (as_records(str(place / "data"), reading=Reading(part=part)) for part in ("train", "test"))
    assert tuple(test.ids) == found.ids
    trivial = floors(train, test)
    assert set(trivial) == {"mean brightness", "local contrast"}
    for name, score in trivial.items():
        floor = detection_metrics(score, test.abnormal())["image_auroc"]
        assert found.metrics["image_auroc"].value > floor.high, name


@pytest.mark.slow
def test_both_demos_take_less_than_ninety_seconds(cli):
    began = time.process_time()
    answer = cli("demo", "--json")
    assert set(json.loads(answer.out)["reports"]) == {"digits", "surfaces"}
    assert time.process_time() - began < 2 * 90


def test_a_demo_may_be_repeated_and_overwrites_nothing(cli, monkeypatch, tmp_path):
    monkeypatch.setattr("urbild.cli.demo.JOBS", {"digits": ("--model", "pca")})
    assert cli("demo", "digits", "--quiet").out == "urbild-demo/digits/run/report.html\n"
    first = (tmp_path / "urbild-demo/digits/run/urbild.json").read_bytes()
    assert cli("demo", "digits", "--quiet").out == "urbild-demo/digits/run-2/report.html\n"
    assert (tmp_path / "urbild-demo/digits/run/urbild.json").read_bytes() == first


def test_the_commands_shown_are_commands(cli):
    assert {"fit", "score", "evaluate", "report"} <= set(COMMANDS)
