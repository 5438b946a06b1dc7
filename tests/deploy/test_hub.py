"""python -m deploy.hub: the real huggingface_hub asks, and the Hub of tests/hub_server.py answers."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard, SpaceCard, constants, snapshot_download

import cat_model
from cat_model.bundle import Bundle
from cat_model.settings import SHIPPED_BUNDLE
from deploy import hub as command
from deploy import repository, static
from deploy.mark import MARK
from tests.hub_server import CUT, READER, TOKEN, File, served
from web.build import COMPRESSED, ENGINE

ROOT = Path(__file__).parents[2]
VERSION = Bundle.read().version
CONTENT = repository.Content(
    {"README.md": b"---\nlicense: mit\n---\n", MARK: b"here", "w.bin": b"\xff" * 99}, "v1"
)


@pytest.fixture
def hub(monkeypatch):
    """A Hub; huggingface_hub does not wait before it asks again."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with served() as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HfApi(hub.url, token=TOKEN)


def run(hub, *arguments, **variables):
    """Run the command as a person does."""
    asked = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HOME": "/nowhere"}
    return subprocess.run(
        [sys.executable, "-m", "deploy.hub", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **asked, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(api, content=CONTENT, name="me/cats"):
    """The sentence with which a push ends."""
    with pytest.raises(repository.HubError) as caught:
        repository.push(name, content, api=api)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_repository_is_made_and_holds_exactly_the_files_in_one_commit_with_a_tag(hub, api):
    change = repository.push("me/cats", CONTENT, api=api)
    made = hub.repositories["model", "me/cats"]
    assert {**CONTENT.files, ".gitattributes": made.files[".gitattributes"]} == made.files
    assert made.messages == ["initial commit", "v1"]
    assert made.tags == {"v1": made.head}
    assert (set(change.added), change.removed, change.tagged) == (set(CONTENT.files), (), True)
    assert change.url == f"{hub.url}/me/cats"
    assert made.commits[-1][1]["w.bin"].large


def test_the_same_again_writes_nothing(hub, api):
    repository.push("me/cats", CONTENT, api=api)
    hub.asked.clear()
    change = repository.push("me/cats", CONTENT, api=api)
    assert hub.writes() == []
    assert (change.added, change.removed, change.tagged, change.settings) == ((), (), False, ())


def test_only_what_differs_is_sent_what_is_left_over_goes_and_the_tag_moves(hub, api):
    repository.push("me/cats", CONTENT, api=api)
    files = {"README.md": CONTENT.files["README.md"], MARK: b"changed", "new": b"new"}
    change = repository.push("me/cats", repository.Content(files, "v1"), api=api)
    made = hub.repositories["model", "me/cats"]
    assert set(made.files) == {*files, ".gitattributes"}
    assert (set(change.added), change.removed) == ({MARK, "new"}, ("w.bin",))
    assert len(made.commits) == 3
    assert made.tags == {"v1": made.head}


def test_another_version_leaves_the_earlier_tag_where_it_is(hub, api):
    repository.push("me/cats", CONTENT, api=api)
    first = hub.repositories["model", "me/cats"].head
    repository.push("me/cats", repository.Content({MARK: b"2"}, "v2"), api=api)
    made = hub.repositories["model", "me/cats"]
    assert made.tags == {"v1": first, "v2": made.head}


def test_a_new_repository_is_private_only_on_request(hub, api):
    repository.push("me/open", CONTENT, api=api)
    repository.push("club/closed", CONTENT, private=True, api=api)
    assert "visibility" not in hub.repositories["model", "me/open"].created
    assert hub.repositories["model", "club/closed"].created["visibility"] == "private"


def test_a_space_gets_its_secrets_and_those_variables_that_differ(hub, api):
    files = {"README.md": command.space().files["README.md"], "app.py": b"1", MARK: b""}
    content = repository.Content(files, None, "gradio", {"KEY": "hidden"}, {"A": "1", "B": "2"})
    assert "hidden" not in repr(content)
    repository.push("me/page", content, api=api)
    made = hub.repositories["space", "me/page"]
    assert (made.created["sdk"], made.secrets, made.variables) == (
        "gradio",
        {"KEY": "hidden"},
        {"A": "1", "B": "2"},
    )
    assert made.tags == {}
    hub.asked.clear()
    content = repository.Content(files, None, "gradio", {}, {"A": "1", "B": "3"})
    assert repository.push("me/page", content, api=api).settings == ("B",)
    assert hub.writes() == [("POST", "/api/spaces/me/page/variables")]


def test_a_repository_with_something_else_is_left_as_it_is(hub, api):
    there = hub.create("model", "me/cats")
    there.commit({"theirs.bin": File(b"theirs", False)}, "theirs")
    assert "me/cats is taken: it holds something else, theirs.bin among it" in refused(api)
    assert hub.writes() == []


@pytest.mark.parametrize(
    ("kind", "content", "theirs"),
    [
        ("space", command.space, {"app.py", "game.py"}),
        ("model", lambda: command.model("me/cats"), {"manifest.json"}),
    ],
)
def test_files_that_are_named_as_ours_are_not_taken_for_ours(hub, api, kind, content, theirs):
    there = hub.create(kind, "me/cats")
    there.commit({name: File(b"theirs", False) for name in theirs}, "theirs")
    assert "holds something else" in refused(api, content())
    assert theirs <= set(there.files)


def test_a_new_repository_made_by_hand_is_used(hub, api):
    hub.create("space", "me/page")
    readme = {"README.md": command.space().files["README.md"]}
    repository.push("me/page", repository.Content({**readme, MARK: b""}, "v1", "gradio"), api=api)
    assert not any(path == "/api/repos/create" for _, path in hub.asked)


def test_no_token_is_said_before_the_hub_is_asked(hub):
    ended = run(hub, "model", "me/cats", HF_TOKEN="")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1].startswith("There is no token for the Hub. Set HF_TOKEN")
    assert "Traceback" not in ended.stderr
    assert hub.asked == []


def test_a_wrong_token_is_said(hub):
    assert refused(HfApi(hub.url, token="hf_wrong")).startswith("The Hub does not accept the token.")


def test_a_token_that_may_only_read_is_said_before_anything_is_written(hub):
    assert refused(HfApi(hub.url, token=READER)).startswith("The token may only read.")
    assert hub.writes() == []


def test_the_owner_must_be_the_person_or_an_organisation_of_theirs(hub, api):
    assert refused(api, name="you/cats") == "me may not write to you. The token is for: me, club."
    repository.push("club/cats", CONTENT, api=api)


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "sentence"),
    [
        ("POST", "/repos/create", 403, {}, "has no right to write to me/cats. It says: not for you."),
        ("POST", "/repos/create", 409, {}, "me/cats is taken. Choose another name."),
        ("GET", "/tree/", 404, {}, "me/cats is not on the Hub, or the token may not see it."),
        ("POST", "/commit/", 412, {}, "changed by somebody else in the meantime"),
        (
            "POST",
            "/commit/",
            429,
            {"Retry_After": "7"},
            "too many requests with this token. Run this again in 7 seconds.",
        ),
        ("GET", "whoami", 429, {}, "too many requests with this token. Run this again later."),
        ("POST", "/commit/", 503, {}, "The Hub fails at the moment (status 503). Run this again later."),
        ("POST", "/commit/", 413, {}, "The Hub refuses (status 413). It says: not for you."),
        (
            "PUT",
            "/lfs/",
            500,
            {},
            "The upload broke off and nothing was committed. The Hub fails at the moment",
        ),
        (
            "PUT",
            "/lfs/",
            CUT,
            {},
            "The upload broke off and nothing was committed. The Hub cannot be reached",
        ),
        ("GET", "whoami", CUT, {}, "The Hub cannot be reached"),
    ],
)
def test_each_refusal_is_a_sentence_and_the_next_push_mends_it(
    hub, api, method, path, status, headers, sentence
):
    hub.fail(method, path, status, "not for you", **headers)
    assert sentence in refused(api)
    made = hub.repositories.get(("model", "me/cats"))
    assert made is None or made.messages == ["initial commit"]
    hub.faults.clear()
    repository.push("me/cats", CONTENT, api=api)
    assert hub.repositories["model", "me/cats"].tags.keys() == {"v1"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/preupload/", 429), ("PUT", "/lfs/", 500), ("PUT", "/lfs/", CUT)]
)
def test_what_passes_by_itself_is_asked_again(hub, api, method, path, status):
    hub.fail(method, path, status, times=2, Retry_After="1")
    repository.push("me/cats", CONTENT, api=api)
    assert hub.repositories["model", "me/cats"].messages == ["initial commit", "v1"]


