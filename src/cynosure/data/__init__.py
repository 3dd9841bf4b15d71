"""From files of labelled structures to batches of graphs."""

from cynosure.data.datasets import GraphDataset, epoch_batches, split
from cynosure.data.e0s import E0Fit, fit_e0s, isolated_e0s, parse_e0s, require_e0s
from cynosure.data.frames import Frame, Frames, Summary, require_labels
from cynosure.data.readers import read_frames
from cynosure.data.statistics import Statistics
from cynosure.data.units import unit_factor

__all__ = [
    "E0Fit",
    "Frame",
    "Frames",
    "GraphDataset",
    "Statistics",
    "Summary",
    "epoch_batches",
    "fit_e0s",
    "isolated_e0s",
    "parse_e0s",
    "read_frames",
    "require_e0s",
    "require_labels",
    "split",
    "unit_factor",
]
