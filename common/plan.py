"""What a federation agrees to do. The plan travels, is stored with the model, and holds no path of a site.

Defaults live here and nowhere else; an experiment file states only what differs.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.compression import Encoding
from common.model_spec import ModelSpec
from common.numbers import Count, Fraction, Name, NotNegative, Positive
from common.postprocessing_spec import PostprocessingSpec
from common.schema import Frozen
from common.statistics.suppression import FEWEST_PATIENTS
from common.training_spec import AugmentationSpec, TrainingSpec

Sequence = Literal["t1", "t1c", "t2", "flair", "subtraction"]

__all__ = [  # what the code imports from here, wherever it is defined
    "AugmentationSpec",
    "Count",
    "EvaluationSpec",
    "FederationSpec",
    "Fraction",
    "ModelSpec",
    "Name",
    "NotNegative",
    "Plan",
    "Positive",
    "PostprocessingSpec",
    "PreprocessingSpec",
    "QualitySpec",
    "Sequence",
    "SplitSpec",
    "Terms",
    "TrainingSpec",
]


class PreprocessingSpec(Frozen):
    """How a site turns its files into arrays; the same at every site."""

    spacing_mm: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    crop_margin_mm: NotNegative = 4.0
    make_subtraction: bool = False


class FederationSpec(Frozen):
    """The rounds, what makes one count, and how updates (up) and the model (down) are packed for the way."""

    rounds: Count = 20
    quorum: Fraction = 0.5
    deadline_s: Positive = 3600.0
    weighting: Literal["cases", "steps", "equal"] = "cases"
    algorithm: Literal["fedavg", "fedprox"] = "fedavg"
    prox_mu: NotNegative = 0.0
    max_update_ratio: Positive = 10.0
    up: Encoding = "float32"
    down: Encoding = "float32"

    @model_validator(mode="after")
    def _prox_needs_mu(self) -> "FederationSpec":
        if (self.algorithm == "fedprox") != (self.prox_mu > 0.0):
            raise ValueError(
                f"algorithm '{self.algorithm}' with prox_mu = {self.prox_mu}: fedprox needs prox_mu above 0, "
                "fedavg needs prox_mu = 0"
            )
        return self


class EvaluationSpec(Frozen):
    """How a model is judged and how it predicts; scores count the labels in `tumour`, () standing for all.

    Where windows overlap their mean is taken, with `window_weights`: a Gaussian, or all voxels of a window alike.
    What a site reports of fewer than `smallest_cell` patients is suppressed.
    """

    validate_every: Count = 1
    window_overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    window_weights: Literal["gaussian", "constant"] = "gaussian"
    window_batch: Count = 2
    mirror: bool = False
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    tumour: tuple[Name, ...] = ()
    smallest_cell: Count = FEWEST_PATIENTS


class SplitSpec(Frozen):
    """Shares of patients; the rest trains."""

    test: Fraction = 0.2
    validation: Fraction = 0.1
    salt: str = "fedmets"

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> "SplitSpec":
        if self.test + self.validation >= 1.0:
            raise ValueError(f"test + validation = {self.test + self.validation:g} leaves nobody to train on")
        return self


class QualitySpec(Frozen):
    """When a site's data are too poor to train on."""

    max_bad_share: Fraction = 0.05


class Terms(Frozen):
    """What is agreed whoever takes part: all of a plan but its sites. An experiment file states the same terms."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    sequences: Annotated[tuple[Sequence, ...], Field(min_length=1)]
    optional_sequences: tuple[Sequence, ...] = ()
    labels: Annotated[tuple[Name, ...], Field(min_length=1)] = ("tumour",)
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    split: SplitSpec = SplitSpec()
    quality: QualitySpec = QualitySpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    federation: FederationSpec = FederationSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    postprocessing: PostprocessingSpec = PostprocessingSpec()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        _refuse_twice("sequences", self.sequences)
        _refuse_twice("labels", self.labels)
        return self

    @model_validator(mode="after")
    def _some_sequences_may_lack(self) -> Self:
        _refuse_twice("optional_sequences", self.optional_sequences)
        unknown = sorted(set(self.optional_sequences) - set(self.sequences))
        if unknown:
            raise ValueError(
                f"optional_sequences holds {unknown}, which sequences lacks: add them there, or leave them out"
            )
        if self.sequences[0] in self.optional_sequences:
            raise ValueError(
                f"optional_sequences holds '{self.sequences[0]}', the first of sequences, on whose grid masks are "
                "written: put a sequence that every case has first"
            )
        if self.training.modality_dropout > 0.0 and not self.optional_sequences:
            raise ValueError(
                f"modality_dropout = {self.training.modality_dropout:g} drops optional sequences and there are "
                "none: name them in optional_sequences, or set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _a_made_subtraction_is_read(self) -> Self:
        if not self.preprocessing.make_subtraction:
            return self
        if "subtraction" not in self.sequences:
            raise ValueError(
                "make_subtraction = true makes a sequence that nothing reads: add 'subtraction' to sequences"
            )
        if self.sequences[0] == "subtraction":
            raise ValueError(
                "sequences begins with 'subtraction', which has no grid of its own when it is made: put another "
                "first"
            )
        return self

    @property
    def in_channels(self) -> int:
        """Input channels: one a sequence, in the plan's order."""
        return len(self.sequences)

    @property
    def required_sequences(self) -> tuple[str, ...]:
        """What every case must have, in the plan's order."""
        return tuple(name for name in self.sequences if name not in self.optional_sequences)

    @property
    def optional_channels(self) -> tuple[int, ...]:
        """Channels that a case may lack: (1,) for sequences t1c, flair of which flair is optional."""
        return tuple(channel for channel, name in enumerate(self.sequences) if name in self.optional_sequences)

    @model_validator(mode="after")
    def _tumour_is_segmented(self) -> Self:
        _refuse_twice("evaluation.tumour", self.evaluation.tumour)
        unknown = sorted(set(self.evaluation.tumour) - set(self.labels))
        if unknown:
            raise ValueError(
                f"evaluation.tumour names {unknown}, the labels are {list(self.labels)}: choose of these"
            )
        return self

    @property
    def tumour_classes(self) -> frozenset[int]:
        """Classes that count as tumour in scores: {1, 3} for labels netc, snfh, et and tumour netc, et."""
        counted = self.evaluation.tumour or self.labels
        return frozenset(index for index, name in enumerate(self.labels, start=1) if name in counted)

    @property
    def out_channels(self) -> int:
        """Output channels: background and one a label."""
        return 1 + len(self.labels)


class Plan(Terms):
    """Everything that the sites and the aggregator must agree on before round 1."""

    schema_version: Literal[1] = 1
    sites: Annotated[tuple[Name, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sites_are_distinct(self) -> Self:
        _refuse_twice("sites", self.sites)
        return self


def _refuse_twice(field: str, values: tuple[str, ...]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{field} holds a name twice: {list(values)}")
