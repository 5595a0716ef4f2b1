"""One iteration of training: its steps, and the memory they take."""

from archmodel.training.accounting import CaffeForm, caffe_data_bytes
from archmodel.training.allocator import MemoryCurve, best_fit, lifetimes, liveness, network_wide
from archmodel.training.choices import STUDY, TrainingChoices
from archmodel.training.graph import training_graph
from archmodel.training.policies import POLICIES, Policy, load_policy
from archmodel.training.pool import BestFitPool, CapacityError
from archmodel.training.recomputation import CHEAP_KINDS, drop, recomputed
from archmodel.training.steps import Step, Tensor, TrainingGraph
from archmodel.training.virtualization import Iteration, virtualize

__all__ = [
    "CHEAP_KINDS",
    "POLICIES",
    "STUDY",
    "BestFitPool",
    "CaffeForm",
    "CapacityError",
    "Iteration",
    "MemoryCurve",
    "Policy",
    "Step",
    "Tensor",
    "TrainingChoices",
    "TrainingGraph",
    "best_fit",
    "caffe_data_bytes",
    "drop",
    "lifetimes",
    "liveness",
    "load_policy",
    "network_wide",
    "recomputed",
    "training_graph",
    "virtualize",
]
