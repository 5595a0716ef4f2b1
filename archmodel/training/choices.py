"""What a framework decides about memory before it trains: numbers, optimizer, what is overwritten, what is kept."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from archmodel.errors import ConfigError, did_you_mean, show

Precision = Literal["fp32", "fp16", "mixed"]
Optimizer = Literal["sgd", "momentum", "adam"]
MaxPool = Literal["values", "indices"]
Update = Literal["end", "layer"]

STORAGE_BYTES = {"fp32": 4, "fp16": 2, "mixed": 2}  # of a word of maps, gradients and the weights that layers read
MASTER_BYTES = {"fp32": 4, "fp16": 2, "mixed": 4}  # of a word of what the optimizer keeps
STATE_WORDS = {"sgd": 0, "momentum": 1, "adam": 2}  # for each parameter
OPTIONS = {"precision": Precision, "optimizer": Optimizer, "max_pool": MaxPool, "update": Update}


@dataclass(frozen=True)
class TrainingChoices:
    """How an iteration is written down; ConfigError for what is not allowed.

    precision : mixed stores maps, gradients and weights in 2 bytes and has a 4-byte copy of the weights, the master
    optimizer : words kept for each parameter, sgd 0, momentum 1, adam 2
    in_place : an activation or dropout overwrites what it reads where nothing else needs that
    max_pool : the backward step reads X and Y (values, as cuDNN) or a 4-byte index an output (indices, as Caffe)
    update : weights change at the end of the iteration (Caffe) or as soon as a layer's gradients are there
    dropout_mask_bits : of a word of a dropout, 32 in Caffe, 8 in PyTorch
    """

    precision: Precision = "fp32"
    optimizer: Optimizer = "sgd"
    in_place: bool = True
    max_pool: MaxPool = "values"
    update: Update = "end"
    dropout_mask_bits: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in OPTIONS:
                allowed = get_args(OPTIONS[field.name])
                if value not in allowed:
                    raise ConfigError(
                        f"{field.name} = {show(value)}: must be {', '.join(allowed[:-1])} or {allowed[-1]}"
                        f"{did_you_mean(str(value), allowed)}"
                    )
        if type(self.in_place) is not bool:
            raise ConfigError(f"in_place = {show(self.in_place)}: must be true or false")
        if type(self.dropout_mask_bits) is not int or not 1 <= self.dropout_mask_bits <= 32:
            raise ConfigError(f"dropout_mask_bits = {show(self.dropout_mask_bits)}: must be from 1 to 32")

    @property
    def storage_bytes(self) -> int:
        """Of a word of a feature map, a gradient or a weight that layers read."""
        return STORAGE_BYTES[self.precision]

    @property
    def master_bytes(self) -> int:
        """Of a word of optimizer state, and of the master copy that mixed precision has."""
        return MASTER_BYTES[self.precision]

    @property
    def state_words(self) -> int:
        """Of the optimizer, for each parameter."""
        return STATE_WORDS[self.optimizer]


# The default, which is what the vDNN study counts: 4-byte words, and none of the optimizer.
STUDY = TrainingChoices()
