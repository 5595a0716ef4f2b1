"""What `train` is asked: lists of names, and every combination of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, get_args

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.iteration.memory import check_accounting, check_capacity
from archmodel.training import POLICIES, CaffeForm, TrainingChoices, load_policy
from archmodel.training.choices import Optimizer, Precision
from archmodel.training.graph import check_batch
from archmodel.training.step_times import Mode

ALL = "all"
DEFAULT_SYSTEM = "titanx_pcie3"
MAX_DIGITS = 20  # of a number that is worth a look
Names = str | Sequence[str]  # a name, several with commas between them, or a list
Batches = int | str | Sequence[int]


class Place(NamedTuple):
    """Where an iteration runs: a system, with a device or a link in the place of its own."""

    system: str
    device: str | None
    link: str | None


class Way(NamedTuple):
    """What decides how it runs; no mode stands for the system's, and for the one that dyn decides on."""

    dma: str
    policy: str
    mode: Mode | None


@dataclass(frozen=True)
class Request:
    """All that `train` is asked; `batches` is empty where the largest is to be found.

    is_list : whether something has been given several names: the answer is then a list, even of one run
    """

    nets: tuple[str, ...]
    batches: tuple[int, ...]
    places: tuple[Place, ...]
    ways: tuple[Way, ...]
    memory: str | None
    choices: TrainingChoices
    capacity_bytes: int | None
    accounting: str | None
    caffe_form: CaffeForm
    is_list: bool

    @property
    def fit(self) -> bool:
        """Whether the largest batch is to be found."""
        return not self.batches

    @property
    def num_runs(self) -> int:
        return len(self.nets) * max(len(self.batches), 1) * len(self.places) * len(self.ways)


def listed(value: object) -> bool:
    """Whether several may be meant."""
    return value == ALL or (isinstance(value, str) and "," in value) or isinstance(value, list | tuple)


def names(option: str, value: Names, known: Iterable[str] = ()) -> tuple[str, ...]:
    """Names as they were asked for, each once; `all` stands for those that are known, if any are."""
    known = tuple(known)
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(one, str) for one in parts):
        raise ConfigError(f"{option} = {show(value)}: must be a name, or several with commas between them")
    found = [one.strip() for one in parts if one.strip()]
    if not found:
        raise ConfigError(f"{option} = {show(value)}: names nothing")
    expanded = [name for one in found for name in (known if known and one == ALL else (one,))]
    return tuple(dict.fromkeys(expanded))


def optional_names(option: str, value: Names | None) -> tuple[str | None, ...]:
    """Names, or the one default."""
    return (None,) if value is None else names(option, value)


def batch_sizes(value: Batches | None, fit: bool) -> tuple[int, ...]:
    """Numbers of images, each once; none for ``fit``."""
    if fit and value is not None:
        raise ConfigError(f"batch = {show(value)}: fit finds the largest; allowed: one of the two")
    if fit:
        return ()
    if value is None:
        raise ConfigError("batch: is missing; a number of images, several with commas between them, or fit")
    parts = value.split(",") if isinstance(value, str) else value
    found = [batch_size(part) for part in (parts if isinstance(parts, list | tuple) else [parts])]
    if not found:
        raise ConfigError(f"batch = {show(value)}: names nothing")
    return tuple(dict.fromkeys(found))


def batch_size(value: object) -> int:
    """A number of images, from a number or its digits."""
    digits = value.strip() if isinstance(value, str) else ""
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < MAX_DIGITS else value
    check_batch(number)  # type: ignore[arg-type]
    return number  # type: ignore[return-value]


def modes(value: Names | None) -> tuple[Mode | None, ...]:
    """What vDNN calls m and p: the algorithms of convolutions."""
    if value is None:
        return (None,)
    found: list[Mode | None] = []
    for name in names("algorithms", value, get_args(Mode)):
        if name not in get_args(Mode):
            nearest = did_you_mean(name, get_args(Mode))
            raise ConfigError(f"algorithms = {show(name)}: must be memory or performance{nearest}")
        found.append(name)  # type: ignore[arg-type]
    return tuple(found)


def ways_of(dmas: Sequence[str], policies: Sequence[str], chosen: Sequence[Mode | None]) -> tuple[Way, ...]:
    """Every combination; dyn decides on the algorithms, so that it comes once."""
    found = []
    for dma, policy, mode in product(dmas, policies, chosen):
        decides = load_policy(policy).offload == "dyn"
        found.append(Way(dma, policy, None if decides else mode))
    return tuple(dict.fromkeys(found))


def request_of(
    net: Names,
    batch: Batches | None,
    *,
    system: Names,
    policy: Names,
    algorithms: Names | None,
    dma: Names,
    link: Names | None,
    device: Names | None,
    memory: str | None,
    capacity_bytes: int | None,
    precision: Precision,
    optimizer: Optimizer,
    in_place: bool,
    accounting: str | None,
    caffe_form: CaffeForm,
    fit: bool,
) -> Request:
    """What was asked, checked as far as it can be without a network or a device."""
    check_accounting(accounting, caffe_form)
    check_capacity(capacity_bytes)
    systems, devices = names("system", system), optional_names("device", device)
    places = [Place(*one) for one in product(systems, devices, optional_names("link", link))]
    asked = (net, batch, system, policy, algorithms, dma, link, device)
    return Request(
        nets=names("net", net),
        batches=batch_sizes(batch, fit),
        places=tuple(places),
        ways=ways_of(names("dma", dma), names("policy", policy, POLICIES), modes(algorithms)),
        memory=memory,
        choices=TrainingChoices(precision=precision, optimizer=optimizer, in_place=in_place),
        capacity_bytes=capacity_bytes,
        accounting=accounting,
        caffe_form=caffe_form,
        is_list=any(listed(one) for one in asked),
    )