def test_an_upload_by_xet_that_breaks_off_is_a_sentence(hub):
    class Broken(HfApi):
        def create_commit(self, **_):
            raise RuntimeError("Data processing error")  # as hf_xet says it

    sentence = refused(Broken(hub.url, token=TOKEN))
    assert sentence == "The upload broke off and nothing was committed. The reason: Data processing error"


def test_a_commit_of_somebody_else_in_the_meantime_is_not_lost(hub, api):
    repository.push("me/cats", CONTENT, api=api)
    made = hub.repositories["model", "me/cats"]
    theirs = {**made.commits[-1][1], MARK: File(b"theirs", False)}
    hub.before_commit = lambda: made.commit(theirs, "theirs")
    sentence = refused(api, repository.Content({**CONTENT.files, MARK: b"ours"}, "v1"))
    assert "changed by somebody else in the meantime" in sentence
    assert made.files[MARK] == b"theirs"


def test_a_tag_that_could_not_be_set_is_set_by_the_next_push(hub, api):
    hub.fail("POST", "/tag/", 500, times=1)
    assert "The Hub fails" in refused(api)
    hub.asked.clear()
    assert repository.push("me/cats", CONTENT, api=api).tagged
    assert hub.writes() == [("POST", f"/api/models/me/cats/tag/{hub.repositories['model', 'me/cats'].head}")]


