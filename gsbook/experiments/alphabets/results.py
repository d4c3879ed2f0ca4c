"""Which recorded runs stand for an estimator on other alphabets, and tables of them."""

from __future__ import annotations
