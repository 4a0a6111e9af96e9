"""How much a network keeps in memory, by nnU-Net's measure, counted layer by layer without building it.

nnU-Net reckons memory as the number of values that a sample's convolutions put out, each stage's skip, transposed
convolution and logits included (`compute_conv_feature_map_size` of its networks), and compares that with
what a known plan needs (common/planning/planners.py). All axes in planning order, though the sums do not depend on
it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.planning.axes import Ints
from common.planning.planners import PlannedNetwork
from common.planning.topology import Topology

PLAIN_CONVOLUTIONS = 2
RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer adds to the sums.

    Attributes:
        features: values that it puts out for one sample.
        weights: trained values, its norm's scale and shift included.
        multiply_adds: for one sample, forwards.
    """

    features: int
    weights: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Sums over a network's layers for one patch.

    Attributes:
        features: values kept, nnU-Net's measure of memory.
        parameters: trained values.
        multiply_adds: of one forward pass.
    """

    features: int
    parameters: int
    multiply_adds: int


def network_size(network: PlannedNetwork, topology: Topology, in_channels: int, out_channels: int) -> NetworkSize:
    """Count a network of this topology on its own patch; no deep supervision, as nnU-Net counts.

    Each convolution has an instance norm of its own; only the logits' bias is counted, since before a norm a bias
    does nothing (nnU-Net keeps them, 0.02 % more).

    Example: the published plan of UCSF-BMSR, 4 sequences and 4 classes: 533 million values, 30.8 million
    weights, 566 billion multiply-adds.
    """
    encoder = _plain_encoder if network == "unet" else _residual_encoder
    decoder_convolutions = PLAIN_CONVOLUTIONS if network == "unet" else 1
    shapes = _stage_shapes(topology)
    layers = encoder(topology, shapes, in_channels)
    layers += _decoder(topology, shapes, decoder_convolutions)
    layers.append(_logits(topology.channels[0], out_channels, shapes[0]))
    return NetworkSize(
        features=sum(layer.features for layer in layers),
        parameters=sum(layer.weights for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )


def _stage_shapes(topology: Topology) -> list[Ints]:
    shape, shapes = topology.patch_size, []
    for stride in topology.strides:
        shape = (shape[0] // stride[0], shape[1] // stride[1], shape[2] // stride[2])
        shapes.append(shape)
    return shapes


def _plain_encoder(topology: Topology, shapes: Sequence[Ints], in_channels: int) -> list[Layer]:
    """Two convolutions a stage, the first of which strides."""
    layers = []
    inputs = in_channels
    for width, kernel, shape in zip(topology.channels, topology.kernel_sizes, shapes, strict=True):
        layers += _convolutions(PLAIN_CONVOLUTIONS, inputs, width, kernel, shape)
        inputs = width
    return layers


def _residual_encoder(topology: Topology, shapes: Sequence[Ints], in_channels: int) -> list[Layer]:
    """A stem, then 1, 3, 4, 6, 6, ... blocks of two convolutions; a stage's first block also has a projection.

    The projection is a 1 x 1 x 1 convolution where the width changes, after pooling where the block strides; with
    pooling alone nnU-Net counts its values as well.
    """
    layers = [_convolution(in_channels, topology.channels[0], topology.kernel_sizes[0], shapes[0])]
    inputs = topology.channels[0]
    stages = zip(topology.channels, topology.kernel_sizes, topology.strides, shapes, strict=True)
    for blocks, (width, kernel, stride, shape) in zip(RESIDUAL_BLOCKS, stages, strict=False):
        layers += _convolutions(2 * blocks, inputs, width, kernel, shape)
        if inputs != width:
            layers.append(_convolution(inputs, width, (1, 1, 1), shape))
        elif math.prod(stride) > 1:
            layers.append(Layer(width * math.prod(shape), 0, 0))
        inputs = width
    return layers


def _decoder(topology: Topology, shapes: Sequence[Ints], convolutions: int) -> list[Layer]:
    """Up from the bottom: a transposed convolution, then convolutions over it and the encoder's own features."""
    layers = []
    for stage in reversed(range(len(shapes) - 1)):
        below, width = topology.channels[stage + 1], topology.channels[stage]
        layers.append(_transposed(below, width, topology.strides[stage + 1], shapes[stage]))
        layers += _convolutions(convolutions, 2 * width, width, topology.kernel_sizes[stage], shapes[stage])
    return layers


def _convolutions(count: int, inputs: int, width: int, kernel: Ints, shape: Ints) -> list[Layer]:
    """A chain: the first from `inputs` channels, the others from `width`."""
    return [_convolution(width if index else inputs, width, kernel, shape) for index in range(count)]


def _convolution(inputs: int, outputs: int, kernel: Ints, shape: Ints) -> Layer:
    voxels, taps = math.prod(shape), inputs * outputs * math.prod(kernel)
    return Layer(outputs * voxels, taps + 2 * outputs, taps * voxels)


def _transposed(inputs: int, outputs: int, stride: Ints, shape: Ints) -> Layer:
    """Kernel and stride are equal, so that each of its output voxels (`shape`) sees one input voxel."""
    voxels, pairs = math.prod(shape), inputs * outputs
    return Layer(outputs * voxels, pairs * math.prod(stride), pairs * voxels)


def _logits(inputs: int, outputs: int, shape: Ints) -> Layer:
    voxels, pairs = math.prod(shape), inputs * outputs
    return Layer(outputs * voxels, pairs + outputs, pairs * voxels)
