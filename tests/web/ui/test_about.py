"""What the page tells of its model, from manifests that are whole, old, or wrong."""

import copy
import json
import re
from html import unescape
from pathlib import Path

import pytest

from web import text
from web.ui import about

OLD = Path(__file__).parents[2] / "data" / "old" / "bundle" / "manifest.json"
PARTS = {
    "metrics": [text.HOW_GOOD, text.BY_KIND],
    "thorough": [text.THOROUGHLY],
    "stress": [text.CORRUPTED],
    "calibration": [text.CALIBRATION],
    "gate": [text.QUALITY_CHECK],
}
"""The sections that are made from each part of a manifest."""


def rate(hits, total, low=0.0, high=1.0):
    return {"value": hits / total, "low": low, "high": high, "hits": hits, "total": total}


def measured(recall, precision, cats, others):
    return {
        "recall": rate(*recall),
        "precision": rate(*precision),
        "unsure": rate(5, 100),
        "recall_of": cats,
        "false_cat": others,
    }


@pytest.fixture
def manifest():
    """A manifest with all that is told of, in an order that is not the page's."""
    cats = {"cat": rate(90, 100), "cat_hard": rate(3, 20), "cat_few": rate(0, 9)}
    others = {"toys": rate(4, 50), "dog": rate(1, 100), "selfie": rate(0, 80)}
    wild = measured((60, 80, 0.64, 0.83), (60, 61), {"cat": rate(60, 80)}, {})
    people = measured((93, 120, 0.694, 0.841), (93, 98, 0.886, 0.978), cats, others)
    return {
        "version": "cat-256-0123abcd",
        "threshold": 0.61,
        "unsure": [0.2, 0.7],
        "metrics": {"wild": wild, "people": people},
        "thorough": {"people": people},
        "stress": {"blur": {"recall": rate(50, 100), "precision": rate(50, 60)}},
        "calibration": {
            "people": [
                {"low": 0.0, "high": 0.1, "said": 0.25, "cats": rate(1, 4, 0.1, 0.75)},
                {"low": 0.9, "high": 1.0, "said": 1.0, "cats": rate(900, 1000, 0.88, 0.92)},
            ]
        },
        "gate": {"passed": True, "forced": None, "findings": [{"rule": "a", "passed": True}] * 3},
        "training": {"photos": {"train": 5469}, "config": {"backbone": "efficientnet_lite0"}},
    }


