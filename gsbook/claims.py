"""The claims of the paper, as gsbook/claims.yml states them: the one place where they are typed."""

from __future__ import annotations

from functools import cache

from gsbook.places import PACKAGE

FILE = PACKAGE / "claims.yml"


@cache
def stated() -> dict:
    """The file as it is.

    >>> stated()["table1"]["rows"]["vae-categorical"]["title"]
    'VAE, categorical'
    """
    import yaml

    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def paper(row: str) -> dict[str, float]:
    """A row of the paper's Table 1, such as "vae-categorical": estimator -> nats.

    >>> paper("vae-categorical")["gumbel_softmax"]
    101.5
    """
    table = stated()["table1"]
    return dict(zip(table["columns"], table["rows"][row]["values"], strict=True))


def titles() -> dict[str, str]:
    """Row of Table 1 -> its title.

    >>> titles()["vae-categorical"]
    'VAE, categorical'
    """
    return {name: about["title"] for name, about in stated()["table1"]["rows"].items()}
