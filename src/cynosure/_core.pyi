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