def test_a_hub_that_is_not_there_is_said():
    with served() as gone:
        pass
    assert refused(HfApi(gone.url, token=TOKEN)).startswith("The Hub cannot be reached (")


def test_what_the_hub_says_of_a_card_is_told(hub, api):
    wrong = {"README.md": b"---\nmodel-index:\n- results: []\n---\n", MARK: b""}
    assert "me/cats: Invalid metadata in README.md. - model-index has no name" in refused(
        api, repository.Content(wrong)
    )


def test_the_model_repository_holds_the_bundle_a_valid_card_and_an_example(hub):
    ended = run(hub, "model", "me/cats")
    assert (ended.returncode, ended.stderr) == (0, "")
    made = hub.repositories["model", "me/cats"]
    assert made.tags == {VERSION: made.head}
    for path in SHIPPED_BUNDLE.iterdir():
        assert made.files[path.name] == path.read_bytes()
    card = ModelCard(made.files["README.md"].decode())
    recall = {
        each.dataset_name: each.metric_value
        for each in card.data.eval_results
        if each.metric_type == "recall"
    }
    assert recall["people"] == round(Bundle.read().manifest["metrics"]["people"]["recall"]["value"], 4)
    assert run(hub, "model", "me/cats").stdout.startswith(
        "me/cats holds all of it already; nothing was changed."
    )


