"""A plan's settings of what becomes of a prediction before it is scored, shown or written."""

from typing import Literal

from pydantic import model_validator

from common.numbers import Fraction, NotNegative
from common.schema import Frozen

_HALF = 0.5


class PostprocessingSpec(Frozen):
    """Clean-up of a predicted mask on the images' own grid; the defaults take nothing away but voxels outside.

    Attributes:
        outside_brain: what to do with what lies outside the brain mask. `voxels` cuts it off; `lesions` takes a
            lesion that lies mostly outside away whole and leaves the others whole; `keep` does nothing.
        brain_margin_mm: with `lesions`, the mask is first shrunk by this, against residues of skull and dura that
            a mask leaves in.
        min_inside_share: with `lesions`, a lesion with less of its volume inside the shrunk mask goes.
        min_lesion_mm3: smaller lesions go; 0 keeps all. A lesion is a 26-connected component of the classes that
            count as tumour.
    """

    outside_brain: Literal["voxels", "lesions", "keep"] = "voxels"
    brain_margin_mm: NotNegative = 0.0
    min_inside_share: Fraction = _HALF
    min_lesion_mm3: NotNegative = 0.0

    @model_validator(mode="after")
    def _margin_needs_lesions(self) -> "PostprocessingSpec":
        if self.outside_brain != "lesions" and (self.brain_margin_mm > 0.0 or self.min_inside_share != _HALF):
            raise ValueError(
                f"outside_brain = '{self.outside_brain}' with brain_margin_mm = {self.brain_margin_mm:g} and "
                f"min_inside_share = {self.min_inside_share:g}: these two need outside_brain = 'lesions', else "
                f"leave them at 0 and {_HALF:g}"
            )
        return self
