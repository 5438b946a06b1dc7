"""A file is whole before it has its name, whatever a server sends."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from cat_model.origin import transfer
from cat_model.origin.transfer import TransferError, fetch

CONTENT = b"0123456789" * 100


class BrokenError(Exception):
    """The connection broke."""


def server(*bodies, status=None, span=None):
    """A server that sends these bodies in turn, of the rest of CONTENT that is asked for unless told."""
    asked, left = [], list(bodies)

    @contextmanager
    def ask(headers):
        asked.append(headers.get("Range"))
        start = int((asked[-1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        told = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}" if span is None else span
        yield SimpleNamespace(
            status_code=status or (206 if start else 200),
            headers={"Content-Range": told},
            iter_bytes=lambda: left.pop(0)(start),
        )

    return ask, asked


def breaks_after(count):
    def body(start):
        yield CONTENT[start : start + count]
        raise BrokenError

    return body


def rest(start):
    yield CONTENT[start:]


def test_what_breaks_off_is_gone_on_with_as_long_as_there_is_more_of_it(tmp_path):
    ask, asked = server(breaks_after(100), breaks_after(200), rest)
    fetch(ask, tmp_path / "new" / "file", len(CONTENT), BrokenError)
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert asked == [None, "bytes=100-", "bytes=300-"]
    fetch(ask, tmp_path / "new" / "file", len(CONTENT), BrokenError)  # it is there
    assert len(asked) == 3


def test_a_line_on_which_nothing_comes_any_more_is_left_for_later_with_what_came(tmp_path):
    ask, asked = server(breaks_after(100), breaks_after(0), rest)
    with pytest.raises(BrokenError):
        fetch(ask, tmp_path / "file", len(CONTENT), BrokenError)
    assert len(asked) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file.part"]
    fetch(ask, tmp_path / "file", len(CONTENT), BrokenError)
    assert asked[2] == "bytes=100-"
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_that_knows_no_parts_sends_all_of_it_anew(tmp_path):
    (tmp_path / "file.part").write_bytes(b"?" * 10)
    ask, _ = server(lambda _: iter([CONTENT]), status=200)
    fetch(ask, tmp_path / "file", len(CONTENT), BrokenError)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_not_asked_for(tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    ask, asked = server()
    fetch(ask, tmp_path / "file", len(CONTENT), BrokenError)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert asked == []


def test_another_part_than_the_one_asked_for_is_not_appended(tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:10])
    ask, _ = server(rest, span="bytes 20-999/1000")
    with pytest.raises(TransferError, match="another part of file"):
        fetch(ask, tmp_path / "file", len(CONTENT), BrokenError)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT + b"?"])
def test_more_or_less_than_the_promised_bytes_is_thrown_away(tmp_path, sent):
    ask, _ = server(lambda _: iter([sent]))
    with pytest.raises(TransferError, match="file has not the 1000 bytes"):
        fetch(ask, tmp_path / "file", len(CONTENT), BrokenError)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_far_too_large_is_not_asked_for(tmp_path):
    ask, asked = server(rest)
    with pytest.raises(TransferError, match=f"{transfer.LARGEST} are the most"):
        fetch(ask, tmp_path / "file", transfer.LARGEST + 1, BrokenError)
    assert asked == []
