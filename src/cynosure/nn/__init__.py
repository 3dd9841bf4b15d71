"""Layers for typed geometric tensors. Every layer states its irreps as `irreps_in` and `irreps_out`."""

from cynosure.nn import layout
from cynosure.nn.activation import Activation
from cynosure.nn.conditioning import Conditioning
from cynosure.nn.density import NeighbourDensity, gates_of
from cynosure.nn.distance_transform import Agnesi, DistanceTransform, Soft
from cynosure.nn.gate import Gate, NormActivation
from cynosure.nn.linear import Linear
from cynosure.nn.message_passing import Convolution
from cynosure.nn.norm import LayerNorm
from cynosure.nn.product_basis import ProductBasis
from cynosure.nn.radial import (
    Envelope,
    RadialBasis,
    RadialFunctions,
    RadialNetwork,
    SwitchingEnvelope,
    polynomial_envelope,
)
from cynosure.nn.readout import EdgeReadout, LayerReadouts, Readout, TensorReadouts, layer_weights
from cynosure.nn.self_connection import SelfConnection
from cynosure.nn.tensor_product import ProductPath, TensorProduct

__all__ = [
    "Activation",
    "Agnesi",
    "Conditioning",
    "Convolution",
    "DistanceTransform",
    "EdgeReadout",
    "Envelope",
    "Gate",
    "LayerNorm",
    "LayerReadouts",
    "Linear",
    "NeighbourDensity",
    "NormActivation",
    "ProductBasis",
    "ProductPath",
    "RadialBasis",
    "RadialFunctions",
    "RadialNetwork",
    "Readout",
    "SelfConnection",
    "Soft",
    "SwitchingEnvelope",
    "TensorProduct",
    "TensorReadouts",
    "gates_of",
    "layer_weights",
    "layout",
    "polynomial_envelope",
]
