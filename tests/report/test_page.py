import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from report_fixtures import EVIL, digits, evaluation, surfaces, table, write_run

from urbild.errors import ArtifactError, OutputError
from urbild.evaluation import Evaluation, Example
from urbild.report import build
from urbild.report.parts import facts, number

VOID = {"meta", "link", "img", "br", "hr", "input", "col"}


class Balance(HTMLParser):
    """Collects what a browser would meet, and fails on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    @property
    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]


def parsed(page: Path) -> Balance:
    reader = Balance()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    return reader


def sections(page: Path) -> set[str]:
    return {str(attrs["id"]) for tag, attrs in parsed(page).tags if tag == "section"}


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    return build(write_run(tmp_path_factory.mktemp("full"), evaluation(surfaces())))


def test_everything_that_is_stored_is_on_the_page(full):
    assert sections(full) == {
        "verdict",
        "scores",
        "quality",
        "likelihood",
        "examples",
        "samples",
        "training",
        "promise",
        "protocol",
    }
    text = full.read_text()
    for caption in ("Input", "Reconstruction", "Heat map", "Truth"):
        assert text.count(f"<figcaption>{caption}</figcaption>") == 16


def test_the_page_parses_and_its_tags_are_balanced(full):
    assert parsed(full).open == []


def test_nothing_is_loaded_from_elsewhere(full):
    text = full.read_text()
    for tag, attrs in parsed(full).tags:
        assert tag not in {"script", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "data", "action", "poster"):
            value = attrs.get(name) or ""
            assert not value or value.startswith(("data:", "#")), (tag, name, value[:60])
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_every_reference_within_the_page_has_one_target(full):
    page = parsed(full)
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    wanted = {str(v)[1:] for _, attrs in page.tags for v in attrs.values() if re.fullmatch(r"#[\w-]+", v or "")}
    assert wanted <= set(ids)
    assert set(re.findall(r"url\(#([\w-]+)\)", full.read_text())) <= set(ids)


def test_pictures_and_drawings_have_words(full):
    page = parsed(full)
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) > 40
    assert all(attrs["alt"] for attrs in pictures)
    assert all(attrs["aria-label"] for tag, attrs in page.tags if tag == "svg")
    levels = [int(tag[1]) for tag in page.names if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert page.names.count("caption") == page.names.count("table")


def test_the_page_stays_small(full):
    assert full.stat().st_size < 1_500_000


def enlarged(image: np.ndarray, factor: int = 4) -> np.ndarray:
    """The picture at a photograph's size, with a sensor's noise."""
    large = image.repeat(factor, 0).repeat(factor, 1).astype(float)
    noise = np.random.default_rng(0).normal(0, 6, large.shape)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def test_large_photographs_stay_below_three_megabytes(tmp_path):
    found = evaluation(surfaces(), gallery=12)
    found.gallery = [
        replace(e, input=enlarged(e.input), map=e.map.repeat(4, 0).repeat(4, 1), mask=e.mask.repeat(4, 0).repeat(4, 1))
        for e in found.gallery
    ]
    assert found.gallery[0].input.shape == (512, 512, 3)
    assert build(write_run(tmp_path, found)).stat().st_size < 3_000_000


def test_the_same_run_gives_the_same_page(tmp_path):
    first, second = (
        build(write_run(tmp_path / name, evaluation(digits())), tmp_path / f"{name}.html") for name in "ab"
    )
    assert first.read_bytes() == second.read_bytes()


def test_names_from_outside_are_escaped(tmp_path):
    found = evaluation(digits(), name=EVIL)
    found.gallery = [replace(example, label=EVIL) for example in found.gallery]
    found.data["origin"] = EVIL
    found.notes = (EVIL,)
    page = build(write_run(tmp_path, found))
    reader = parsed(page)
    assert reader.open == []
    assert "script" not in reader.names
    assert not any("onload" in attrs for _, attrs in reader.tags)
    assert any(EVIL in (attrs.get("alt") or "") for _, attrs in reader.tags)


def test_columns_of_a_table_are_bars_and_escaped(tmp_path):
    page = build(write_run(tmp_path, table()))
    reader = parsed(page)
    assert "script" not in reader.names
    assert "img" not in reader.names
    text = page.read_text()
    assert text.count('class="bars"') == 16
    assert "pressure" in text
    assert "<caption>Sampled rows</caption>" in text


def test_a_run_that_was_not_evaluated_says_so(tmp_path):
    page = build(write_run(tmp_path))
    assert "has not been evaluated" in page.read_text()
    assert "not calibrated" not in page.read_text()
    assert sections(page) == {"verdict", "training", "protocol"}


def test_a_run_without_calibration_or_training_curves_says_so(tmp_path):
    page = build(write_run(tmp_path, calibrated=False, trained=False))
    assert "not calibrated" in page.read_text()
    assert sections(page) == {"verdict", "protocol"}


def test_likelihoods_are_shown_with_their_kind(full):
    assert "(ELBO, 1 draw)" in full.read_text()
    assert "-31.2 nats" in full.read_text()


def test_calibration_by_groups_is_told(tmp_path):
    texts = [build(write_run(tmp_path / str(g), evaluation(digits()), grouped=g)).read_text() for g in (False, True)]
    assert ["groups of normal samples, kept away" in text for text in texts] == [False, True]


def test_scores_without_calibration_decide_nothing(tmp_path):
    found = evaluation(digits())
    found.alpha = found.threshold = found.threshold_display = found.calibration = found.p_value = found.display = None
    found.gallery = [replace(example, p_value=None, display=None) for example in found.gallery]
    text = build(write_run(tmp_path, found, calibrated=False)).read_text()
    assert "not calibrated" in text
    assert "No threshold yet" in text
    assert 'class="chip flagged"' not in text
    assert 'class="gauge"' not in text
    assert "p-value</dt>" not in text


def test_unlabelled_data_have_no_metrics_and_no_errors(tmp_path):
    found = evaluation(digits())
    found.abnormal = found.label = None
    found.metrics, found.curves, found.likelihood, found.samples = {}, {}, None, None
    found.gallery = [replace(example, abnormal=None, label="") for example in found.gallery]
    page = build(write_run(tmp_path, found))
    assert sections(page) == {"verdict", "scores", "examples", "training", "promise", "protocol"}
    text = page.read_text()
    assert "no labels" in text
    assert 'class="chip wrong"' not in text
    assert "AUROC" not in text


def test_pictures_that_do_not_exist_leave_no_gap(tmp_path):
    found = evaluation(surfaces())
    found.gallery = [replace(example, reconstruction=None, map=None) for example in found.gallery]
    text = build(write_run(tmp_path, found)).read_text()
    assert "Reconstruction" not in text
    assert "Heat map" not in text
    assert 'class="ramp"' not in text
    assert "no defect" in text


def test_misses_and_false_alarms_are_marked(tmp_path):
    found = evaluation(digits())
    text = build(write_run(tmp_path, found)).read_text()
    for truth, word in ((True, "missed"), (False, "false alarm")):
        wrong = [e for e in found.gallery if e.abnormal is truth and (e.p_value <= found.alpha) is not truth]
        assert text.count(f'<span class="chip wrong">{word}</span>') == len(wrong)


def test_the_verdict_counts_what_is_stored(tmp_path):
    found = evaluation(digits())
    flagged = found.p_value <= found.alpha
    text = build(write_run(tmp_path, found)).read_text()
    assert f"{flagged.sum()} samples of {len(flagged)} flagged" in text
    assert f"{flagged[found.abnormal].sum()} of {found.abnormal.sum()} abnormal samples found" in text
    assert f"{found.metrics['image_auroc'].value:.3f}" in text


def test_errors_are_named_the_clearest_first(tmp_path):
    found = evaluation(digits())
    reader = build(write_run(tmp_path, found)).read_text()
    flagged = found.p_value <= found.alpha
    missed = sorted((s, i) for s, i, b, f in zip(found.score, found.ids, found.abnormal, flagged, strict=True) if b > f)
    alarms = sorted(
        (-s, i) for s, i, b, f in zip(found.score, found.ids, found.abnormal, flagged, strict=True) if f > b
    )
    for caption, wrong in (("Missed", missed), ("False alarms", alarms)):
        part = reader[reader.index(f"<caption>{caption} (12 of {len(wrong)})") :]
        names = re.findall(r'<th scope="row">([^<]*)</th>', part[: part.index("</table>")])
        assert names == [name for _, name in wrong[:12]]


def test_a_detector_without_errors_names_none(tmp_path):
    found = evaluation(digits())
    found.p_value = np.where(found.abnormal, 0.01, 0.9)
    assert "Where it was wrong" not in build(write_run(tmp_path, found)).read_text()


def test_an_alpha_that_cannot_be_reached_is_said(tmp_path):
    found = evaluation(digits())
    found.alpha, found.threshold, found.threshold_display = 0.001, float("inf"), float("inf")
    text = build(write_run(tmp_path, found)).read_text()
    assert "Alpha is too small for so few calibration samples" in text
    assert "0 samples of 200 flagged" in text
    assert "inf" not in re.findall(r">([^<]*)</dd>", text)


def unscored(*, reconstructed: bool) -> Evaluation:
    """Of a system that gives no score: nine samples and two examples."""
    picture = np.zeros((8, 8, 1), np.uint8)
    version = picture if reconstructed else None
    return Evaluation(
        data={"origin": "digits"},
        protocol={},
        ids=("a", "b"),
        samples=np.stack([picture] * 9),
        gallery=[Example(id=name, score=0.0, input=picture, reconstruction=version) for name in "ab"],
        notes=("it gives no anomaly score",),
    )


def test_a_system_that_does_not_score_shows_its_samples(tmp_path):
    page = build(write_run(tmp_path, unscored(reconstructed=True), calibrated=False))
    assert sections(page) == {"verdict", "examples", "samples", "training", "protocol"}
    assert parsed(page).names.count("img") == 9 + 4
    text = page.read_text()
    assert "<dt>score</dt>" not in text
    assert "<li>It gives no anomaly score.</li>" in text
    assert "Most anomalous" not in text
    assert "Samples, judged" not in text, "nothing was judged, and nothing ranked"
    assert "ends of the ranking" not in text


def test_inputs_alone_are_not_shown(tmp_path):
    """Of a system that neither scores nor reconstructs they would say nothing."""
    page = build(write_run(tmp_path, unscored(reconstructed=False), calibrated=False))
    assert "examples" not in sections(page)
    assert parsed(page).names.count("img") == 9


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="holds no saved model"):
        build(tmp_path)


def test_a_damaged_evaluation_is_refused_and_the_former_page_stays(tmp_path):
    page = build(write_run(tmp_path, evaluation(digits())))
    former = page.read_bytes()
    (tmp_path / "evaluation.npz").write_bytes(b"truncated")
    with pytest.raises(ArtifactError, match=r"evaluation\.npz"):
        build(tmp_path)
    assert page.read_bytes() == former


def test_damaged_metrics_are_refused(tmp_path):
    write_run(tmp_path)
    (tmp_path / "metrics.csv").write_text("stage,step,seconds,split,name,value\nmain,1,0.1,train,loss,many\n")
    with pytest.raises(ArtifactError, match=r"metrics\.csv is damaged"):
        build(tmp_path)


def test_the_page_goes_where_it_is_asked_to_and_leaves_nothing_else(tmp_path):
    run = write_run(tmp_path / "run")
    before = sorted(path.name for path in run.iterdir())
    target = tmp_path / "page.html"
    assert build(run, target) == target
    assert sorted(path.name for path in run.iterdir()) == before
    with pytest.raises(OutputError, match="cannot write"):
        build(run, target / "below-a-file.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]


def test_the_protocol_names_everything_and_counts_what_is_long():
    rows = dict(
        facts(
            {
                "steps": {"main": 400},
                "shape": [1, 8, 8],
                "scores": [0.1] * 200,
                "columns": [{"name": "pressure"}],
                "clip": None,
                "grouped": False,
                "share": 1 / 3,
                "secret": 1,
            },
            skip=("secret",),
        )
    )
    assert rows == {
        "steps: main": "400",
        "shape": "1 x 8 x 8",
        "scores": "200 values",
        "columns": "1 value",
        "grouped": "no",
        "share": "0.333333",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (12345.6, "12,346"), (2e-14, "2e-14"), (0.0, "0"), (float("nan"), "not defined")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text
