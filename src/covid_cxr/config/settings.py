"""The models of all settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from covid_cxr.config.audit import AuditConfig
from covid_cxr.config.base import Strict
from covid_cxr.types import CLASSES, Finding, Task


class PreprocessSpec(Strict):
    """How a radiograph becomes model input; travels in the bundle's manifest."""

    size: int = Field(224, ge=32, le=1024, description="edge of the square model input in pixels")
    max_pixels: int = Field(
        100_000_000, ge=1024, description="a larger radiograph is rejected before decoding"
    )
    remove_markers: bool = Field(True, description="paint over burnt-in text markers (L, R, AP)")
    lung_margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="crop to the lungs, with this share of their extent around; null: no crop",
    )
    equalise: bool = Field(
        False, description="adaptive histogram equalisation: the same contrast all over the image"
    )
    standardise: bool = Field(
        True, description="shift and scale each image to mean 0.5 and deviation 0.2, clipped"
    )


class DatasetConfig(Strict):
    """Where one source comes from and how its table is read."""

    adapter: str = Field(description="name in covid_cxr.cohort.DATASETS")
    path: str | None = Field(
        None, description="folder, relative to the data root or absolute; None: found by layout"
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="folder and csv: raw label -> finding or 'excluded: why'"
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="csv: cohort column -> the manifest's column"
    )


class FilterConfig(Strict):
    """Which images of a source enter; what a source does not state leaves nothing out."""

    views: tuple[str, ...] = Field(
        ("PA", "AP", "AP Supine", ""), description="view positions; '' is one not stated"
    )
    min_age: float = Field(18.0, ge=0, description="years; a known age below it is left out")
    paediatric_sources: bool = Field(
        False, description="let in sources that are known or suspected to hold children"
    )
    one_per_patient: Literal["first", "last"] | None = Field(
        None, description="keep a patient's earliest or latest image alone"
    )
    offset: tuple[float, float] | None = Field(
        None, description="days since symptoms or admission, ends included; unknown stays"
    )

    @model_validator(mode="after")
    def _window_is_in_order(self) -> FilterConfig:
        if self.offset and self.offset[0] > self.offset[1]:
            raise ValueError(f"offset {list(self.offset)} ends before it begins")
        return self


class CohortConfig(Strict):
    """Which sources enter, and how patients are split."""

    datasets: dict[str, DatasetConfig] = Field(
        default_factory=dict, description="source name -> where; empty: all that are recognised"
    )
    external: tuple[str, ...] = Field((), description="sources kept out of train, val and test")
    filters: FilterConfig = FilterConfig()
    strategy: Literal["random", "leave-one-source-out", "leave-one-site-out", "lists"] = Field(
        "random", description="how test is chosen; always over whole patients and duplicates"
    )
    held_out: str | None = Field(
        None, description="the source or site that becomes test, for leave-one-...-out"
    )
    lists: str | None = Field(
        None, description="for 'lists': CSV with image_id and split, relative to the data root"
    )
    train: float = Field(0.72, gt=0, lt=1)
    val: float = Field(0.08, gt=0, lt=1)
    test: float = Field(0.20, gt=0, lt=1)

    @model_validator(mode="after")
    def _fractions_sum_to_one(self) -> CohortConfig:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test is {total:g}, expected 1")
        return self

    @model_validator(mode="after")
    def _strategy_has_what_it_needs(self) -> CohortConfig:
        kind = {"leave-one-source-out": "source", "leave-one-site-out": "site"}.get(self.strategy)
        if kind and not self.held_out:
            raise ValueError(f"strategy '{self.strategy}' needs held_out, the {kind} to test on")
        if not kind and self.held_out is not None:
            raise ValueError(
                f"held_out is for leave-one-source-out and leave-one-site-out, not for strategy "
                f"'{self.strategy}'; remove it or change the strategy"
            )
        if kind == "source" and self.held_out in self.external:
            raise ValueError(f"source '{self.held_out}' is both held_out and external; choose one")
        return self

    @model_validator(mode="after")
    def _lists_say_all(self) -> CohortConfig:
        if self.strategy == "lists" and not self.lists:
            raise ValueError("strategy 'lists' needs lists, a CSV with image_id and split")
        if self.strategy != "lists" and self.lists is not None:
            raise ValueError(
                f"lists is for strategy 'lists', not for '{self.strategy}'; remove it or change "
                "the strategy"
            )
        if self.strategy == "lists" and self.external:
            raise ValueError(
                "with strategy 'lists' the list says what is external; remove external"
            )
        return self


