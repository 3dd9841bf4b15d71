"""Atoms as graphs: the schema, the neighbour list, and batches."""

from cynosure.graph.ase import from_arrays, from_atoms, matrix_from_voigt
from cynosure.graph.batch import batch, select, unbatch
from cynosure.graph.declared import Declared
from cynosure.graph.neighbours import neighbour_list
from cynosure.graph.order import nearby_order
from cynosure.graph.points import ATOMS, Points
from cynosure.graph.quantity import LABELS, NO_SHIFT, Owner, Quantity, Rows
from cynosure.graph.schema import AtomGraph

__all__ = [
    "ATOMS",
    "LABELS",
    "NO_SHIFT",
    "AtomGraph",
    "Declared",
    "Owner",
    "Points",
    "Quantity",
    "Rows",
    "batch",
    "from_arrays",
    "from_atoms",
    "matrix_from_voigt",
    "nearby_order",
    "neighbour_list",
    "select",
    "unbatch",
]
