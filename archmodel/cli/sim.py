"""`archmodel sim`: run a network on a machine."""

import click

from archmodel.cli.common import console, json_option, print_json, print_wrapped, progress_bar
from archmodel.cli.operand_options import operand_options
from archmodel.errors import show


@click.command()
@click.option("--arch", required=True, metavar="NAME",
              help="Machine: a name of `archmodel list`, or a TOML file; several: a,b,c, or all.")
@click.option("--net", metavar="NAME",
              help="Network: a name of `archmodel list`, a TOML, an ONNX or a SCALE-Sim CSV file.")
@click.option("--onnx", metavar="FILE", help="Network: an ONNX file, as with --net.")
@click.option("--fidelity", default="exact", show_default=True, metavar="LEVEL",
              help="exact; sampled: a random part of each layer; statistical: densities only.")
@click.option("--baseline", metavar="NAME", help="Second machine on the same zeros, for the speed-up.")
@click.option("--memory", default="ideal", show_default=True, metavar="NAME", help="Memory behind both machines.")
@click.option("--dram", default="sampled", show_default=True, metavar="EXTENT",
              help="Of a memory of banks: full runs every request, sampled the first of long streams.")
@click.option("--technology", metavar="NAME",
              help="One node for all: scales energy and area, no clock; each its own by default.")
@click.option("--precision", metavar="NAME",
              help="Widths of all machines: a name of each one's [precisions], as int8; `archmodel show` has them.")
@operand_options(" Tensors of layers left out go through DRAM: a layer alone can differ from the same layer in its"
                 " network.")
@click.option("--seeds", default=1, show_default=True, metavar="N",
              help="Placements of the zeros; more than one gives mean and 95 % interval.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE",
              help="Change the machine, or memory.KEY of the memory, which is all for several machines; repeatable.")
@click.option("--set-baseline", "baseline_assignments", multiple=True, metavar="SECTION.KEY=VALUE",
              help="Change the baseline; repeatable.")
@click.option("--threads", type=int, metavar="N", help="Worker threads, all cores by default; numbers do not change.")
@click.option("--check", is_flag=True,
              help="Compare the outputs of the modelled dataflow with a reference, and onnxruntime's after --input.")
@click.option("-o", "--output", metavar="FILE.h5|FOLDER",
              help="Write the result; of several machines, MACHINE.h5 of each into a folder. Nothing without it.")
@json_option
def sim(output: str | None, as_json: bool, onnx: str | None, **arguments: object) -> None:
    """Run a network on a machine and show where its cycles go.

    \b
    archmodel sim --arch scnn --net vgg16 --baseline dcnn
    archmodel sim --arch scnn --net squeezenet_pruned --set pe.queue_depth=2 -o out.h5
    archmodel sim --arch scnn,cnvlutin,eie,cambricon_x,tpu_v1 --net alexnet --technology 28nm
    archmodel sim --arch scnn --onnx model.onnx --input photo.png --preprocess preset=imagenet
    """
    from archmodel.cli import machines

    arguments["net"] = one_network(arguments["net"], onnx)

    arch = str(arguments["arch"])
    if arch == machines.ALL or "," in arch:
        del arguments["arch"]
        machines.run(arch, output, as_json, arguments)
        return
    from archmodel import results, simulation
    from archmodel.cli.tables import captured_lines, print_run

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
        for line in captured_lines(run):
            print_wrapped(console(), line, indent=" " * 13)


def one_network(net: object, onnx: str | None) -> object:
    """The network that --net or --onnx names."""
    context = click.get_current_context()
    if net is None and onnx is None:
        raise click.UsageError("--net: is missing; a name of `archmodel list`, a TOML or an ONNX file", context)
    if net is not None and onnx is not None:
        raise click.UsageError("--net and --onnx: both name the network; allowed: one of them", context)
    if onnx is not None and not onnx.endswith(".onnx"):
        raise click.UsageError(f"--onnx {show(onnx)}: must be an .onnx file", context)
    return net if onnx is None else onnx
