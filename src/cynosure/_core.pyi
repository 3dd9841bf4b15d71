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

class Network:
    def embed(self, arrays: list[int], table: int) -> None: ...
    def linear(
        self,
        arrays: list[int],
        by_species: bool,
        terms: list[int],
        weights: list[int],
        transposed_terms: list[int],
        transposed_weights: list[int],
    ) -> None: ...
    def convolve(
        self,
        arrays: list[int],
        convolution: Convolution,
        weight: int,
        intervals: int,
        basis: int,
        step: float,
        terms: list[int],
        weights: list[int],
        transposed_terms: list[int],
        transposed_weights: list[int],
    ) -> None: ...
    def gate(self, arrays: list[int], items: list[int], factors: list[float]) -> None: ...
    def finish(self, arena: int, energy: list[int]) -> None: ...
    def run(self, *arguments: int) -> None: ...

def network(single: bool, lmax: int, num_species: int) -> Network: ...
