"""What do a Darknet .cfg and .weights file say."""

from fastyolo.darknet.cfg import Cfg, Section, read_cfg
from fastyolo.darknet.decoding import spec_from_cfg, with_input_size
from fastyolo.darknet.kinds import (
    AveragePool,
    Convolutional,
    Dropout,
    Layer,
    MaxPool,
    Product,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from fastyolo.darknet.layers import network_layers
from fastyolo.darknet.weights import ConvolutionWeights, count_numbers, read_weights

__all__ = [
    "AveragePool",
    "Cfg",
    "ConvolutionWeights",
    "Convolutional",
    "Dropout",
    "Layer",
    "MaxPool",
    "Product",
    "Route",
    "Section",
    "Shortcut",
    "Upsample",
    "Yolo",
    "count_numbers",
    "network_layers",
    "read_cfg",
    "read_weights",
    "spec_from_cfg",
    "with_input_size",
]
