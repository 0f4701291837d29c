import json
from pathlib import Path

import pandas as pd


def test_systems_are_ranked_beside_trivial_scores(cli, digits):
    answer = cli("compare", digits, "--models", "pca,nearest", "--seeds", 2, "--out", "board", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    names = [row["model"] for row in found["rows"]]
    assert set(names) == {"pca", "nearest", "mean brightness", "local contrast"}
    means = [row["mean"] for row in found["rows"]]
    assert means == sorted(means, reverse=True)
    assert found["protocol"]["seeds"] == [0, 1]
    assert found["protocol"]["measured_abnormal"] == 30
    assert list(pd.read_csv("board/leaderboard.csv")["model"]) == names
    assert json.loads(Path("board/leaderboard.json").read_text())["rows"] == found["rows"]


def test_a_comparison_is_shown_as_a_table(cli, digits):
    answer = cli("compare", digits, "--models", "pca", "--seeds", 1, "--components", 3)
    assert "unknown option --components of compare" in answer.sentence
    answer = cli("compare", digits, "--models", "pca", "--seeds", 1)
    assert "(mean brightness)" in answer.out
    assert "120 normal samples" in answer.out


def test_nothing_to_compare_on(cli, digits):
    assert "labels" in cli("compare", digits / "train" / "good", "--models", "pca", "--quiet").sentence
    assert "does not score" not in cli("compare", digits, "--models", "pcaa").sentence
    assert "give a directory" in cli("compare", digits, "--out", digits / "train/good/000.png").sentence
