"""Lines below the table of a run about the link to its host."""

from archmodel.accelerators.run_result import RunResult


def link_lines(run: RunResult, indent: str) -> list[str]:
    """What is moved and for how long, and the time from batch to batch; none without a link."""
    from archmodel.cli.tables import seconds, si

    moved = run.host_transfers
    if moved is None:
        return []
    weights = "once" if moved.weights_stay else "with every batch: no room"
    parts = [
        f"inputs {seconds(moved.upload_s)} ({si(moved.upload_bytes, 'B')})",
        f"results {seconds(moved.download_s)} ({si(moved.download_bytes, 'B')})",
    ]
    rate = si(run.batch / moved.interval_s if moved.interval_s else 0.0)
    batch = "the first batch" if moved.weights_stay else "a batch alone"
    return [
        f"link         {run.config['link']['name']}: {', '.join(parts)},",
        f"{indent}weights {seconds(moved.weights_s)} ({si(moved.weight_bytes, 'B')}) {weights}",
        f"end to end   {seconds(moved.end_to_end_s)} for {batch}, with its weights; double-buffered, one",
        f"{indent}every {seconds(moved.interval_s)}: {rate} inputs/s{limiting(run)}",
    ]


def limiting(run: RunResult) -> str:
    """Whether the machine or the link decides."""
    moved = run.host_transfers
    return "" if moved is None or moved.interval_s <= run.time_s else ", bound by the link"
