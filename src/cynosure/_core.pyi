# What csrc/ exports (csrc/module.cpp and the bind_*.cpp). Arrays go in as addresses (`Tensor.data_ptr()`), 0 for none;
# the functions of cynosure.kernels check all else first.

def isa() -> str: ...
def isas() -> list[str]: ...
def fma_peak(seconds: float = 0.2, single: bool = True) -> float: ...

class Convolution:
    def __init__(
        self,
        dim_x: int,
        dim_edge: int,
        dim_out: int,
        num_weights: int,
        paths: list[int],
        groups: list[int],
        first: list[int],
        component: list[int],
        value: list[float],
        number: list[int],
        element: list[int],
        number_value: list[float],
    ) -> None: ...

def convolve_forward(convolution: Convolution, /, *arguments: int) -> None: ...
def convolve_backward(convolution: Convolution, /, *arguments: int) -> None: ...
def convolve_second(convolution: Convolution, /, *arguments: int) -> None: ...
def harmonics_forward(*arguments: int) -> None: ...
def harmonics_backward(*arguments: int) -> None: ...
def harmonics_second(*arguments: int) -> None: ...
def orthogonal(
    single: bool,
    a: float,
    b: float,
    c: float,
    rounds: int,
    rows: list[int],
    columns: list[int],
    factors: list[float],
    sources: list[int],
    targets: list[int],
    threads: int,
) -> None: ...

# The numbers of the terms and the addresses of their weights; of a map, the map turned round, the same for adjoints.
_Maps = list[tuple[list[int], list[int]]]

class Network:
    def embed(self, arrays: list[int], table: int) -> None: ...
    def linear(self, arrays: list[int], by_species: bool, maps: _Maps) -> None: ...
    def convolve(
        self,
        arrays: list[int],
        convolution: Convolution,
        weight: int,
        tables: int,
        intervals: int,
        basis: int,
        step: float,
        maps: _Maps,
    ) -> None: ...
    def pairs(self, slots: list[int]) -> None: ...
    def radial(
        self,
        kind: int,
        power: int,
        cutoff: float,
        factors: list[float],
        function: int,
        factor: float,
        sizes: list[int],
        weights: list[int],
    ) -> None: ...
    def gate(self, arrays: list[int], items: list[int], factors: list[float]) -> None: ...
    def finish(self, arena: int, energy: list[int]) -> None: ...
    def run(self, *arguments: int) -> None: ...
    def train_memory(self, nodes: int, edges: int) -> int: ...
    def train_first(self, *arguments: int) -> None: ...
    def train_second(self, *arguments: int) -> None: ...

def network(single: bool, lmax: int, num_species: int, weights: int = 0, num_weights: int = 0) -> Network: ...
