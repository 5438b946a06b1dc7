"""What a browser gets of the engine and of the bundle: types, how long it may be kept, and who gets it."""

import asyncio
import gzip
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from cat_model import Bundle
from cat_model.settings import SHIPPED_BUNDLE
from web.engine import Engine
from web.server import engine as served

WASM = "litert-wasm.0123456789abcdef.wasm.gz.bin"


@pytest.fixture
def built(tmp_path):
    folder = tmp_path / "browser"
    folder.mkdir()
    (folder / "are-you-a-cat.js").write_text("export {};")
    (folder / WASM).write_bytes(gzip.compress(b"\0asm"))
    return folder


class Page:
    """The routes alone, as the web application has them."""

    def __init__(self, engine, login=False):
        self.bundle = Bundle.read(SHIPPED_BUNDLE)
        self.app = FastAPI(routes=served.routes(engine, lambda: self.bundle, login))
        self.app.auth = {"ann": "secret"} if login else None
        self.app.cookie_id, self.app.tokens = "id", {"token": "ann"}

    def get(self, path, **options):
        async def asked():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://cat") as client:
                return await client.get(path, **options)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, asked()).result()


@pytest.fixture
def page(built):
    return Page(Engine.find(built))


def test_the_engines_files_are_kept_for_good_under_an_address_that_changes_with_them(page, built):
    version = Engine.find(built).version
    script = page.get(f"/engine/{version}/are-you-a-cat.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    wasm = page.get(f"/engine/{version}/{WASM}")
    assert wasm.headers["content-type"] == "application/octet-stream"
    assert gzip.decompress(wasm.content) == b"\0asm"
    (built / "are-you-a-cat.js").write_text("export const changed = 1;")
    assert Engine.find(built).version != version


@pytest.mark.parametrize("path", ["{version}/none.js", "another/are-you-a-cat.js", "{version}/..%2Fsecret"])
def test_nothing_else_is_served(page, built, path):
    (built.parent / "secret").write_text("secret")
    assert page.get("/engine/" + path.format(version=Engine.find(built).version)).status_code == 404
    assert page.get("/bundle/MODEL_CARD.md").status_code == 404


def test_the_manifest_is_asked_about_and_names_a_model_that_is_kept_for_good(page):
    answer = page.get("/bundle/manifest.json")
    assert answer.headers["cache-control"] == "no-cache"
    described = answer.json()["model"]
    model = page.get(f"/bundle/{described['file']}")
    assert "immutable" in model.headers["cache-control"]
    assert hashlib.sha256(gzip.decompress(model.content)).hexdigest() == described["sha256"]
    tag = answer.headers["etag"]
    again = page.get("/bundle/manifest.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert page.get("/bundle/manifest.json", headers={"If-None-Match": '"other"'}).status_code == 200


def test_another_bundle_has_another_tag_and_another_address(page):
    old = page.get("/bundle/manifest.json")
    model = page.bundle.model + b"\0"
    described = {"bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    manifest = json.loads(json.dumps(page.bundle.manifest))
    manifest["model"] |= described
    page.bundle = replace(page.bundle, model=model, manifest=manifest)
    new = page.get("/bundle/manifest.json", headers={"If-None-Match": old.headers["etag"]})
    assert new.status_code == 200
    assert new.json()["model"]["file"] != old.json()["model"]["file"]
    assert gzip.decompress(page.get(f"/bundle/{new.json()['model']['file']}").content) == model
    assert page.get(f"/bundle/{old.json()['model']['file']}").status_code == 404


def test_with_a_login_only_who_has_signed_in_gets_them(built):
    page = Page(Engine.find(built), login=True)
    addresses = "/bundle/manifest.json", f"/engine/{Engine.find(built).version}/{WASM}"
    assert [page.get(each).status_code for each in addresses] == [401, 401]
    answers = [page.get(each, headers={"Cookie": "access-token-unsecure-id=token"}) for each in addresses]
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[1].headers["cache-control"].startswith("private")
    assert page.get(addresses[0], headers={"Cookie": "access-token-id=guessed"}).status_code == 401


def test_without_a_build_there_is_nothing(tmp_path):
    assert Engine.find(tmp_path) is None
    assert Page(None).get("/bundle/manifest.json").status_code == 404
