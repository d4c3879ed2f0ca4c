"""Files are whole or not there, whoever writes them and whatever happens."""

import os
from concurrent.futures import ThreadPoolExecutor

from digit_files import files_below, sha256

from gsbook import files


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
