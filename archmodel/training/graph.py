"""From a network and a batch to the steps of one training iteration."""

from collections.abc import Callable

from archmodel.errors import ConfigError, WorkloadError, show
from archmodel.network import Layer, Network
from archmodel.training.backward import Operand, backward_needs, makes_data_gradient, may_overwrite, saved_bytes
from archmodel.training.choices import STUDY, TrainingChoices
from archmodel.training.steps import Operation, Step, Tensor, TensorKind, TrainingGraph

# Bytes that an operation of a layer needs for itself while it runs: layer, operation, batch.
Workspace = Callable[[Layer, Operation, int], int]

MAX_BATCH = 2**20
MAX_BYTES = 2**62  # of all tensors, so that sums of them fit int64


def check_batch(batch: int) -> None:
    """Raise ConfigError for what is no number of images."""
    if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
        raise ConfigError(f"batch = {show(batch)}: must be a whole number from 1 to {MAX_BATCH}")


def no_workspace(layer: Layer, operation: Operation, batch: int) -> int:
    """The workspace of implicit algorithms: none."""
    return 0


def training_graph(
    network: Network,
    batch: int,
    choices: TrainingChoices = STUDY,
    workspace: Workspace = no_workspace,
) -> TrainingGraph:
    """One iteration: forward in order, backward in reverse, then the update of the weights.

    Of a layer first the gradient of its weights is computed, then that of what it reads, and the latter only where a
    layer above has weights. Where several layers read a map, the first of them in the backward order writes its
    gradient and the others add to it. A step ``loss`` makes the gradient of every output of the network.
    ConfigError for an impossible batch, WorkloadError for tensors that no memory will ever hold.
    """
    check_batch(batch)
    builder = GraphBuilder(network, batch, choices, workspace)
    for layer in network.layers:
        builder.forward(layer)
    for layer in reversed(network.layers):
        builder.backward(layer)
    if choices.update == "end":
        for layer in network.layers:
            builder.update(layer)
    total_bytes = sum(tensor.num_bytes for tensor in builder.tensors.values())
    if total_bytes > MAX_BYTES:
        raise WorkloadError(f"{network.name}: {total_bytes} bytes with batch = {batch}: must be at most {MAX_BYTES}")
    inputs = tuple(builder.maps[name] for name in network.inputs)
    return TrainingGraph(
        network.name, batch, choices, builder.tensors, tuple(builder.steps), dict(builder.maps), inputs
    )


class GraphBuilder:
    """Tensors and steps as far as they are written down.

    ``maps`` : by layer or network input the id of the feature map; ``written`` : gradients that have a first summand
    """

    def __init__(self, network: Network, batch: int, choices: TrainingChoices, workspace: Workspace) -> None:
        self.network, self.batch, self.choices, self.workspace = network, batch, choices, workspace
        self.tensors: dict[str, Tensor] = {}
        self.steps: list[Step] = []
        self.maps: dict[str, str] = {}
        self.written: set[str] = set()
        for name, (C, H, W) in network.inputs.items():
            self.maps[name] = self.tensor("X", "feature_map", name, batch * C * H * W * choices.storage_bytes)

    def tensor(self, symbol: str, kind: TensorKind, layer: str, num_bytes: int) -> str:
        """The id of a tensor, which is new unless it is a gradient that gets a further summand."""
        name = f"{symbol}:{layer}"
        self.tensors.setdefault(name, Tensor(name, kind, layer, num_bytes))
        return name

    def step(self, layer: Layer, operation: Operation, reads: list[str], writes: list[str]) -> None:
        """Write a step down, with its workspace if it needs one."""
        num_bytes = self.workspace(layer, operation, self.batch)
        if num_bytes:
            writes = [*writes, self.tensor(f"workspace.{operation}", "workspace", layer.name, num_bytes)]
        self.steps.append(Step(layer.name, operation, tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes))))

    def forward(self, layer: Layer) -> None:
        reads = [self.maps[name] for name in layer.inputs]
        if self.in_place(layer):
            self.maps[layer.name] = self.maps[layer.inputs[0]]
        else:
            num_bytes = self.batch * layer.output_words * self.choices.storage_bytes
            self.maps[layer.name] = self.tensor("Y", "feature_map", layer.name, num_bytes)
        writes = [self.maps[layer.name]]
        if layer.parameters:
            reads.append(self.tensor("W", "weight", layer.name, layer.parameters * self.choices.storage_bytes))
        saved = saved_bytes(layer, self.batch, self.choices)
        if saved and layer.name in self.network.learning:
            writes.append(self.tensor("saved", "saved", layer.name, saved))
        self.step(layer, "forward", reads, writes)

    def in_place(self, layer: Layer) -> bool:
        """Whether the layer writes over the only map that it reads."""
        if not self.choices.in_place or layer.inputs[0] in self.network.inputs:
            return False
        alone = self.network.consumers[layer.inputs[0]] == (layer.name,)
        return alone and may_overwrite(layer, self.network.layer(layer.inputs[0]), self.choices)

    def backward(self, layer: Layer) -> None:
        if layer.name not in self.network.learning:
            return
        if not self.network.consumers[layer.name]:
            self.step(layer, "loss", [self.maps[layer.name]], [self.gradient(layer.name)])
            self.written.add(self.gradient(layer.name))
        elif self.gradient_id(layer.name) not in self.written:  # its readers pass nothing on
            return
        gradient = self.gradient(layer.name)
        needs = backward_needs(layer, self.choices)
        if layer.parameters:
            num_bytes = layer.parameters * self.choices.storage_bytes
            made = self.tensor("dW", "weight_gradient", layer.name, num_bytes)
            self.step(layer, "weight_gradient", [*self.operands(layer, needs.weight_gradient), gradient], [made])
        learning = [name for name in dict.fromkeys(layer.inputs) if name in self.network.learning]
        if makes_data_gradient(self.network, layer):
            writes = [self.gradient(name) for name in learning]
            summed = [one for one in writes if one in self.written]
            reads = [*self.operands(layer, needs.data_gradient), gradient, *summed]
            self.step(layer, "data_gradient", reads, writes)
            self.written.update(writes)
        if self.choices.update == "layer":
            self.update(layer)

    def gradient_id(self, name: str) -> str:
        return f"dY:{self.tensors[self.maps[name]].layer}"

    def gradient(self, name: str) -> str:
        """The gradient of the map that holds the output of a layer."""
        held = self.tensors[self.maps[name]]
        return self.tensor("dY", "gradient_map", held.layer, held.num_bytes)

    def operands(self, layer: Layer, operands: tuple[Operand, ...]) -> list[str]:
        """The tensors that stand for the operands of a layer; a norm without weights has no W."""
        found = {
            "X": [self.maps[name] for name in layer.inputs],
            "Y": [self.maps[layer.name]],
            "W": [f"W:{layer.name}"],
            "saved": [f"saved:{layer.name}"],
        }
        return [name for operand in operands for name in found[operand] if name in self.tensors]

    def update(self, layer: Layer) -> None:
        if f"dW:{layer.name}" not in self.tensors:
            return
        num_bytes = layer.parameters * self.choices.master_bytes
        changed = [f"W:{layer.name}"]
        if self.choices.precision == "mixed":
            changed.append(self.tensor("master", "master_weight", layer.name, num_bytes))
        if self.choices.state_words:
            words = self.choices.state_words
            changed.append(self.tensor("state", "optimizer_state", layer.name, words * num_bytes))
        self.step(layer, "update", [f"dW:{layer.name}", *changed], changed)
