"""Batches with known answers for the tests of this folder."""

import math

import torch

from common.label_meanings import Meanings

LOSSES = ("dice_ce", "dice_bce", "dice_focal", "tversky", "blob", "size_weighted_dice")
BINARY: Meanings = ((0, 2), (1,), (2,), (3,), (1, 3))
"""Of a site that drew classes 1 and 3 as one, index 4, and left class 2 out."""
TUMOUR = frozenset({1, 3})
"""Core and rim; class 2 is oedema."""


def noise(classes: int, samples: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits (B, C, 6, 5, 4) and labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, 6, 5, 4, generator=generator)
    return logits, torch.randint(classes, (samples, 6, 5, 4), generator=generator)


def logits_of(probability: torch.Tensor) -> torch.Tensor:
    """Two-class logits (1, 2, X, Y, Z) whose foreground has these probabilities (X, Y, Z), 0 and 1 nearly so."""
    inside = probability.clamp(1e-12, 1 - 1e-7)
    return torch.stack([torch.zeros_like(inside), torch.log(inside) - torch.log1p(-inside)])[None]


def two_lesions(large: int, small: int) -> torch.Tensor:
    """(1, X, 4, 5) label with two lesions, each of so many voxels (multiples of 4 up to 20 voxels a slab)."""
    label = torch.zeros(1, math.ceil(large / 20) + 6, 4, 5, dtype=torch.int64)
    label[0, : label.shape[1] - 6].view(-1)[:large] = 1
    label[0, -1].view(-1)[:small] = 1
    return label
