"""Experiments: what a run is, training many at once, evaluation, records, and the plans of the paper's tables."""

from gslib.experiment.config import Config
from gslib.experiment.evaluate import final_figures, valid_bound
from gslib.experiment.records import Records
from gslib.experiment.run import budget_name, load_data, prepare_process, train
from gslib.experiment.train import Ensemble
from gslib.experiment.verdict import cell_verdict, claim_verdict, interval, order_verdict

__all__ = [
    "Config",
    "Ensemble",
    "Records",
    "budget_name",
    "cell_verdict",
    "claim_verdict",
    "final_figures",
    "interval",
    "load_data",
    "order_verdict",
    "prepare_process",
    "train",
    "valid_bound",
]
