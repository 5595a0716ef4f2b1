"""What configs/published/network_totals.toml measures: totals of the project's networks beside those in their files."""

from archmodel import config
from archmodel.exchange import read_network
from archmodel.network import Network, PublishedTotal
from archmodel.validation.published import Kind, PublishedRow
from archmodel.validation.scnn import Measured

QUANTITIES = {
    "parameters": "parameters",
    "parameters_mib": "MiB of parameters",
    "macs": "M MACs",
    "conv_macs": "M MACs of convolutions",
}
MILLION = 10**6
REASONS: dict[Kind, str] = {
    "identity": "a count, published in full",
    "gate": "half of the last digit published",
    "band": "half of the last digit; recalled, which is never a gate",
}


def networks() -> list[Network]:
    """The networks that come with archmodel, by name."""
    return [read_network(name) for name in config.names("workloads")]


def rows_of_networks() -> tuple[PublishedRow, ...]:
    """A row for each total that a network's file says is published."""
    return tuple(
        row_of_total(network.name, quantity, total)
        for network in networks()
        for quantity, total in network.published.items()
    )


def row_of_total(network: str, quantity: str, published: PublishedTotal) -> PublishedRow:
    """One total; where the file says why ours differs, nothing is judged."""
    kind = kind_of_total(quantity, published)
    judged = kind in ("gate", "band")
    return PublishedRow(
        id=f"{network}.{quantity}",
        what=f"{network}, {QUANTITIES[quantity]}",
        kind=kind,
        published=in_its_unit(quantity, published.total),
        provenance=f"{published.provenance}, {published.source}",
        low=in_its_unit(quantity, published.total - published.rounding) if judged else None,
        high=in_its_unit(quantity, published.total + published.rounding) if judged else None,
        reason=published.difference or REASONS[kind],
    )


def in_its_unit(quantity: str, total: float) -> float:
    """A total as its row shows it: MACs in millions, whole where they are."""
    if not quantity.endswith("macs"):
        return total
    millions, rest = divmod(total, MILLION)
    return total / MILLION if rest else int(millions)


def kind_of_total(quantity: str, published: PublishedTotal) -> Kind:
    """What a miss means: counts in full are identities, rounded totals gates, what is recalled never either."""
    if published.difference is not None:
        return "report"
    if published.provenance == "recalled":
        return "band"
    in_full = published.rounding < 1 and not quantity.endswith("_mib")
    return "identity" if in_full else "gate"


def measure_network_totals() -> Measured:
    """Values of configs/published/network_totals.toml."""
    values = {
        f"{network.name}.{quantity}": in_its_unit(quantity, network.totals[quantity])
        for network in networks()
        for quantity in network.published
    }
    return values, {}
