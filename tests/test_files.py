"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import pytest

from qsearch.errors import OutputError
from qsearch.files import writable, written_whole

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        with written_whole(path) as aside:
            assert aside.parent == path.parent
            assert aside.suffix == ".txt"
            aside.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), ValueError("no such level")])
def test_what_was_there_stays(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one", encoding="utf-8")
    with pytest.raises((OutputError, KeyboardInterrupt, ValueError)) as caught, written_whole(path) as aside:
        aside.write_text("tw", encoding="utf-8")
        raise error
    assert path.read_text(encoding="utf-8") == "one"
    assert [*tmp_path.iterdir()] == [path]
    told = f"{path} cannot be written: No space left on device; free some space"
    assert (str(caught.value) == told) == (error is FULL)


def test_a_full_disk_hidden_by_what_it_brings(tmp_path: Path) -> None:
    def writing(aside: Path) -> None:
        with zipfile.ZipFile(aside, "w") as archive:
            archive.open("a", "w")  # and while it is open, the archive cannot be closed
            raise FULL

    with pytest.raises(OutputError, match="cannot be written: No space left"), written_whole(tmp_path / "a.zip") as at:
        writing(at)


def test_a_link_goes_on_pointing(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "a.txt", tmp_path / "link.txt"
    real.parent.mkdir()
    real.write_text("one", encoding="utf-8")
    link.symlink_to(real)
    with written_whole(link) as aside:
        aside.write_text("two", encoding="utf-8")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "two"


def test_a_link_to_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "real.keras").touch()
    link = tmp_path / "w.npz"
    link.symlink_to("real.keras")
    with written_whole(link) as aside:
        assert aside.suffix == ".npz"
        aside.write_text("two", encoding="utf-8")
    assert (tmp_path / "real.keras").read_text(encoding="utf-8") == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real.keras", "w.npz"]


def test_nobody_elses_file_is_touched(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine", encoding="utf-8")
    (tmp_path / ".partial.a.txt").symlink_to("victim")
    with written_whole(tmp_path / "a.txt") as first, written_whole(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("one", encoding="utf-8")
        second.write_text("two", encoding="utf-8")
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one"


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    path.chmod(0o640)
    with written_whole(path) as aside:
        aside.write_text("one", encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="it is a pipe or a device"):
        writable(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OutputError, match=r"it is a link to itself|Too many levels"):
        writable(tmp_path / "round")
    for name in ("a" * 260, "a/" * 3000 + "a"):
        with pytest.raises(OutputError, match="cannot be written: File name too long"):
            writable(tmp_path / name)


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        writable(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written: "):
        writable(tmp_path / "file" / "a.txt")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(OutputError, match="it is write-protected"):
        writable(tmp_path / "file")
    writable(tmp_path / "more" / "a.txt")
    assert not (tmp_path / "more" / "a.txt").exists()
