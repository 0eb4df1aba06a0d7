"""What may be claimed of a model: each claim is denied by the one thing that speaks against it."""

import pytest

from covid_cxr.report import verdict
from covid_cxr.results import Estimate
from covid_cxr.results.clinical_use import Calibration
from covid_cxr.results.scores import PooledMetrics
from support import results


def score(value, low=None, high=None):
    return Estimate(value=value, low=low, high=high)


GOOD = score(0.9, 0.87, 0.93)


def group(n=200, events=100):
    return results.subgroup(auroc=GOOD, n=n, events=events)


def metrics():
    """A run that supports all that a run can."""
    pooled = results.scores(PooledMetrics, auroc=GOOD, n=800, events=400)
    test = results.split_metrics(
        n=800,
        events=400,
        pooled=pooled,
        per_source={"a": group(400, 200), "b": group(400, 200)},
        per_view={"PA": group(), "AP": group()},
        per_sex={"F": group(), "M": group(), "not stated": group(3, 1)},
        per_age_band={"18-39": group()},
        calibration=Calibration(
            slope=score(1.0, 0.9, 1.1),
            intercept=score(0.0, -0.1, 0.1),
            ece=score(0.02, 0.0, 0.05),
            bins=(),
        ),
    )
    external = results.split_metrics(n=300, events=150, pooled=pooled)
    return results.run_metrics(splits={"test": test, "external": external})


AUDIT = results.audit(
    results.check(verdict="pass", sentence="No patient crosses."),
    verdict="pass",
    summary="None of 12 checks fails.",
)
NAMES = ("distinguishes", "recognises", "probabilities", "group", "hospitals", "diagnose")


def supported(run, audit=AUDIT):
    """Return claim -> whether supported, by a word of it."""
    claims = verdict(run, audit).claims
    return {name: next(c.supported for c in claims if f" {name}" in c.text) for name in NAMES}


def test_all_is_supported_but_use_on_patients():
    assert supported(metrics()) == dict.fromkeys(NAMES, True) | {"diagnose": False}
    assert not verdict(metrics(), AUDIT).warns


@pytest.mark.parametrize(
    ("path", "value", "denied", "why"),
    [
        ("pooled.auroc", score(0.6, 0.49, 0.7), "distinguishes", "60 times in 100"),
        ("events", 9, "distinguishes", "Only 9 images of the rarer kind"),
        ("per_source.a.auroc", score(0.7, 0.6, 0.8), "recognises", "higher than the one inside a"),
        ("calibration.slope", score(0.6, 0.4, 0.9), "probabilities", "they are too extreme"),
        ("calibration.slope", score(1.6, 1.1, 1.9), "probabilities", "not extreme enough"),
        ("calibration.intercept", score(-1, -1.5, -0.5), "probabilities", "too high on the whole"),
        ("calibration.intercept", score(1, 0.5, 1.5), "probabilities", "too low on the whole"),
        ("calibration.ece", score(0.1, 0.0, 0.2), "probabilities", "more than a tenth"),
        ("calibration.slope", score(1, None, None), "probabilities", "too few images"),
        ("calibration.slope", score(None, None, None), "probabilities", "made no mistake"),
        ("calibration", None, "probabilities", "Not measured"),
        ("per_sex.F.auroc", score(0.7, 0.6, 0.8), "group", "Lower in sex F, AUROC 0.700"),
        ("per_sex.F.events", 3, "group", "Too few images to say in 1 of 5 groups: sex F"),
    ],
)
def test_one_thing_denies_one_claim(path, value, denied, why):
    run = results.changed(metrics(), f"splits.test.{path}", value)
    support = supported(run)
    assert not support[denied]
    claim = next(c for c in verdict(run, AUDIT).claims if f" {denied}" in c.text)
    assert why in claim.why
    if path not in ("pooled.auroc", "events"):  # these touch other claims too
        assert [name for name in NAMES if not support[name]] == [
            *(n for n in NAMES if n == denied),
            "diagnose",
        ]


def test_the_audit_decides_over_the_disease():
    found = verdict(metrics(), None)
    claim = found.claims[1]
    assert not claim.supported and "No shortcut audit was made" in claim.why
    assert "No shortcut audit was made." in found.sentences
    frame = results.check(name="frame", sentence="The frame alone tells it")
    failed = results.audit(frame, summary="1 of 2 checks fails: frame.")
    found = verdict(metrics(), failed)
    assert found.warns and not found.claims[1].supported
    assert "The frame alone tells it." in found.claims[1].why
    assert "Shortcut audit: 1 of 2 checks fails: frame." in found.sentences
    many = results.audit(*[frame] * 5)
    assert verdict(metrics(), many).claims[1].why.endswith("Checks that fail beside these: 2.")
    warning = results.check(verdict="warn")
    warned = results.audit(warning, verdict="warn", summary="1 warns.")
    assert verdict(metrics(), warned).claims[1].supported


def test_elsewhere_needs_images_from_elsewhere():
    run, area = metrics(), "splits.external.pooled.auroc"
    assert not supported(results.changed(run, area, score(0.8, 0.7, 0.9)))["hospitals"]
    run = results.changed(run, area, score(0.85, 0.8, 0.9))
    assert supported(run)["hospitals"]
    assert not supported(results.changed(run, "splits.external.events", 5))["hospitals"]
    alone = results.run_metrics(splits={"test": run.splits["test"]})
    assert not supported(alone)["hospitals"]


def test_a_run_without_groups_and_calibration_denies_what_it_lacks():
    run = results.changed(metrics(), "splits.test.calibration", None)
    for key in ("per_view", "per_sex", "per_age_band", "per_site"):
        run = results.changed(run, f"splits.test.{key}", {})
    assert not supported(run)["probabilities"] and not supported(run)["group"]


def test_a_check_that_was_not_made_backs_no_claim() -> None:
    made = verdict(metrics(), results.audit(results.check(verdict="pass"), verdict="pass"))
    missing = results.check(verdict="not made", sentence="Not made: few.")
    unmade = verdict(metrics(), results.audit(missing, verdict="not made"))
    assert [claim.supported for claim in (made.claims[1], unmade.claims[1])] == [True, False]


def test_warnings_of_the_training_are_said() -> None:
    warned = metrics().model_copy(update={"training_warnings": ("All images are alike.",)})
    found = verdict(warned)
    assert found.warns
    assert "All images are alike." in found.sentences
