"""Deletion from buckets with versions, and what S3 credentials must be allowed: the policies of the docs."""

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import boto3
import httpx
import pytest

from cat_model.feedback.delivery import Delivery
from cat_model.feedback.outbox import Bounds, Outbox
from cat_model.feedback.record import receipt
from cat_model.feedback.stores import READ_CHECK, DeletionRefusedError, S3Store, StoreError
from tests.app.conftest import running
from tests.cat_model.feedback.test_delivery import give
from tests.conftest import ROOT
from train.feedback import dataset

PREFIX, KEY = "feedback", "records/0123456789abcdef.json"
ACTIONS = {
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
}


def documented(number: int) -> dict:
    """A policy of docs/feedback.md: the first delivers, the second pulls."""
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "docs/feedback.md").read_text("utf-8"), re.DOTALL)
    policies = [json.loads(block) for block in blocks if '"Statement"' in block]
    assert len(policies) == 2
    return policies[number]


def actions(policy) -> list[str]:
    return [action for statement in policy["Statement"] for action in statement["Action"]]


def hiding(policy, *names) -> dict:
    """A policy under which objects can be hidden, without some of its actions."""
    said = json.dumps(without(policy, *names)).replace('"s3:PutObject"', '"s3:PutObject", "s3:DeleteObject"')
    return json.loads(said)


def without(policy, *names) -> dict:
    statements = [
        {**each, "Action": left}
        for each in policy["Statement"]
        if (left := [action for action in each["Action"] if action not in names])
    ]
    return {**policy, "Statement": statements}


@dataclass
class Bucket:
    """A bucket of its own, the store that uses it, and which actions that store needed."""

    name: str
    store: S3Store
    admin: S3Store
    used: set[str] = field(default_factory=set)

    def contents(self) -> list[str]:
        """The keys of everything that can still be read, whichever version it is."""
        pages = self.admin._client.get_paginator("list_object_versions").paginate(Bucket=self.name)
        return sorted(
            each["Key"].removeprefix(f"{PREFIX}/") for page in pages for each in page.get("Versions", ())
        )

    def markers(self) -> list[str]:
        found = self.admin._client.list_object_versions(Bucket=self.name).get("DeleteMarkers", ())
        return [each["Key"] for each in found]


def client(moto, service):
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client(service, endpoint_url=moto.address, region_name="us-east-1", **keys)


