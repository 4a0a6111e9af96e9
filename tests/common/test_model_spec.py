import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from common.plan import ModelSpec

PLANNED = ((1, 1, 1), (2, 2, 2), (1, 2, 2))


def test_what_a_plan_leaves_out_is_as_published() -> None:
    assert ModelSpec().widths == (32, 64, 128, 256, 320, 320)
    assert ModelSpec().stage_strides == ((1, 1, 1), *((2, 2, 2),) * 5)
    assert ModelSpec(channels=(4, 8)).stage_kernels == ((3, 3, 3),) * 2
    assert ModelSpec(name="resnet34_unet").dropout_share == 0.5
    assert ModelSpec(name="resnet34_unet", dropout=0.0).dropout_share == 0.0
    assert ModelSpec().dropout_share == 0.0


def test_a_planned_network_travels_whole() -> None:
    spec = ModelSpec(channels=(4, 8, 8), strides=PLANNED, kernel_sizes=((1, 3, 3), (3, 3, 3), (3, 3, 3)))
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert spec.stage_strides == PLANNED


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "vnet", "deep_supervision": True}, "deep_supervision is an option of unet, unet_resenc, not of"),
        ({"name": "unet", "dropout": 0.5}, "dropout is an option of resnet34_unet, .*, not of 'unet'"),
        ({"name": "fcn", "strides": PLANNED}, "strides is an option of unet, unet_resenc, not of 'fcn'"),
        ({"name": "unet_small", "kernel_sizes": ((3, 3, 3),) * 6}, "kernel_sizes is an option of"),
        ({"strides": PLANNED}, "strides has 3 entries for 6 stages"),
        ({"kernel_sizes": ((3, 3, 3),)}, "kernel_sizes has 1 entries for 6 stages"),
        ({"channels": (4, 8), "strides": ((2, 2, 2), (2, 2, 2))}, "the first stage keeps the patch's size"),
        ({"channels": (4, 8), "strides": ((1, 1, 1), (3, 2, 2))}, "less than or equal to 2"),
        ({"channels": (4, 8), "kernel_sizes": ((3, 3, 3), (3, 2, 3))}, r"kernel_sizes holds \[3, 2, 3\]: .* odd"),
        ({"name": "vnet", "dropout": 1.0}, "less than 1"),
        ({"name": "resnet"}, "Input should be 'unet', 'unet_small'"),
    ],
)
def test_options_of_other_networks_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ModelSpec(**values)


def test_a_plan_is_read_without_torch() -> None:
    code = "import sys, common.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], timeout=60, check=False).returncode == 0
