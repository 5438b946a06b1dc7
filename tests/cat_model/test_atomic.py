"""Files are written whole, for whom they are meant."""

import stat

import pytest

from cat_model.atomic import write_durably


@pytest.mark.parametrize(("told", "mode"), [({}, 0o600), ({"mode": 0o644}, 0o644)])
def test_who_may_read_it_is_as_told(tmp_path, told, mode):
    path = tmp_path / "new" / "file"
    write_durably(path, b"content", **told)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [each.name for each in path.parent.iterdir()] == ["file"]
