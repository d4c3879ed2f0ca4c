"""Files are whole or not there, whoever writes them and whatever happens."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from digit_files import files_below, sha256

from gsbook import files, places


def test_a_full_disk_leaves_no_temporary_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    files.store(tmp_path / "new" / "file", b"content")
    assert files_below(tmp_path) == []


def test_a_reader_never_meets_half_a_file(tmp_path):
    path, content = tmp_path / "file", os.urandom(1 << 18)
    files.store(path, content)
    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(files.store, path, content) for _ in range(100)]
        reads = [pool.submit(files.read, path, sha256(content)) for _ in range(100)]
        assert all(read.result() == content for read in reads)
        assert [write.result() for write in writes] == [None] * 100
    assert files_below(tmp_path) == ["file"]


def test_a_file_of_an_installed_package_stays_where_it_is(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("another version")
    with pytest.warns(UserWarning, match="is not used: another version of the package"):
        assert files.read(path, "0" * 64, ours=False) is None
    assert path.exists()
    with pytest.warns(UserWarning, match=r"corrupt"):
        assert files.read(path, "0" * 64) is None
    assert not path.exists()


@pytest.mark.parametrize("kind", ["dangling", "loop", "file"])
def test_what_is_no_folder_takes_no_files(tmp_path, kind):
    path = tmp_path / "there"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path / "gone" if kind == "dangling" else path)
    assert not files.writable(path)
    assert not files.writable(path / "below")
    assert files.writable(tmp_path / "new" / "below")


@pytest.mark.parametrize("variable", ["GSLIB_CACHE", "GSLIB_DATA", "GSLIB_RESULTS"])
def test_nobodys_home_is_named(monkeypatch, variable):
    monkeypatch.setenv(variable, "~nobody-here/x")
    with pytest.raises(ValueError, match=f"{variable} is '~nobody-here/x', nobody's home"):
        places.results_folder() if variable == "GSLIB_RESULTS" else files.data_folders()


def test_results_that_are_no_folder_are_not_an_empty_scoreboard(monkeypatch, tmp_path):
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match=r"GSLIB_RESULTS is .*typo.*not a folder"):
        places.results_folder()