class AugmentConfig(Strict):
    """Random changes to training images; each is off at 0.

    A linear probe uses `flip` and `jpeg` only: above 0, the mirror image of every image, or the
    image compressed, is a training image too.
    """

    rotation: float = Field(10.0, ge=0, le=45, description="degrees, either way")
    shift: float = Field(0.0, ge=0, le=0.3, description="fraction of the edge")
    scale: float = Field(0.0, ge=0, le=0.5, description="fraction, either way")
    gamma: float = Field(0.0, ge=0, le=1.0, description="exponent drawn from 1/(1+g) to 1+g")
    noise: float = Field(0.0, ge=0, le=0.2, description="largest standard deviation")
    blur: float = Field(0.0, ge=0, le=3.0, description="largest sigma in pixels")
    erasing: float = Field(0.0, ge=0, le=1.0, description="probability of grey holes")
    flip: float = Field(
        0.0, ge=0, le=1.0, description="probability of a mirror image; the heart has a side"
    )
    jpeg: float = Field(
        0.0, ge=0, le=1.0, description="probability of JPEG compression, quality 15 to 75"
    )


class TrainingConfig(Strict):
    """Optimisation. None means: as the architecture's own recipe says."""

    method: Literal["gradient", "linear-probe"] = Field(
        "gradient",
        description="linear-probe: the last layer alone, by least squares on ImageNet features",
    )
    ridge_alpha: float = Field(
        1.0, gt=0, description="linear-probe: weight of the squared coefficients"
    )
    batch_size: int = Field(32, ge=1)
    max_epochs: int = Field(30, ge=1)
    patience: int = Field(7, ge=1, description="epochs without better validation loss")
    learning_rate: float | None = Field(None, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="cosine: warm up over 5 % of all steps, then decay to 0"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    imbalance: Literal["class-weights", "oversample", "focal", "none"] = "class-weights"
    runs: int = Field(1, ge=1, description="seeds to train; the best on validation is kept")
    class_multipliers: dict[str, PositiveFloat] = Field(
        default_factory=dict, description="class -> factor on its inverse frequency; default 1"
    )

    label_weights: dict[Finding, PositiveFloat] = Field(
        default_factory=dict,
        description="linear-probe: finding -> factor on the weight of its images within their "
        "class; no effect where the finding is a class of its own",
    )

    @field_validator("class_multipliers")
    @classmethod
    def _classes_exist(cls, multipliers: dict[str, float]) -> dict[str, float]:
        classes = {name for names in CLASSES.values() for name in names}
        if unknown := sorted(set(multipliers) - classes):
            raise ValueError(f"no class '{unknown[0]}'; known are {', '.join(sorted(classes))}")
        return multipliers

    bf16: bool | None = Field(None, description="bf16 autocast; None: where measured faster")

    @model_validator(mode="after")
    def _method_uses_settings(self) -> TrainingConfig:
        if self.method == "linear-probe" and self.imbalance in ("oversample", "focal"):
            raise ValueError(
                f"imbalance '{self.imbalance}' with method 'linear-probe', expected "
                "'class-weights' or 'none': a fit in closed form samples nothing and has one loss"
            )
        if self.label_weights and self.method != "linear-probe":
            raise ValueError(
                f"label_weights with method '{self.method}', expected 'linear-probe', the only "
                "method that uses them"
            )
        return self


class EvaluationConfig(Strict):
    """How scores are made; applied to validation and test predictions alike."""

    threshold: Literal["youden", "sensitivity", "half"] = Field(
        "youden", description="rule that fixes the operating point on validation"
    )
    min_sensitivity: float = Field(0.875, gt=0, le=1, description="for the rule 'sensitivity'")
    bootstrap: int = Field(2000, ge=100)


class ExplainConfig(Strict):
    """Explained examples in the report."""

    methods: tuple[str, ...] = ("lime", "cam")
    examples: int = Field(8, ge=0, description="test images explained in the report")
    errors: int = Field(4, ge=0, description="most confident errors that are explained too")
    montages: bool = Field(True, description="montages of the cohort's images in the report")
    samples: int = Field(1000, ge=10, description="LIME perturbations an image at most")
    superpixels: Literal["quickshift", "slic", "lungs", "grid"] = Field(
        "lungs", description="regions that are hidden"
    )
    regions: int = Field(32, ge=2, description="how many are wanted; quickshift finds its own")
    fill: Literal["mean", "dark", "blur", "dataset"] = Field(
        "mean", description="what hides a region"
    )
    sampling: Literal["bernoulli", "antithetic", "balanced"] = Field(
        "balanced", description="how LIME draws its samples"
    )
    stopping_reliability: float | None = Field(
        0.9, gt=0, lt=1, description="reliability at which LIME stops; null: never before the end"
    )


class RunConfig(Strict):
    """One experiment, whole. Saved resolved as `config.json` in its run folder."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: Task = "binary"
    model: str = "efficientnet-lite0"
    seed: int = Field(2020, ge=0, lt=2**31)
    data_root: str | None = Field(None, description="folder of the data; a run fills it in")
    cohort: CohortConfig = CohortConfig()
    preprocess: PreprocessSpec = PreprocessSpec()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explain: ExplainConfig = ExplainConfig()
    audit: AuditConfig = AuditConfig()
