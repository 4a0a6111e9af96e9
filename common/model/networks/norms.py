"""Instance norm where a published network has batch norm.

Batch norm keeps running means and variances of the site that it saw. Their average over unlike sites is no
site's own statistics (Li et al., FedBN, ICLR 2021, arXiv 2102.07623); a batch of two large patches is too small to
estimate them; and the counter of batches is an integer, which cannot be averaged. Instance norm has none of the
three troubles: the same scale and shift are learned, and nothing is remembered.
"""

import torch
from torch.nn import BatchNorm3d, InstanceNorm3d

INSTANCE = ("INSTANCE", {"affine": True})
LEAKY = ("leakyrelu", {"inplace": True, "negative_slope": 0.01})


def without_batch_norm(model: torch.nn.Module) -> torch.nn.Module:
    """Put an instance norm with learned scale and shift in the place of every batch norm; gives the same model.

    Names and shapes of parameters stay; the buffers (running mean, running variance, counter) go. No random
    number is drawn.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BatchNorm3d):
                setattr(parent, name, InstanceNorm3d(child.num_features, eps=child.eps, affine=True))
    return model
