"""Every knob comes from its CAT_* variable, has a default that works, and refuses nonsense in words."""

import os
from pathlib import Path

import pytest

import cat_model
from cat_model.settings import SHIPPED_BUNDLE, Settings, SettingsError

NUMBERS = {
    "CAT_WORKERS": 64,
    "CAT_FEEDBACK_MB": 1_000_000,
    "CAT_FEEDBACK_DAYS": 36_500,
}
WORDS = ("CAT_S3_BUCKET", "CAT_S3_PREFIX", "CAT_S3_SSE", "CAT_S3_KMS_KEY", "CAT_HF_DATASET")


def test_an_empty_environment_gives_the_defaults():
    settings = Settings.from_env({})
    assert settings.bundle == SHIPPED_BUNDLE == Path(cat_model.__file__).parent / "bundle"
    assert settings.feedback_dir == Path("feedback")
    assert 1 <= settings.workers <= 4


def test_empty_variables_are_as_good_as_none():
    names = ("CAT_BUNDLE", "CAT_BUNDLE_PUBLIC_KEY", "CAT_FEEDBACK_DIR", *NUMBERS, *WORDS)
    assert Settings.from_env(dict.fromkeys(names, "")) == Settings.from_env({})


def test_every_variable_counts():
    settings = Settings.from_env(
        {
            "CAT_BUNDLE": "/models/new",
            "CAT_BUNDLE_PUBLIC_KEY": "key",
            "CAT_FEEDBACK_DIR": "/data/said",
            "CAT_WORKERS": "3",
        }
    )
    assert settings == Settings(
        bundle=Path("/models/new"),
        bundle_public_key="key",
        feedback_dir=Path("/data/said"),
        workers=3,
    )


def test_the_process_environment_is_read_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setenv("CAT_WORKERS", "5")
    assert Settings.from_env().workers == 5


@pytest.mark.parametrize(("processors", "workers"), [(None, 1), (1, 1), (2, 2), (64, 4)])
def test_workers_follow_the_processors(monkeypatch, processors, workers):
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert Settings.from_env({}).workers == workers


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_may_be_as_small_and_as_big_as_is_said(name):
    field = name.removeprefix("CAT_").lower()
    assert getattr(Settings.from_env({name: "1"}), field) == 1
    assert getattr(Settings.from_env({name: str(NUMBERS[name])}), field) == NUMBERS[name]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", "0x10", " ", "9" * 5000])
def test_other_numbers_are_refused_with_name_value_and_range(name, text):
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: text})
    assert str(caught.value) == (f"{name} is {text!r}; it must be a whole number from 1 to {NUMBERS[name]}.")
    with pytest.raises(SettingsError):
        Settings.from_env({name: str(NUMBERS[name] + 1)})


def test_where_feedback_goes_is_a_setting():
    given = {
        "CAT_FEEDBACK_MB": "2",
        "CAT_FEEDBACK_DAYS": "30",
        "CAT_S3_BUCKET": "cats",
        "CAT_S3_PREFIX": "/kept-30-days/",
        "CAT_S3_SSE": "aws:kms",
        "CAT_S3_KMS_KEY": "alias/cats",
        "CAT_HF_DATASET": "me/cats",
    }
    settings = Settings.from_env(given)
    assert (settings.feedback_mb, settings.feedback_days) == (2, 30)
    assert (settings.s3_bucket, settings.s3_prefix) == ("cats", "kept-30-days")
    assert (settings.s3_sse, settings.s3_kms_key, settings.hf_dataset) == ("aws:kms", "alias/cats", "me/cats")
    assert Settings.from_env({}).s3_bucket == Settings.from_env({}).hf_dataset == ""


def test_an_encryption_that_does_not_exist_is_refused():
    with pytest.raises(SettingsError, match="CAT_S3_SSE is 'AES128'"):
        Settings.from_env({"CAT_S3_SSE": "AES128"})
