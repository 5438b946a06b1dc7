"""Each plot shows the figures of its photos: curves, their bands, the threshold, bins and counts."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from train.evaluation import metrics, plots

PROBABILITIES = np.array([0.1, 0.9, 0.6, 0.8, 0.4, 0.3])
GROUPS = np.array(["dog", "cat", "cat", "dog", "cat", "fox"])
"""By their probabilities: cat, dog, cat, cat, fox, dog."""


@pytest.fixture
def axes(tmp_path, monkeypatch):
    """The axes of each plot of the photos, by its kind."""
    drawn, save = {}, Figure.savefig

    def kept(figure, path, **options):
        drawn[path.stem.removeprefix("test-")] = figure.axes[0]
        save(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    plots.draw(tmp_path, "test", PROBABILITIES, GROUPS, threshold=0.6, band=(0.2, 0.7))
    assert tuple(drawn) == plots.KINDS
    for kind in plots.KINDS:
        with Image.open(tmp_path / f"test-{kind}.png") as image:
            assert image.size == (600, 480)
    return drawn


@pytest.fixture
def empty():
    """Axes without anything."""
    return Figure().subplots()


def at(line, *places):
    """Return a line's heights at some places."""
    return [float(line.get_ydata()[np.argmin(np.abs(line.get_xdata() - place))]) for place in places]


def test_every_plot_is_named(axes):
    assert {kind: each.get_title() for kind, each in axes.items()} == {k: f"test: {k}" for k in plots.KINDS}
    assert {kind: (each.get_xlabel(), each.get_ylabel()) for kind, each in axes.items()} == {
        "precision-recall": ("recall", "precision"),
        "thresholds": ("threshold", ""),
        "calibration": ("predicted probability", "fraction of cats"),
        "confusion": ("answer", ""),
    }


def test_precision_goes_by_recall_and_the_threshold_is_a_point_of_it(axes):
    curve, point = axes["precision-recall"].lines
    assert at(curve, 0, 0.3, 0.34, 0.66, 0.67, 1) == pytest.approx([1, 1, 2 / 3, 2 / 3, 3 / 4, 3 / 4])
    assert point.get_xydata()[0] == pytest.approx([2 / 3, 2 / 3])
    assert point.get_marker() == "o"
    assert [each.get_text() for each in axes["precision-recall"].get_legend().texts] == ["threshold 0.600"]
    assert axes["precision-recall"].get_xlim() == axes["precision-recall"].get_ylim() == (0.5, 1.005)


def test_recall_and_precision_go_by_the_threshold(axes):
    recall, precision, threshold = axes["thresholds"].lines
    places = (0, 0.1, 0.105, 0.4, 0.6, 0.605, 0.9, 0.905, 1)
    assert at(recall, *places) == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3, 1 / 3, 0, 0])
    assert at(precision, *places) == pytest.approx([1 / 2, 1 / 2, 3 / 5, 3 / 4, 2 / 3, 1 / 2, 1, 1, 1])
    assert list(threshold.get_xdata()) == [0.6, 0.6]
    (span,) = axes["thresholds"].patches
    assert span.get_linewidth() == 0
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((0.2, 0.7))
    said = [each.get_text() for each in axes["thresholds"].get_legend().texts]
    assert said == ["recall", "precision", "threshold 0.600", "not sure"]
    assert axes["thresholds"].get_xlim() == (0, 1)
    assert axes["thresholds"].get_ylim() == (0.5, 1.005)


def test_no_photo_called_a_cat_is_full_precision_and_no_recall():
    curves = plots._Curves(PROBABILITIES, metrics.is_cat(GROUPS))
    assert len(curves.recall) == 1 + metrics.RESAMPLES
    assert (curves.recall[:, 0] == 0).all()
    assert (curves.precision[:, 0] == 1).all()
    assert curves.recall[0] == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1, 1])
    assert ((curves.recall[1:, -1] == 1) | (curves.recall[1:, -1] == 0)).all()
    assert (curves.recall[1:].std(axis=0)[1:-1] > 0).all()


def test_a_band_is_the_middle_of_the_resamples_around_the_first_curve(empty):
    resamples = np.arange(1001.0)[:, None] + np.zeros(3)
    plots._band(empty, np.array([0, 1, 2]), np.vstack([[7.0, 8.0, 9.0], resamples]), "here")
    (line,), (band,) = empty.lines, empty.collections
    assert list(line.get_ydata()) == [7, 8, 9]
    assert line.get_label() == "here"
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((25, 975))
    assert tuple(band.get_facecolor()[0][:3]) == pytest.approx(to_rgb(line.get_color()))
    assert 0 < band.get_alpha() < 0.5  # the curve is seen through it
    assert band.get_linewidth() == 0  # and it does not look like one


def test_a_reliability_diagram_has_the_bins_and_their_intervals(empty):
    bins = metrics.reliability(PROBABILITIES, metrics.is_cat(GROUPS))
    assert len(bins) > 2
    plots.draw_reliability(empty, bins, "here")
    (container,) = empty.containers
    line, _, (bars,) = container.lines
    assert list(line.get_xdata()) == [each.said for each in bins]
    assert list(line.get_ydata()) == [each.cats.value for each in bins]
    assert line.get_marker() == "o"
    ends = [[end for _, end in bar] for bar in bars.get_segments()]
    assert np.ravel(ends) == pytest.approx(np.ravel([[each.cats.low, each.cats.high] for each in bins]))
    assert container.get_label() == "here"


def test_calibration_is_shown_beside_the_diagonal(axes):
    diagonal, bins, *_, threshold = axes["calibration"].lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    found = metrics.reliability(PROBABILITIES, metrics.is_cat(GROUPS))
    assert list(bins.get_xdata()) == [each.said for each in found]
    assert list(threshold.get_xdata()) == [0.6, 0.6]


def test_the_confusion_counts_each_groups_answers(axes):
    each = axes["confusion"]
    assert (list(each.get_xticks()), list(each.get_yticks())) == ([0, 1], [0, 1, 2])
    assert [label.get_text() for label in each.get_xticklabels()] == ["cat", "not a cat"]
    assert [label.get_text() for label in each.get_yticklabels()] == ["cat", "dog", "fox"]
    counts = {text.get_position()[::-1]: text.get_text() for text in each.texts}
    assert counts == {(0, 0): "2", (0, 1): "1", (1, 0): "1", (1, 1): "1", (2, 0): "0", (2, 1): "1"}
    (image,) = each.images
    assert np.asarray(image.get_array()) == pytest.approx(np.array([[2, 1], [1.5, 1.5], [0, 3]]) / 3)
    assert image.get_clim() == (0, 1)
    white = {text.get_position()[::-1] for text in each.texts if text.get_color() == "white"}
    assert white == {(0, 0), (2, 1)}  # where the field behind is dark
