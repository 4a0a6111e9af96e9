import torch

from common.model.build import build_model
from common.plan import ModelSpec


def _box(model: torch.nn.Module, edge: int, voxel: int) -> list[tuple[int, int]]:
    """First and last voxel by axis that one output voxel depends on."""
    image = torch.randn(1, 1, edge, edge, edge, generator=torch.Generator().manual_seed(0))
    image.requires_grad_()
    model(image)[0, :, voxel, voxel, voxel].sum().backward()
    assert image.grad is not None
    seen = image.grad[0, 0].nonzero()
    return list(zip(seen.amin(0).tolist(), seen.amax(0).tolist(), strict=True))


def _without_norms(model: torch.nn.Module) -> torch.nn.Module:
    """A norm lets every voxel depend on every other."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.InstanceNorm3d):
                setattr(parent, name, torch.nn.Identity())
    return model.eval()


def test_a_voxel_sees_17_voxels_a_side_finely_and_51_coarsely() -> None:
    model = _without_norms(build_model(ModelSpec(name="deepmedic", channels=(1,) * 8), 1, 2, seed=0))
    assert _box(model, 69, 34) == [(34 - 25, 34 + 25)] * 3
    for parameter in model.coarse.parameters():  # type: ignore[union-attr]
        torch.nn.init.zeros_(parameter)
    assert _box(model, 69, 34) == [(34 - 8, 34 + 8)] * 3


def test_an_edge_that_is_no_multiple_of_3_keeps_its_coarse_voxels_in_place() -> None:
    model = _without_norms(build_model(ModelSpec(name="deepmedic", channels=(2, 2)), 1, 2, seed=0))
    for parameter in model.fine.parameters():  # type: ignore[union-attr]
        torch.nn.init.zeros_(parameter)
    assert _box(model, 20, 19) == [(12, 19)] * 3  # coarse voxel 6 holds voxels 18 and 19, and sees 4 to 6