def test_the_examples_of_the_card_run_as_they_are_written(hub, api, tmp_path, monkeypatch, capsys, examples):
    content = command.model("me/cats")
    repository.push("me/cats", content, api=api)
    shutil.copy(examples / "chelsea.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    text = content.files["README.md"].decode().partition("## Use it")[2]
    code = "\n".join(line[4:] for line in text.partition("    import cat_model")[2].splitlines())

    def download(name, revision):
        return snapshot_download(name, revision=revision, endpoint=hub.url, cache_dir=tmp_path / "cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    exec("import cat_model\n" + code, {})
    label, probability = capsys.readouterr().out.split()
    expected = cat_model.load().predict("photo.jpg")
    assert (label, float(probability)) == ("cat", expected.probability)
    folder = snapshot_download("me/cats", endpoint=hub.url, local_dir=tmp_path / "model")
    ended = subprocess.run(
        [sys.executable, Path(folder) / "example.py", "photo.jpg", "none.jpg"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == f"photo.jpg: cat ({expected.probability:.1%} cat)\n"
    assert (ended.returncode, "none.jpg cannot be read as a photo" in ended.stderr) == (1, True)


def test_a_dry_run_lists_all_files_with_their_sizes_and_asks_nothing(hub):
    ended = run(
        hub,
        "space",
        "me/page",
        "--dry-run",
        "--variable",
        "CAT_QUEUE=9",
        "--secret",
        "CAT_LOGIN",
        CAT_LOGIN="a:b",
    )
    assert (ended.returncode, ended.stderr, hub.asked) == (0, "", [])
    listed = {
        path: int(size.replace(",", ""))
        for size, path in re.findall(r"^ *([\d,]+) (\S*\.\S+|LICENSE)$", ended.stdout, re.MULTILINE)
    }
    files = command.space().files
    assert listed == {path: len(data) for path, data in files.items()}
    assert f"{sum(listed.values()):,} bytes in {len(files)} files" in ended.stdout
    assert f"tag: {VERSION}\nvariable: CAT_QUEUE=9\nsecret: CAT_LOGIN\n" in ended.stdout
    assert "a:b" not in ended.stdout


def test_the_space_holds_what_git_has_of_the_packages_and_the_built_engine():
    if not (ROOT / ".git").exists():
        pytest.skip("This is no checkout of Git, which knows the files of the packages.")
    tracked = subprocess.run(
        ["git", "ls-files", "--", "cat_model", "web", "examples", ":!web/browser"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    built = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "web/static/browser").glob("*.*")
        if path.suffix != ".ts"
    }
    beside = {"README.md", "LICENSE", "app.py", "requirements.txt", MARK}
    known = {path for path in tracked if (ROOT / path).exists()}
    assert set(command.space().files) == known | built | beside


def test_a_persons_own_files_are_not_pushed(tmp_path, monkeypatch):
    for name in ("LICENSE", "README.md", "app.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in (
        "cat_model/a.py",
        "web/.env",
        "web/notes.txt",
        "cat_model/bundle.previous/model.tflite",
        "web/static/.DS_Store",
        "web/browser/a.js",
        "web/static/b.js",
        "examples/c.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    pushed = {path for path in command.space().files if not path.startswith("cat_model/bundle/")}
    assert pushed - {"LICENSE", "README.md", "app.py", "requirements.txt", MARK} == {
        "cat_model/a.py", "web/static/b.js", "examples/c.jpg",
    }  # fmt: skip


def test_the_head_of_a_space_is_that_of_the_readme():
    head = SpaceCard((ROOT / "README.md").read_text("utf-8")).data.to_dict()
    assert SpaceCard(command.space().files["README.md"].decode()).data.to_dict() == head


def test_a_space_that_follows_a_model_holds_none(hub):
    ended = run(hub, "space", "me/page", "--model", "club/cats@main")
    assert ended.returncode == 0, ended.stderr
    made = hub.repositories["space", "me/page"]
    assert made.variables == {"CAT_BUNDLE": "hf://club/cats@main"}
    assert not any(path.startswith("cat_model/bundle/") for path in made.files)
    assert SpaceCard(made.files["README.md"].decode()).data.models == ["club/cats"]
    assert made.tags == {}
    ended = run(hub, "space", "me/page")
    assert (ended.returncode, made.variables) == (0, {})
    assert "changed CAT_BUNDLE" in ended.stdout
    assert "cat_model/bundle/model.tflite" in made.files


@pytest.mark.slow
def test_the_space_starts_from_what_was_pushed(hub, api, tmp_path):
    repository.push("me/page", command.space(), api=api)
    for path, data in hub.repositories["space", "me/page"].files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    program = """if True:
        from web.settings import ServerSettings
        from web.ui.page import create_app
        print(create_app(ServerSettings.from_env()).predictor.bundle.folder)"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "SPACE_ID": "me/page"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == str(tmp_path / "cat_model/bundle")


def test_the_static_space_holds_the_site(hub, api, tmp_path):
    (tmp_path / ENGINE).write_text("export {};")
    (tmp_path / "litert-wasm.0123.wasm.gz.bin").write_bytes(b"\xffpacked")
    repository.push("me/site", command.static_space(built=tmp_path), api=api)
    made = hub.repositories["space", "me/site"]
    assert made.created["sdk"] == "static"
    assert set(made.files) == {*static.site(built=tmp_path), "README.md", ".gitattributes", MARK}
    head = SpaceCard(made.files["README.md"].decode()).data
    assert (head.sdk, head.app_file, head.get("sdk_version"), head.get("python_version")) == (
        "static",
        "index.html",
        None,
        None,
    )
    (model,) = (path for path in made.files if path.endswith(f".tflite{COMPRESSED}"))
    assert made.commits[-1][1][model].large
    assert made.tags == {VERSION: made.head}


def test_without_an_engine_the_site_is_not_pushed_and_the_space_says_so(tmp_path, monkeypatch, capsys):
    with pytest.raises(static.StaticError, match=r"python -m web\.build"):
        command.static_space(built=tmp_path)
    monkeypatch.setattr(command, "ENGINE", "none.js")
    assert command.main(["space", "me/page", "--dry-run"]) == 0
    assert "The engine for browsers is not among it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model", "cats"], "'cats' is not of the form OWNER/NAME"),
        (["space", "me/page", "--variable", "A"], "'A' is not of the form NAME=VALUE"),
        (["space", "me/page", "--secret", "CAT_NONE_SUCH"], "the environment has no variable CAT_NONE_SUCH"),
        (
            ["space", "me/page", "--model", "cats"],
            "'cats' is not of the form OWNER/NAME or OWNER/NAME@REVISION",
        ),
    ],
)
def test_a_wrong_argument_is_a_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert sentence in capsys.readouterr().err


def test_a_bundle_that_cannot_be_used_is_a_sentence(tmp_path, capsys):
    assert command.main(["model", "me/cats", "--bundle", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"No model in {tmp_path}")
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "bundle")
    (tmp_path / "bundle" / "MODEL_CARD.md").unlink()
    assert command.main(["model", "me/cats", "--bundle", str(tmp_path / "bundle")]) == 1
    assert "has no MODEL_CARD.md" in capsys.readouterr().err
