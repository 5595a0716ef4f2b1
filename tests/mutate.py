"""Break lines of a module one at a time and list the mutants that no test notices.

    python tests/mutate.py archmodel/accelerators/eie.py --tests tests/accelerators/test_eie.py --sample 25

Runs on a copy of the working tree. Only bodies of functions are broken: an operator, a comparison, a constant, a
condition, a dimension's name, a statement that updates or calls. A kernel is first tried without the compiler, which
is where most of its mutants die.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
OPERATORS = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Add(),
    ast.FloorDiv: ast.Mult(),
    ast.Div: ast.Mult(),
    ast.Mod: ast.Add(),
    ast.MatMult: ast.Mult(),
    ast.LShift: ast.RShift(),
    ast.RShift: ast.LShift(),
    ast.BitAnd: ast.BitOr(),
    ast.BitOr: ast.BitAnd(),
    ast.BitXor: ast.BitOr(),
}
COMPARISONS = {
    ast.Lt: ast.LtE(),
    ast.LtE: ast.Lt(),
    ast.Gt: ast.GtE(),
    ast.GtE: ast.Gt(),
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}
NAMES = {"min": "max", "max": "min", "sum": "max", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
DIMENSIONS = {"C": "K", "K": "C", "H": "W", "W": "H", "R": "S", "S": "R", "P": "Q", "Q": "P"}
SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.FunctionDef, ast.Lambda)  # messages; functions come by themselves


def swapped(node: ast.AST) -> Iterator[ast.AST | str]:
    """The node with one thing in it changed, as nodes or source text."""
    match node:
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)], node.right)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.Compare(ops=[op]):
            yield ast.Compare(node.left, [COMPARISONS[type(op)]], node.comparators)
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES | DIMENSIONS:
            yield ast.Attribute(node.value, (NAMES | DIMENSIONS)[name])
        case ast.AugAssign() | ast.Expr(value=ast.Call()) | ast.Continue() | ast.Break():
            yield "pass"


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """Statements and expressions that run when a function does; no docstring, annotation or message."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "args", "slice") and not isinstance(
            node, ast.Call | ast.Subscript
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, SKIPPED):
                yield child
                yield from inside(child)


def mutants(source: str) -> list[tuple[int, str, str, str]]:
    """Line, old text, new text and the whole new source of everything that can be broken in a module."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.Lambda):
            continue
        for node in inside(function):
            for new in swapped(node):
                first = starts[node.lineno - 1] + node.col_offset
                last = starts[node.end_lineno - 1] + node.end_col_offset
                text = new if isinstance(new, str) else ast.unparse(ast.fix_missing_locations(new))
                if isinstance(node, ast.expr) and not isinstance(node, ast.Name | ast.Attribute):
                    text = f"({text})"
                whole = source.encode()
                old = whole[first:last].decode()
                found.append((node.lineno, old, text, (whole[:first] + text.encode() + whole[last:]).decode()))
    return found


def survives(tree: Path, tests: list[str], environment: dict[str, str], timeout_s: float) -> bool:
    """Whether the tests pass on a tree; one that hangs counts as noticed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 0


def trials(module: Path, tests: list[str], tree: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Tests and environment of each trial that a mutant must survive, the cheapest first."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    if module.parent.name == "kernels":
        of_kernels = [test for test in tests if "tests/kernels" in test]
        if of_kernels:
            yield of_kernels, environment | {"NUMBA_DISABLE_JIT": "1"}
        # A compiled caller does not see that what it calls has changed: nothing compiled may be left.
        yield tests, environment | {"NUMBA_CACHE_DIR": tempfile.mkdtemp(dir=tree)}
    else:
        yield tests, environment


def main() -> None:
    """Print survivors as they are found, then killed of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", help="files to break, relative to the repository")
    parser.add_argument("--tests", nargs="+", required=True, help="test files that should notice")
    parser.add_argument("--sample", type=int, default=25, help="mutants a module, 0 for all (default 25)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".mypy_cache", ".ruff_cache", "*.h5")
        shutil.copytree(ROOT, tree, ignore=ignored)
        for name in arguments.modules:
            path, killed = tree / name, 0
            source = path.read_text()
            everything = mutants(source)
            size = min(arguments.sample or len(everything), len(everything))
            chosen = sorted(random.Random(arguments.seed).sample(everything, size))
            start = time.perf_counter()
            for tests, environment in trials(path, arguments.tests, tree):
                if not survives(tree, tests, environment, 1200):
                    sys.exit(f"{name}: the tests fail on the unbroken module: {' '.join(tests)}")
            timeout_s = 30 + 4 * (time.perf_counter() - start)
            for line, old, new, broken in chosen:
                path.write_text(broken)
                if all(survives(tree, *trial, timeout_s) for trial in trials(path, arguments.tests, tree)):
                    print(f"{name}:{line}: {' '.join(old.split())}  ->  {' '.join(new.split())}", flush=True)
                else:
                    killed += 1
            path.write_text(source)
            print(f"{name}: {killed} of {len(chosen)} killed, of {len(everything)} that can be made", flush=True)


if __name__ == "__main__":
    main()
