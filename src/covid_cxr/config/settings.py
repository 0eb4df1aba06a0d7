"""The models of all settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from covid_cxr.config.architectures import DcnnResnetSettings, ModelSettings
from covid_cxr.config.audit import AuditConfig
from covid_cxr.config.base import Strict
from covid_cxr.types import CLASSES, Finding, Task

# On the weight of a class or of an image; sums of larger ones would not be finite.
Factor = Annotated[float, Field(gt=0, le=1e6)]


class PreprocessSpec(Strict):
    """How a radiograph becomes model input; travels in the bundle's manifest.

    Attributes:
        size: edge of the square model input in pixels.
        max_pixels: a larger radiograph is rejected before decoding.
        remove_markers: paint over burnt-in text markers (L, R, AP).
        lung_margin: crop to the lungs, with this share of their extent around; null: no crop.
        equalise: adaptive histogram equalisation: the same contrast all over the image.
        standardise: shift and scale each image to mean 0.5 and deviation 0.2, clipped.
    """

    size: int = Field(224, ge=32, le=1024)
    max_pixels: int = Field(100_000_000, ge=1024)
    remove_markers: bool = True
    lung_margin: float | None = Field(None, ge=0, le=1)
    equalise: bool = False
    standardise: bool = True


class DatasetConfig(Strict):
    """Where one source comes from and how its table is read.

    Attributes:
        adapter: name in covid_cxr.cohort.DATASETS.
        path: folder, relative to the data root or absolute; None: found by layout.
        labels: folder and csv: raw label -> finding or 'excluded: why'.
        columns: csv: cohort column -> the manifest's column.
    """

    adapter: str
    path: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)


class FilterConfig(Strict):
    """Which images of a source enter; what a source does not state leaves nothing out.

    Attributes:
        views: view positions; '' is one not stated.
        min_age: years; a known age below it is left out.
        paediatric_sources: let in sources that are known or suspected to hold children.
        one_per_patient: keep a patient's earliest or latest image alone.
        offset: days since symptoms or admission, ends included; unknown stays.
    """

    views: tuple[str, ...] = ("PA", "AP", "AP Supine", "")
    min_age: float = Field(18.0, ge=0)
    paediatric_sources: bool = False
    one_per_patient: Literal["first", "last"] | None = None
    offset: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _window_is_in_order(self) -> FilterConfig:
        if self.offset and self.offset[0] > self.offset[1]:
            raise ValueError(f"offset {list(self.offset)} ends before it begins")
        return self


class CohortConfig(Strict):
    """Which sources enter, and how patients are split.

    Attributes:
        datasets: source name -> where; empty: all that are recognised.
        external: sources kept out of train, val and test.
        strategy: how test is chosen; always over whole patients and duplicates.
        held_out: the source or site that becomes test, for leave-one-...-out.
        lists: for 'lists': CSV with image_id and split, relative to the data root.
    """

    datasets: dict[str, DatasetConfig] = Field(default_factory=dict)
    external: tuple[str, ...] = ()
    filters: FilterConfig = FilterConfig()
    strategy: Literal["random", "leave-one-source-out", "leave-one-site-out", "lists"] = "random"
    held_out: str | None = None
    lists: str | None = None
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

    Attributes:
        rotation: degrees, either way.
        shift: fraction of the edge.
        scale: fraction, either way.
        gamma: exponent drawn from 1/(1+g) to 1+g.
        noise: largest standard deviation.
        blur: largest sigma in pixels.
        erasing: probability of grey holes.
        flip: probability of a mirror image; the heart has a side.
        jpeg: probability of JPEG compression, quality 15 to 75.
    """

    rotation: float = Field(10.0, ge=0, le=45)
    shift: float = Field(0.0, ge=0, le=0.3)
    scale: float = Field(0.0, ge=0, le=0.5)
    gamma: float = Field(0.0, ge=0, le=1.0)
    noise: float = Field(0.0, ge=0, le=0.2)
    blur: float = Field(0.0, ge=0, le=3.0)
    erasing: float = Field(0.0, ge=0, le=1.0)
    flip: float = Field(0.0, ge=0, le=1.0)
    jpeg: float = Field(0.0, ge=0, le=1.0)


