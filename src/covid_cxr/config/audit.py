"""Settings of the shortcut audit: how much it does, and the bounds that a run is checked against.

Every bound says why it is what it is. They were fixed on phantoms of seeds from 1000 on, before the
seeds that `docs/concepts/audit.md` reports were used.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from covid_cxr.config.base import Strict

Budget = Literal["quick", "full"]
Auroc = Annotated[float, Field(ge=0.5, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Bounds(Strict):
    """The bound of each check; one rule, in `covid_cxr.audit.verdicts`, decides for all.

    Attributes:
        metadata: AUROC of file properties and patient data at most; age and sex differ a little
            between honest groups, and 0.65 is far under what any published X-ray model claims.
        lungs_removed: AUROC without lungs, or from the frame alone, at most; devices and posture
            that go with severe disease may show there, so that 0.5 would be too strict.
        lungs_only: AUROC of the whole image above that of the lungs alone; heart, vessels and
            pleura beside the lungs may help, but little.
        origin: AUROC of the source, the site or the view alone at most, as for metadata.
        pooled_over_within: AUROC that may be lost when only images of one origin are compared.
        left_out: AUROC that may be lost on origins that were not trained on; published models lose
            this much or more (Zech et al. 2018).
        perturbed_median: median change of the probability by a change that leaves the lungs alone.
        perturbed_extreme: 95th percentile of that change; more turns a clear decision round.
        permuted: AUROC at most after the labels were shuffled within each origin.
        permutation_p: p value at most of the true labels among the shuffled ones.
        skill: Brier score of the constant prior less the model's, at least.
        attribution: share of attribution inside the lungs over their share of the image, at least;
            1 is a map that ignores where the lungs are.
        likeness: rank correlation at most of a map with the one of a random network.
        spread: standard deviation of the AUROC across seeds at most; more and the best of several
            seeds is luck.
        width: width of the 95 % interval of the AUROC at most.
        events: patients of the rarer class at least (Collins et al. 2016: 100 to validate).
    """

    metadata: Auroc = 0.65
    lungs_removed: Auroc = 0.65
    lungs_only: Share = 0.10
    origin: Auroc = 0.65
    pooled_over_within: Share = 0.10
    left_out: Share = 0.10
    perturbed_median: Share = 0.10
    perturbed_extreme: Share = 0.40
    permuted: Auroc = 0.65
    permutation_p: float = Field(0.05, gt=0, le=1)
    skill: float = 0.0
    attribution: float = Field(1.0, ge=0)
    likeness: Share = 0.5
    spread: float = Field(0.05, ge=0)
    width: float = Field(0.20, ge=0)
    events: int = Field(100, ge=0)


class AuditConfig(Strict):
    """The shortcut audit, on train and validation rows.

    Attributes:
        budget: quick: by embedding; full: by retraining too; none: no audit.
        off: names of checks to leave out.
        images: images at most; whole patients are sampled if there are more.
        size: edge of the inputs of ImageNet features.
        bootstrap: bootstrap resamples of whole patients.
        seeds: seeds of the folds in the check of stability.
        perturbed: validation images that are changed and predicted.
        explained: validation images whose maps are checked.
        cascaded: images explained for networks with random weights.
        epochs: full: epochs of each training.
        edge: full: edge of the inputs that are trained on.
    """

    budget: Literal["quick", "full", "none"] = "quick"
    off: tuple[str, ...] = ()
    images: int = Field(1000, ge=50)
    size: int = Field(160, ge=64, le=512)
    folds: int = Field(5, ge=2, le=50)
    bootstrap: int = Field(1000, ge=100, le=100_000)
    permutations: int = Field(200, ge=100, le=100_000)
    seeds: int = Field(5, ge=2, le=100)
    perturbed: int = Field(40, ge=4)
    explained: int = Field(24, ge=4)
    cascaded: int = Field(3, ge=2)
    epochs: int = Field(3, ge=1)
    edge: int = Field(128, ge=32)
    bounds: Bounds = Bounds()