@pytest.fixture
def bucket_for(moto, monkeypatch) -> Callable[..., Bucket]:
    """A bucket whose store may do what a policy allows and nothing else: `bucket_for(policy, "Enabled")`."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    def restrict(count):
        httpx.post(f"{moto.address}/moto-api/reset-auth", content=str(count)).raise_for_status()

    def made(policy, versioning=None, fresh=None):
        restrict("inf")
        name = fresh.name if fresh else f"cats-{uuid4()}"
        admin, iam = S3Store(name), client(moto, "iam")
        admin.__dict__["_client"] = client(moto, "s3")
        if not fresh:
            admin._client.create_bucket(Bucket=name)
        if versioning:
            admin._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
        user = f"user-{uuid4()}"
        iam.create_user(UserName=user)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        said = json.dumps(policy).replace("BUCKET", name)
        iam.put_user_policy(UserName=user, PolicyName="cats", PolicyDocument=said)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        bucket = Bucket(name, S3Store(name, PREFIX), admin)
        _as_without_list_bucket(bucket, "s3:ListBucket" in actions(policy))
        restrict(0)
        # What the test itself looks at is not restricted: it goes by a root key, which moto lets pass.
        admin.__dict__["_client"] = _Unrestricted(admin._client, restrict)
        return bucket

    yield made
    restrict("inf")


class _Unrestricted:
    """An S3 client whose calls moto does not check."""

    def __init__(self, inner, restrict):
        self._inner, self._restrict = inner, restrict

    def __getattr__(self, name):
        def called(*args, **kwargs):
            self._restrict("inf")
            try:
                answer = getattr(self._inner, name)(*args, **kwargs)
                if name == "get_paginator":
                    paginate = answer.paginate
                    answer.paginate = lambda **asked: self._all(paginate, asked)
                return answer
            finally:
                self._restrict(0)

        return called

    def _all(self, paginate, asked):
        self._restrict("inf")
        try:
            return list(paginate(**asked))
        finally:
            self._restrict(0)


def _as_without_list_bucket(bucket, may_list) -> None:
    """Count what is used; and answer 403 where nothing lies, as AWS does without s3:ListBucket."""

    def count(params, model, **_):
        bucket.used.add("s3:DeleteObjectVersion" if "VersionId" in params else ACTIONS[model.name])

    def hide(http_response, parsed, **_):
        if http_response.status_code == 404 and parsed["Error"]["Code"] == "NoSuchKey" and not may_list:
            parsed["Error"] = {"Code": "AccessDenied", "Message": "Access Denied"}

    bucket.store._client.meta.events.register("before-parameter-build.s3", count)
    bucket.store._client.meta.events.register("after-call.s3.GetObject", hide)


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "feedback", delivers=True)


def life(bucket, outbox, tmp_path):
    """All that delivery does: answers, an undo here, an undo by a code that only the store can check."""
    delivery = Delivery(outbox, [bucket.store])
    delivery.check_deletion()
    given = [give(outbox, number) for number in range(4)]
    assert delivery.deliver(), delivery.status
    outbox.undo(given[0][2])
    assert delivery.deliver(), delivery.status
    anew = Outbox(tmp_path / "anew", delivers=True)  # a page that lost its disk
    anew.undo(given[1][2])
    anew.undo(receipt(given[2][0], "a" * 16))  # a wrong code
    second = Delivery(anew, [bucket.store])
    assert second.deliver(), second.status
    return given, delivery, second


@pytest.mark.parametrize("versioning", [None, "Enabled", "Suspended"])
def test_the_documented_policy_suffices_and_all_of_it_is_used(bucket_for, outbox, tmp_path, versioning):
    policy = documented(0)
    bucket = bucket_for(policy, versioning)
    given, delivery, second = life(bucket, outbox, tmp_path)
    assert delivery.status.deletion_problem is None
    assert (delivery.status.backlog, second.status.backlog) == (0, 0)
    left = [key for record, *_ in given[2:] for key in (record.key, record.photo_key)]
    notes = [f"deleted/{record.id}.json" for record, *_ in given[:2]]
    assert bucket.contents() == sorted([*left, *notes, READ_CHECK])
    assert bucket.markers() == []
    assert bucket.used == set(actions(policy))


@pytest.mark.parametrize(
    "action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"]
)
def test_nothing_in_the_documented_policy_can_be_left_out(bucket_for, outbox, action):
    bucket = bucket_for(without(documented(0), action), "Enabled")
    delivery = Delivery(outbox, [bucket.store])
    delivery.check_deletion()
    code = give(outbox)[2]
    delivered = delivery.deliver()
    outbox.undo(code)
    assert not delivered or not delivery.deliver() or delivery.status.deletion_problem


def test_the_documented_policy_for_a_pull_suffices_and_all_of_it_is_used(bucket_for, outbox, tmp_path):
    bucket = bucket_for(documented(0))
    given = give(outbox)
    assert Delivery(outbox, [bucket.store]).deliver()
    reader = bucket_for(documented(1), fresh=bucket)
    assert dataset.pull(reader.store, tmp_path / "set").records == 1
    assert dataset.read(tmp_path / "set") == [given[0]]
    assert reader.used == set(actions(documented(1)))


def test_where_nothing_may_be_read_that_is_not_taken_for_nothing_there(bucket_for):
    bucket = bucket_for(without(documented(0), "s3:GetObject"))
    with pytest.raises(StoreError, match="AccessDenied"):
        bucket.store.get(KEY)


def test_an_object_that_was_put_more_than_once_leaves_no_version(bucket_for):
    bucket = bucket_for(documented(0), "Enabled")
    for content in (b"damaged", b"whole"):
        bucket.store.put(KEY, content)
    bucket.store.put(f"{KEY[:-5]}0.json", b"another's, whose key begins alike")
    bucket.admin._client.delete_object(Bucket=bucket.name, Key=f"{PREFIX}/{KEY}")
    assert bucket.contents().count(KEY) == 2
    bucket.store.delete(KEY)
    assert KEY not in bucket.contents()
    assert bucket.markers() == []
    assert f"{KEY[:-5]}0.json" in bucket.contents()


@pytest.mark.parametrize("expires", [False, True])
def test_undo_and_age_delete_every_version(bucket_for, tmp_path, expires, monkeypatch):
    bucket = bucket_for(documented(0), "Enabled")
    outbox = Outbox(tmp_path / "feedback", Bounds(days=1), delivers=True)
    delivery = Delivery(outbox, [bucket.store])
    record, _, code = give(outbox)
    assert delivery.deliver()
    assert {record.key, record.photo_key} <= set(bucket.contents())
    end(outbox, code, expires, monkeypatch)
    assert delivery.deliver()
    assert not {record.key, record.photo_key} & set(bucket.contents())
    assert outbox.backlog == 0


def end(outbox, code, expires, monkeypatch):
    """Delete a record, by its code or because it is too old."""
    if not expires:
        outbox.undo(code)
        return

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=3)

    with monkeypatch.context() as patch:
        patch.setattr("cat_model.feedback.outbox.datetime", Later)
        outbox.expire()


@pytest.mark.parametrize("expires", [False, True])
@pytest.mark.parametrize(
    "denied",
    [
        pytest.param(("s3:ListBucketVersions",), marks=pytest.mark.slow),
        pytest.param(("s3:DeleteObjectVersion",), marks=pytest.mark.slow),
        ("s3:ListBucketVersions", "s3:DeleteObjectVersion"),
    ],
)
def test_versions_that_may_not_be_deleted_are_told_and_deleted_once_they_may(
    bucket_for, tmp_path, denied, expires, monkeypatch, caplog
):
    caplog.set_level(logging.WARNING)
    bucket = bucket_for(hiding(documented(0), *denied), "Enabled")
    outbox = Outbox(tmp_path / "feedback", Bounds(days=1), delivers=True)
    delivery = Delivery(outbox, [bucket.store])
    assert "not known yet" in delivery.status.deletion_problem
    delivery.check_deletion()
    assert "keeps earlier versions" in delivery.status.deletion_problem
    assert "AccessDenied" in delivery.status.deletion_problem
    first, second = give(outbox, 0), give(outbox, 1)
    assert delivery.deliver()
    end(outbox, first[2], expires, monkeypatch)
    later = give(outbox, 2)
    for _ in range(4):
        assert delivery.deliver()  # it holds up nothing else
    assert bucket.store.get(first[0].key) is None
    assert bucket.store.get(later[0].key) is not None
    assert first[0].photo_key in bucket.contents()
    assert delivery.status.backlog == (2 if expires else 1)
    assert len(bucket.markers()) <= 6  # trying again makes no more of them
    assert caplog.text.count("Deletion is not complete.") == 1

    allowed = bucket_for(documented(0), fresh=bucket)
    again = Delivery(outbox, [allowed.store])
    again.check_deletion()
    assert again.deliver()
    assert again.status.deletion_problem is None
    assert outbox.backlog == 0
    gone = {first[0].key, first[0].photo_key} | ({second[0].key, second[0].photo_key} if expires else set())
    assert not gone & set(allowed.contents())


def test_a_code_that_only_the_store_could_check_is_not_forgotten_with_the_versions(bucket_for, tmp_path):
    """Its record is hidden at the first try: later the store could not be asked for the code."""
    bucket = bucket_for(hiding(documented(0), "s3:ListBucketVersions"), "Enabled")
    outbox, anew = (Outbox(tmp_path / name, delivers=True) for name in ("outbox", "anew"))
    record, _, code = give(outbox)
    assert Delivery(outbox, [bucket.store]).deliver()
    assert not anew.undo(code)
    for _ in range(3):
        assert Delivery(anew, [bucket.store]).deliver()
    assert anew.backlog == 1
    allowed = bucket_for(documented(0), fresh=bucket)
    assert Delivery(anew, [allowed.store]).deliver()
    assert anew.backlog == 0
    assert not {record.key, record.photo_key} & set(allowed.contents())


def test_without_versions_deletion_needs_no_permission_for_them(bucket_for, outbox):
    names = "s3:ListBucketVersions", "s3:DeleteObjectVersion"
    bucket = bucket_for(hiding(documented(0), *names))
    delivery = Delivery(outbox, [bucket.store])
    delivery.check_deletion()
    assert delivery.status.deletion_problem is None
    record, _, code = give(outbox)
    assert delivery.deliver()
    outbox.undo(code)
    assert delivery.deliver()
    assert (delivery.status.backlog, delivery.status.deletion_problem) == (0, None)
    assert record.photo_key not in bucket.contents()


@pytest.mark.slow
def test_health_says_why_deletion_is_not_complete(bucket_for, tmp_path):
    bucket = bucket_for(hiding(documented(0), "s3:ListBucketVersions"), "Enabled")
    with running(tmp_path, CAT_S3_BUCKET=bucket.name, CAT_S3_PREFIX=PREFIX) as page:
        until = time.monotonic() + 60
        while "not known" in (
            said := httpx.get(f"{page.address}/health").json()["feedback"]["deletion_problem"]
        ):
            assert time.monotonic() < until
            time.sleep(0.1)
    assert "keeps earlier versions" in said


def test_a_store_that_does_not_answer_leaves_open_whether_deletion_is_complete(
    bucket_for, outbox, monkeypatch
):
    bucket = bucket_for(documented(0))
    delivery = Delivery(outbox, [bucket.store])

    def fail():
        raise StoreError("no answer")

    monkeypatch.setattr(bucket.store, "check_deletion", fail)
    delivery.check_deletion()
    assert "not known yet" in delivery.status.deletion_problem


@pytest.mark.parametrize("versioning", [None, "Enabled"])
def test_where_nothing_may_be_deleted_that_is_told_and_the_rest_is_delivered(bucket_for, outbox, versioning):
    bucket = bucket_for(without(documented(0), "s3:DeleteObjectVersion"), versioning)
    delivery = Delivery(outbox, [bucket.store])
    delivery.check_deletion()
    assert "may not delete it" in delivery.status.deletion_problem
    first = give(outbox, 0)
    assert delivery.deliver()
    outbox.undo(first[2])
    second = give(outbox, 1)
    assert delivery.deliver()
    assert bucket.store.get(second[0].key) is not None
    assert delivery.status.backlog == 1
    with pytest.raises(DeletionRefusedError):
        bucket.store.delete(first[0].key)