class TrainingConfig(Strict):
    """Optimisation. None means: as the architecture's own recipe says.

    Attributes:
        method: linear-probe: the last layer alone, by least squares on ImageNet features.
        ridge_alpha: linear-probe: weight of the squared coefficients.
        patience: epochs without better validation loss.
        schedule: cosine: warm up over 5 % of all steps, then decay to 0.
        runs: seeds to train; the best on validation is kept.
        class_multipliers: class -> factor on its inverse frequency; default 1.
        label_weights: linear-probe: finding -> factor on the weight of its images within their
            class; no effect where the finding is a class of its own.
        bf16: bf16 autocast; None: where measured faster.
    """

    method: Literal["gradient", "linear-probe"] = "gradient"
    ridge_alpha: float = Field(1.0, gt=0, le=1e9)
    batch_size: int = Field(32, ge=1, le=4096)
    max_epochs: int = Field(30, ge=1, le=10_000)
    patience: int = Field(7, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    imbalance: Literal["class-weights", "oversample", "focal", "none"] = "class-weights"
    runs: int = Field(1, ge=1, le=100)
    class_multipliers: dict[str, Factor] = Field(default_factory=dict)
    label_weights: dict[Finding, Factor] = Field(default_factory=dict)
    bf16: bool | None = None

    @field_validator("class_multipliers")
    @classmethod
    def _classes_exist(cls, multipliers: dict[str, float]) -> dict[str, float]:
        classes = {name for names in CLASSES.values() for name in names}
        if unknown := sorted(set(multipliers) - classes):
            raise ValueError(f"no class '{unknown[0]}'; known are {', '.join(sorted(classes))}")
        return multipliers

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
    """How scores are made; applied to validation and test predictions alike.

    Attributes:
        threshold: rule that fixes the operating point on validation.
        min_sensitivity: for the rule 'sensitivity'.
    """

    threshold: Literal["youden", "sensitivity", "half"] = "youden"
    min_sensitivity: float = Field(0.875, gt=0, le=1)
    bootstrap: int = Field(2000, ge=100, le=100_000)


class ExplainConfig(Strict):
    """Explained examples in the report.

    Attributes:
        examples: test images explained in the report.
        errors: most confident errors that are explained too.
        montages: montages of the cohort's images in the report.
        samples: LIME perturbations an image at most.
        superpixels: regions that are hidden.
        regions: how many are wanted; quickshift finds its own.
        fill: what hides a region.
        sampling: how LIME draws its samples.
        stopping_reliability: reliability at which LIME stops; null: never before the end.
        settings: method -> its own settings, such as rise: {masks: 500}, over those above.
    """

    methods: tuple[str, ...] = ("lime", "cam")
    examples: int = Field(8, ge=0, le=10_000)
    errors: int = Field(4, ge=0, le=10_000)
    montages: bool = True
    samples: int = Field(1000, ge=10)
    superpixels: Literal["quickshift", "slic", "lungs", "grid"] = "lungs"
    regions: int = Field(32, ge=2)
    fill: Literal["mean", "dark", "blur", "dataset"] = "mean"
    sampling: Literal["bernoulli", "antithetic", "balanced"] = "balanced"
    stopping_reliability: float | None = Field(0.9, gt=0, lt=1)
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _settings_are_of_methods(self) -> ExplainConfig:
        if unknown := sorted(self.settings.keys() - set(self.methods)):
            raise ValueError(
                f"settings of '{unknown[0]}', which is not among methods "
                f"({', '.join(self.methods)}); add it there or remove its settings"
            )
        return self


class RunConfig(Strict):
    """One experiment, whole. Saved resolved as `config.json` in its run folder.

    Attributes:
        model_settings: of architectures that can be configured.
        data_root: folder of the data; a run fills it in.
    """

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: Task = "binary"
    model: str = "efficientnet-lite0"
    model_settings: ModelSettings = ModelSettings()
    seed: int = Field(2020, ge=0, lt=2**31)
    data_root: str | None = None
    cohort: CohortConfig = CohortConfig()
    preprocess: PreprocessSpec = PreprocessSpec()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explain: ExplainConfig = ExplainConfig()
    audit: AuditConfig = AuditConfig()

    @model_validator(mode="after")
    def _network_can_be_built(self) -> RunConfig:
        own = self.model_settings.dcnn_resnet
        if self.model == "dcnn-resnet":
            own.last_edge(self.preprocess.size, len(CLASSES[self.task]))
        elif own != DcnnResnetSettings():
            raise ValueError(
                f"model_settings.dcnn_resnet with model '{self.model}', expected 'dcnn-resnet', "
                "the only one that uses them"
            )
        return self
