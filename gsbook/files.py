"""Files that are whole or not used at all: reading, keeping, and downloading them under their
SHA-256."""

import contextlib
import gzip
import hashlib
import os
import tempfile
import time
import urllib.request
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import filelock

TIMEOUT = 8  # seconds without an answer before a mirror is given up
PATIENCE = 600  # seconds: the longest download, and how long a failed one is remembered


def cache_folder() -> Path:
    """Where data sets and saved states are kept: the folder that GSLIB_CACHE names, by default in
    the user's cache."""
    if folder := named("GSLIB_CACHE"):
        return folder
    try:
        from platformdirs import user_cache_dir
    except ImportError:  # a machine with a GPU may have torch and little else
        return Path.home() / ".cache" / "gumbel-softmax-book"
    return Path(user_cache_dir("gumbel-softmax-book"))


def data_folders() -> tuple[Path, Path]:
    """Where a data set is looked for: in the folder that GSLIB_DATA names, then in the cache."""
    cache = cache_folder()
    data = named("GSLIB_DATA") or cache
    if data != cache and not data.is_dir():
        warnings.warn(
            f"GSLIB_DATA is {str(data)!r}, which is not a folder: correct or unset it", stacklevel=4
        )
    return data, cache


def offline() -> bool:
    """Whether GSLIB_OFFLINE forbids downloads of data."""
    return os.environ.get("GSLIB_OFFLINE", "0") not in ("", "0")


def named(variable: str) -> Path | None:
    """The folder that an environment variable names; None if it is not set."""
    text = os.environ.get(variable)
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError:
        raise ValueError(f"{variable} is {text!r}, nobody's home: correct or unset it") from None


def read(path: Path, sha256: str, *, ours: bool = True) -> bytes | None:
    """Unpacked content of `path`; None, with a warning, unless it is what was published; None if
    there is no file.

    A file that differs is renamed to `….corrupt`, unless its folder is read-only or not `ours` but
    an installed package's.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        warnings.warn(
            f"{path} cannot be read and is not used ({error}): correct its permissions",
            stacklevel=2,
        )
        return None
    try:
        content = gunzip(content)
        found = hashlib.sha256(content).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        found = f"a broken gzip file ({error})"
    if found == sha256:
        return content
    if not ours:
        warnings.warn(
            f"{path} is not used: another version of the package than the book's, or damaged",
            stacklevel=2,
        )
        return None
    aside = path.with_name(f"{path.name}.corrupt")
    try:
        if not writable(path.parent):
            raise PermissionError
        os.replace(path, aside)
        done = f"It is now {aside.name}; the next source takes its place"
    except OSError:
        done = "Its folder is read-only, so it stays there; please replace it by a good copy"
    warnings.warn(
        f"{path} is damaged and is not used: expected SHA-256 {sha256}, found {found}. {done}.",
        stacklevel=2,
    )
    return None


def read_first(folders: tuple[Path, ...], name: str, sha256: str) -> bytes | None:
    """Content of the first good copy of `name`, plain or gzipped."""
    paths = (
        folder / (name + suffix) for folder in dict.fromkeys(folders) for suffix in ("", ".gz")
    )
    return next((content for path in paths if (content := read(path, sha256)) is not None), None)


def write(path: Path, content: bytes) -> None:
    """Replace the file as a whole, or leave it as it was, also when two processes do it at once.

    >>> write(Path("a", "new", "folder", "file"), b"all or nothing")
    >>> Path("a", "new", "folder", "file").read_bytes()
    b'all or nothing'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its owner's alone
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def store(path: Path, content: bytes) -> None:
    """`write` to a cache: silently not at all in a read-only folder or on a full disk."""
    with contextlib.suppress(OSError):
        if writable(path.parent):
            write(path, content)


def lock(path: Path) -> filelock.FileLock:
    """The lock of a file that several processes change: read and write it inside `with
    lock(path):`.

    >>> with lock(Path("shared.json")):
    ...     write(Path("shared.json"), b"{}")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path.with_name(f".{path.name}.lock"))


def writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that exists, takes new files; root respects
    its mode too."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def download(url: str) -> bytes:
    """Body of the reply, unpacked, under a progress bar; in memory, so that no partial file is ever
    left."""
    from tqdm import tqdm

    request = urllib.request.Request(
        url, headers={"User-Agent": "gumbel-softmax-book", "Accept-Encoding": "gzip"}
    )
    body, start = bytearray(), time.monotonic()
    with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
        with tqdm(
            total=reply.length, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[-1]
        ) as bar:
            while chunk := reply.read(1 << 16):
                body += chunk
                bar.update(len(chunk))
                if time.monotonic() - start > PATIENCE:
                    raise TimeoutError(f"not complete after {PATIENCE} seconds")
    return gunzip(bytes(body))


def attempt(download: Callable[[], dict], note: Path, offline: bool) -> tuple[dict | None, str]:
    """What `download` returns, or None and the reason. A failure leaves a note, which spares later
    processes the wait."""
    if offline:
        return None, "GSLIB_OFFLINE is set"
    age = time.time() - os.path.getmtime(note) if os.path.isfile(note) else -1
    if 0 <= age < PATIENCE:
        return None, f"a download failed {age:.0f} seconds ago; to try again at once, delete {note}"
    try:
        return download(), ""
    except (
        ImportError
    ) as error:  # no fault of the network: worth a new try as soon as it is repaired
        return None, str(error)
    except Exception as error:  # mirrors fail in many ways, and each means: the next source
        reason = " ".join(str(error).split())
        store(note, reason.encode())
        return None, f"the download failed: {reason}"


def gunzip(content: bytes) -> bytes:
    """Unpacked, if it is packed: servers and browsers unpack some files and keep the name."""
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
