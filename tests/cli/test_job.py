"""The main job: fit, score, evaluate, report, recalibrate, as a user types them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def run(fitted, tmp_path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def test_fit_says_what_it_found_where_the_run_is_and_what_comes_next(cli, digits):
    answer = cli("fit", digits, "--model", "pca")
    assert answer.code == 0
    assert "84 grey images" in answer.err
    assert "run: urbild-runs/fit-pca-001" in answer.out
    assert "smallest reachable alpha 0.04" in answer.out
    assert "urbild score urbild-runs/fit-pca-001 NEW_SAMPLES" in answer.out
    assert {entry.name for entry in Path("urbild-runs/fit-pca-001").iterdir()} == {
        "model.safetensors",
        "urbild.json",
        "metrics.csv",
    }


def test_json_is_one_object_on_stdout(cli, digits, fitted, tmp_path):
    lines = {
        "fit": ["fit", digits, "--model", "pca"],
        "score": ["score", fitted, digits],
        "models": ["models"],
        "model": ["models", "vae"],
    }
    found = {name: cli(*line, "--json") for name, line in lines.items()}
    for name, answer in found.items():
        assert answer.code == 0, name
        assert isinstance(json.loads(answer.out), dict)
    fit, score = json.loads(found["fit"].out), json.loads(found["score"].out)
    assert fit["samples"] == 120
    assert fit["smallest_alpha"] == pytest.approx(1 / (fit["calibration_samples"] + 1))
    assert len(score["scores"]) == 60
    assert score["flagged"] == sum(row["verdict"] == "anomalous" for row in score["scores"])
    assert "smallest reachable alpha" in found["fit"].err
    assert json.loads(found["model"].out)["options"]["beta"] == 1.0


def test_scores_are_a_table_with_verdicts(cli, digits, run):
    answer = cli("score", run, digits, "--out", "found/scores.csv")
    frame = pd.read_csv("found/scores.csv")
    assert list(frame.columns) == ["id", "score", "p_value", "verdict"]
    assert len(frame) == 60
    seven = frame["id"].str.contains("seven")
    assert frame.loc[seven, "score"].mean() > frame.loc[~seven, "score"].mean()
    assert (frame.loc[seven, "verdict"] == "anomalous").mean() > 0.9
    assert set(frame.loc[frame["p_value"] <= 0.05, "verdict"]) == {"anomalous"}
    assert set(frame.loc[frame["p_value"] > 0.05, "verdict"]) == {"normal"}
    flagged = (frame["verdict"] == "anomalous").sum()
    assert f"{flagged} of 60 samples are anomalous at alpha 0.05" in answer.out
    strangest = frame.sort_values("score", ascending=False)["id"].head(5)
    assert all(name in answer.out for name in strangest)
    assert "larger is stranger" in answer.out


def test_alpha_decides_the_verdict_without_fitting_again(cli, digits, run):
    few, many = (json.loads(cli("score", run, digits, "--alpha", alpha, "--json").out) for alpha in (0.05, 0.5))
    assert few["flagged"] < many["flagged"]
    assert [row["score"] for row in few["scores"]] == [row["score"] for row in many["scores"]]


def test_an_unreachable_alpha_warns_in_one_line(cli, digits, run):
    answer = cli("score", run, digits, "--alpha", 0.001)
    assert answer.code == 0
    assert "0 of 60 samples are anomalous" in answer.out
    assert answer.err.startswith("urbild: warning: alpha = 0.001 flags nothing")
    assert answer.err.count("\n") == 1


def test_heat_maps_lie_in_folders_like_their_images(cli, digits, run):
    assert cli("score", run, digits, "--heatmaps", "maps").code == 0
    written = sorted(str(path.relative_to("maps")) for path in Path("maps").rglob("*.png"))
    assert len(written) == 60
    assert written == sorted(pd.DataFrame(json.loads(cli("score", run, digits, "--json").out)["scores"])["id"])
    with Image.open(Path("maps") / written[0]) as picture:
        assert picture.height == 8
        assert len(np.unique(np.asarray(picture))) > 10


def test_evaluation_and_report(cli, digits, run):
    answer = cli("evaluate", run, digits)
    assert answer.code == 0
    assert "AUROC" in answer.out
    assert {"evaluation.json", "evaluation.npz"} <= {entry.name for entry in run.iterdir()}
    shown = cli("report", run)
    assert shown.out.strip() == f"report: {run / 'report.html'}"
    found = json.loads(cli("evaluate", run, digits, "--json").out)
    assert found["measures"]["image_auroc"]["value"] > 0.9
    assert found["measures"]["image_auroc"]["low"] <= found["measures"]["image_auroc"]["value"]


def test_a_report_evaluates_first_where_data_are_given(cli, digits, run):
    answer = cli("report", run, digits, "--out", "page.html", "--json")
    assert json.loads(answer.out)["report"] == "page.html"
    assert "AUROC" in Path("page.html").read_text()


def test_what_was_trained_scores_raw_until_it_is_calibrated(cli, digits, tmp_path):
    assert cli("train", "pca", digits, "--components", 8, "--out", "run").code == 0
    answer = cli("score", "run", digits, "--out", "raw.csv")
    assert "not calibrated" in answer.err
    raw = pd.read_csv("raw.csv")
    assert raw["p_value"].isna().all()
    assert raw["verdict"].isna().all()
    answer = cli("recalibrate", "run", digits / "test" / "good")
    assert "calibrated on 30 normal samples" in answer.out
    assert cli("score", "run", digits, "--out", "sure.csv").err == ""
    sure = pd.read_csv("sure.csv")
    assert (sure["score"] == raw["score"]).all()
    assert sure["p_value"].between(1 / 31, 1).all()


def test_abnormal_samples_of_a_table_are_left_out_and_verdicts_name_columns(cli, table):
    answer = cli("fit", table, "--model", "pca", "--components", 2, "--out", "run")
    assert "20 abnormal samples are left out" in answer.out
    assert cli("score", "run", table, "--out", "scores.csv").code == 0
    frame = pd.read_csv("scores.csv")
    assert list(frame.columns)[:4] == ["id", "score", "p_value", "verdict"]
    heavy = frame.iloc[180:]
    assert set(heavy["verdict"]) == {"anomalous"}
    assert set(heavy["because_1"]) <= {"weight", "length"}


def test_skipped_files_are_counted(cli, digits, tmp_path):
    folder = Path(shutil.copytree(digits / "train" / "good", tmp_path / "photos"))
    (folder / "broken.png").write_bytes(b"")
    assert "broken.png" in cli("fit", folder, "--model", "pca", "--out", "run").sentence
    assert not Path("run").exists()
    answer = cli("fit", folder, "--model", "pca", "--out", "run", "--skip-bad")
    assert answer.code == 0
    assert "1 unreadable file is left out: broken.png" in answer.err
    answer = cli("score", "run", folder, "--skip-bad", "--json")
    assert json.loads(answer.out)["skipped"] == ["broken.png"]