def plain(page):
    """A page as it is read."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page))).replace("( ", "(")


def titles(page):
    return re.findall(r"<h2>([^<]*)</h2>", page)


def test_everything_is_told_of_a_whole_manifest(manifest):
    page = about.page(manifest)
    assert titles(page) == [
        text.HOW_GOOD, text.THOROUGHLY, text.BY_KIND, text.CORRUPTED, unescape(text.CALIBRATION),
        text.WRONG_ABOUT, text.QUALITY_CHECK, text.THE_MODEL, text.MORE,
    ]  # fmt: skip
    assert "came without" not in page
    words = plain(page)
    for said in (
        "Photos as people send them: of 100 cats it finds 78 (69 to 84). Of 100 photos that it calls cats, "
        "95 are cats (89 to 98).",
        "77.5\u00a0% (69.4 – 84.1) 93 / 120",
        "cat-256-0123abcd",
        "“cat” from 61.0 % on, “not sure” from 20.0 to 70.0 %",
        "5,469 photos",
        "efficientnet_lite0",
        "Apache-2.0",
        "passed all 3 rules",
    ):
        assert re.sub(r"\s", " ", said) in words.replace("\u00a0", " ")


def test_sets_that_tell_visitors_most_come_first(manifest):
    good = about.page(manifest).partition(f"<h2>{text.THOROUGHLY}")[0]
    assert re.findall(r'<th scope="row">([^<]*)', good) == [text.photos("people"), text.photos("wild")]


def test_kinds_are_rows_and_sets_are_columns(manifest):
    (table,) = re.findall(rf"<h2>{text.BY_KIND}.*?<table>(.*?)</table>", about.page(manifest))
    heads = re.findall(r'<th scope="col">([^<]*)', table)
    assert heads == [text.CALLED_CATS, text.photos("people"), text.photos("wild")]
    rows = {
        head: [re.sub(r"\s", " ", plain(cell)).strip() for cell in re.findall(r"<td>(.*?)</td>", row)]
        for head, row in re.findall(r'<th scope="row">([^<]*)</th>(.*?)</tr>', table)
    }
    assert list(rows) == ["Cats", "Tiny, hidden or dark cats", "cat_few", "Dogs", "People", "toys"]
    assert rows["Cats"] == ["90.0 % (0 – 100) 90 / 100", "75.0 % (0 – 100) 60 / 80"]
    assert rows["toys"] == ["8.0 % (0 – 100) 4 / 50", text.NOT_MEASURED]


def test_what_it_gets_wrong_is_named_worst_first_where_there_are_enough_photos(manifest):
    (told,) = re.findall(rf"<h2>{text.WRONG_ABOUT}</h2><ul>(.*?)</ul>", about.page(manifest))
    assert re.findall("<li>(.*?):", told) == [
        "Tiny, hidden or dark cats (as people send them)",
        "Blurred",
        "toys (as people send them)",
        "Dogs (as people send them)",
    ]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("instead", [None, [], "text", {"people": 7}, {"people": {"recall": {"value": "x"}}}])
def test_a_part_that_is_missing_or_wrong_is_named_and_the_rest_is_told(manifest, part, instead):
    changed = copy.deepcopy(manifest)
    del changed[part]
    if instead is not None:
        changed[part] = instead
    page = about.page(changed)
    (lacks,) = re.findall('class="missing">(.*?)</p>', page)
    assert re.findall("“(.*?)”", unescape(lacks)) == PARTS[part]
    assert not set(PARTS[part]) & set(titles(page))
    assert text.THE_MODEL in titles(page)
    assert len(titles(page)) == 9 - len(PARTS[part])


def test_nothing_is_known_of_an_empty_manifest_but_its_licence():
    page = about.page({})
    assert titles(page) == [text.THE_MODEL, text.MORE]
    (lacks,) = re.findall('class="missing">(.*?)</p>', page)
    assert all(title in unescape(lacks) for titles in PARTS.values() for title in titles)


@pytest.mark.parametrize(
    "wrong",
    [
        rate(1, 2) | {"total": 0},
        rate(1, 2) | {"low": 0.6},
        rate(1, 2) | {"high": 2},
        rate(1, 2) | {"value": float("nan")},
        rate(1, 2) | {"hits": None},
        {"value": 0.5},
        [0.5],
        None,
    ],
)
def test_what_is_no_rate_is_not_shown_as_one(wrong):
    assert about.Rate.read(wrong) is None


def test_bundles_of_the_first_version_and_the_shipped_one_are_told_of(predictor):
    for manifest in (json.loads(OLD.read_text("utf-8")), predictor.bundle.manifest):
        page = about.page(manifest)
        for title in (text.HOW_GOOD, text.BY_KIND, text.CORRUPTED, text.CALIBRATION, text.QUALITY_CHECK):
            assert title in titles(page)
        for photos in manifest["metrics"].values():
            if photos["recall"]["total"]:
                assert f"{photos['recall']['hits']} / {photos['recall']['total']}" in page


def test_a_model_that_did_not_pass_says_so_and_why_it_is_used(manifest):
    rules = [{"rule": "a", "passed": False}, {"rule": "b", "passed": True}]
    manifest["gate"] = {"passed": False, "forced": "better than <before>", "findings": rules}
    page = about.page(manifest)
    assert "did not pass 1 of the 2 rules" in page
    assert "better than &lt;before&gt;" in page


def test_a_dot_lies_where_its_figures_say(manifest):
    drawn = about.plot(about.Figures(manifest).calibration())
    wide, high = about.WIDTH - about.MARGIN - 10, about.HEIGHT - about.MARGIN - 10
    dot = r'<line x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="([\d.]+)"/><circle [^>]*cy="([\d.]+)" r'
    dots = re.findall(dot, drawn)
    place = [
        (
            (float(x) - about.MARGIN) / wide,
            *(1 - (float(y) - 10) / high for y in (low, top, middle)),
        )
        for x, low, top, middle in dots
    ]
    assert place[0] == pytest.approx((0.25, 0.1, 0.75, 0.25), abs=0.001)
    assert place[1] == pytest.approx((1, 0.88, 0.92, 0.9), abs=0.001)
    few, many = (float(radius) for radius in re.findall(r'cy="[\d.]+" r="([\d.]+)"', drawn)[:2])
    assert few < many


def test_words_of_a_manifest_are_text(manifest):
    manifest["version"] = "<script>alert(1)</script>"
    manifest["metrics"]["<b>odd</b>"] = manifest["metrics"].pop("wild")
    page = about.page(manifest)
    assert "<script" not in page
    assert "<b>odd" not in page
    assert "&lt;b&gt;odd&lt;/b&gt;" in page


def test_the_card_is_linked_where_there_is_one(manifest):
    assert f'href="{text.CARD_ADDRESS}"' in about.page(manifest, has_card=True)
    assert f'href="{text.CARD_ADDRESS}"' not in about.page(manifest)
