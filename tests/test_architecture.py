"""The imports follow the arrows of the design, and importing changes nothing for the rest of the process."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import cynosure

ROOT = Path(cynosure.__file__).parent
CORE = Path(__file__).parents[1] / "csrc"

# What each part may import of the others. `testing` and the package's own `__init__` are doors, not parts.
ARROWS = {
    "o3": set(),
    "kernels": {"o3"},
    "nn": {"o3", "kernels"},
    "graph": set(),
    "data": {"graph"},
    "potentials": {"o3", "kernels", "nn", "graph"},
    "training": {"o3", "kernels", "nn", "graph", "data", "potentials"},
    "deploy": {"o3", "nn", "graph", "data", "potentials"},
    "analysis": {"o3", "nn", "graph", "data", "potentials", "deploy"},
    "importers": {"o3", "nn", "graph", "potentials"},
    "lab": {"o3", "nn", "graph", "data", "potentials", "training", "deploy", "analysis"},
    "cli": {"graph", "data", "potentials", "training", "deploy", "analysis", "importers", "lab"},
}


def imported_parts(path: Path) -> set[str]:
    """The parts of cynosure that a file imports, wherever in the file."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute, so that this test can read them"
            names = [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith("cynosure.")}
    return parts & ARROWS.keys()


def test_every_part_is_drawn():
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} == ARROWS.keys()


def test_imports_follow_the_arrows():
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}"
        for part, allowed in ARROWS.items()
        for path in sorted((ROOT / part).rglob("*.py"))
        for other in sorted(imported_parts(path) - allowed - {part})
    ]
    assert not wrong, "\n".join(wrong)


def test_the_compiled_core_knows_no_torch():
    sources = sorted(CORE.glob("*"))
    assert sources, f"no C++ sources in {CORE}"
    wrong = [
        f"{path.name}: {line.strip()}"
        for path in sources
        for line in path.read_text().splitlines()
        if re.match(r"\s*#\s*include\s*[<\"](torch|ATen|c10)\b", line)
    ]
    assert not wrong, "\n".join(wrong)


def test_importing_changes_no_setting_of_the_process():
    program = """
import random, warnings, numpy, torch
def state():
    return (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), list(warnings.filters),
            torch.random.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), random.getstate(),
            torch.are_deterministic_algorithms_enabled(), numpy.geterr())
# What the libraries do on their own import is theirs (rich draws a random number for each of its styles).
import ase.io, matplotlib.figure, pydantic, typer, rich.console, safetensors.torch, vesin
before = state()
import cynosure
from cynosure import analysis, cli, data, deploy, graph, kernels, lab, nn, o3, potentials, testing, training
assert state() == before
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_help_does_not_wait_for_torch():
    program = "import sys, cynosure, cynosure.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
