"""Whole rows of Table 1 on one GPU, within some minutes and without a network."""
