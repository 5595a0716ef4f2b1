"""`archmodel sim`: run a network on a machine."""

import click

from archmodel.cli.common import console, json_option, print_json, progress_bar
from archmodel.cli.operand_options import operand_options


@click.command()
@click.option("--arch", required=True, metavar="NAME",
              help="Machine: a name of `archmodel list`, or a TOML file; several: a,b,c, or all.")
@click.option("--net", required=True, metavar="NAME",
              help="Network: a name of `archmodel list`, a TOML or an ONNX file.")
@click.option("--fidelity", default="exact", show_default=True, metavar="LEVEL",
              help="exact; sampled: a random part of each layer; statistical: densities only.")
@click.option("--baseline", metavar="NAME", help="Second machine on the same zeros, for the speed-up.")
@click.option("--memory", default="ideal", show_default=True, metavar="NAME", help="Memory behind both machines.")
@click.option("--technology", metavar="NAME",
              help="One node for all: scales energy and area, no clock; each its own by default.")
@operand_options(" Tensors of layers left out go through DRAM: a layer alone can differ from the same layer in its"
                 " network.")
@click.option("--seeds", default=1, show_default=True, metavar="N",
              help="Placements of the zeros; more than one gives mean and 95 % interval.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE",
              help="Change the machine, or memory.KEY of the memory, which is all for several machines; repeatable.")
@click.option("--set-baseline", "baseline_assignments", multiple=True, metavar="SECTION.KEY=VALUE",
              help="Change the baseline; repeatable.")
@click.option("--threads", type=int, metavar="N", help="Worker threads, all cores by default; numbers do not change.")
@click.option("--skip-unsupported", is_flag=True, help="Leave out layers that a machine does not run.")
@click.option("--check", is_flag=True, help="Compare the outputs of the modelled dataflow with a reference.")
@click.option("-o", "--output", metavar="FILE.h5|FOLDER",
              help="Write the result; of several machines, MACHINE.h5 of each into a folder. Nothing without it.")
@json_option
def sim(output: str | None, as_json: bool, **arguments: object) -> None:
    """Run a network on a machine and show where its cycles go.

    \b
    archmodel sim --arch scnn --net vgg16 --baseline dcnn
    archmodel sim --arch scnn --net squeezenet_pruned --set pe.queue_depth=2 -o out.h5
    archmodel sim --arch scnn,cnvlutin,eie,cambricon_x,tpu_v1 --net alexnet --technology 28nm
    """
    from archmodel.cli import machines

    arch = str(arguments["arch"])
    if arch == machines.ALL or "," in arch:
        del arguments["arch"]
        machines.run(arch, output, as_json, arguments)
        return
    from archmodel import results, simulation
    from archmodel.cli.tables import print_run

    if output is not None:
        results.check_writable(output)
    with progress_bar(quiet=as_json) as advance:
        run = simulation.simulate(progress=advance, **arguments)  # type: ignore[arg-type]
    if output is not None:
        results.save(run, output)
    if as_json:
        print_json(run.as_dict())
    else:
        print_run(run, console())
