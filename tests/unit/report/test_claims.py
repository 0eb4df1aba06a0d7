"""What may be claimed of a model: each claim is denied by the one thing that speaks against it."""

import copy

import pytest

from covid_cxr.report import verdict


def score(value, low, high):
    return {"value": value, "low": low, "high": high}


def block(auroc, n=200, events=100):
    return {"n": n, "events": events, "patients": n, "auroc": auroc, "abstained": 0, "errors": 0}


GOOD = score(0.9, 0.87, 0.93)


def metrics():
    """A run that supports all that a run can."""
    test = block(GOOD, 800, 400) | {
        "pooled": block(GOOD, 800, 400),
        "per_source": {"a": block(GOOD, 400, 200), "b": block(GOOD, 400, 200)},
        "per_site": {},
        "per_view": {"PA": block(GOOD), "AP": block(GOOD)},
        "per_sex": {"F": block(GOOD), "M": block(GOOD), "not stated": block(GOOD, 3, 1)},
        "per_age_band": {"18-39": block(GOOD)},
        "calibration": {
            "slope": score(1.0, 0.9, 1.1),
            "intercept": score(0.0, -0.1, 0.1),
            "ece": score(0.02, 0.0, 0.05),
        },
    }
    external = block(GOOD, 300, 150) | {"pooled": block(GOOD, 300, 150)}
    return {"splits": {"test": test, "external": external}}


AUDIT = {
    "verdict": "pass",
    "summary": "None of 12 checks fails.",
    "checks": [{"name": "leak", "verdict": "pass", "sentence": "No patient crosses."}],
}
NAMES = ("tells", "recognises", "probabilities", "group", "hospitals", "diagnose")


def supported(found, audit=AUDIT):
    """Return claim -> whether supported, by a word of it."""
    claims = verdict(found, audit).claims
    return {name: next(c.supported for c in claims if f" {name}" in c.text) for name in NAMES}


def test_all_is_supported_but_use_on_patients():
    assert supported(metrics()) == dict.fromkeys(NAMES, True) | {"diagnose": False}
    assert not verdict(metrics(), AUDIT).caution


def changed(path, value):
    found = copy.deepcopy(metrics())
    place = found["splits"]["test"]
    *parents, leaf = path.split(".")
    for key in parents:
        place = place[key]
    place[leaf] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "denied", "why"),
    [
        ("pooled.auroc", score(0.6, 0.49, 0.7), "tells", "60 times in 100"),
        ("events", 9, "tells", "Only 9 films of the rarer kind"),
        ("per_source.a.auroc", score(0.7, 0.6, 0.8), "recognises", "higher than the one inside a"),
        ("calibration.slope", score(0.6, 0.4, 0.9), "probabilities", "they are too extreme"),
        ("calibration.slope", score(1.6, 1.1, 1.9), "probabilities", "not extreme enough"),
        ("calibration.intercept", score(-1, -1.5, -0.5), "probabilities", "too high on the whole"),
        ("calibration.intercept", score(1, 0.5, 1.5), "probabilities", "too low on the whole"),
        ("calibration.ece", score(0.1, 0.0, 0.2), "probabilities", "more than a tenth"),
        ("calibration.slope", score(1, None, None), "probabilities", "too few films"),
        ("calibration.slope", score(None, None, None), "probabilities", "made no mistake"),
        ("calibration", None, "probabilities", "Not measured"),
        ("per_sex.F.auroc", score(0.7, 0.6, 0.8), "group", "Lower in sex F, AUROC 0.700"),
        ("per_sex.F.events", 3, "group", "Too few films to say in 1 of 5 groups: sex F"),
    ],
)
def test_one_thing_denies_one_claim(path, value, denied, why):
    found = changed(path, value)
    held = supported(found)
    assert not held[denied]
    claim = next(c for c in verdict(found, AUDIT).claims if f" {denied}" in c.text)
    assert why in claim.why
    if path not in ("pooled.auroc", "events"):  # these touch other claims too
        assert [name for name in NAMES if not held[name]] == [
            *(n for n in NAMES if n == denied),
            "diagnose",
        ]


def test_the_audit_decides_over_the_disease():
    found = verdict(metrics(), None)
    claim = found.claims[1]
    assert not claim.supported and "No shortcut audit was made" in claim.why
    assert "No shortcut audit was made." in found.sentences
    failed = {
        "verdict": "fail",
        "summary": "1 of 2 checks fails: frame.",
        "checks": [{"name": "frame", "verdict": "fail", "sentence": "The frame alone tells it"}],
    }
    found = verdict(metrics(), failed)
    assert found.caution and not found.claims[1].supported
    assert "The frame alone tells it." in found.claims[1].why
    assert "Shortcut audit: 1 of 2 checks fails: frame." in found.sentences
    many = failed | {"checks": [failed["checks"][0]] * 5}
    assert verdict(metrics(), many).claims[1].why.endswith("Checks that fail beside these: 2.")
    warned = failed | {"verdict": "warn", "summary": "1 warns."}
    warned["checks"] = [failed["checks"][0] | {"verdict": "warn"}]
    assert verdict(metrics(), warned).claims[1].supported


def test_elsewhere_needs_films_from_elsewhere():
    found = metrics()
    found["splits"]["external"]["pooled"]["auroc"] = score(0.8, 0.7, 0.9)
    assert not supported(found)["hospitals"]
    found["splits"]["external"]["pooled"]["auroc"] = score(0.85, 0.8, 0.9)
    assert supported(found)["hospitals"]
    found["splits"]["external"]["events"] = 5
    assert not supported(found)["hospitals"]
    del found["splits"]["external"]
    assert not supported(found)["hospitals"]


def test_numbers_of_an_older_run_deny_what_they_lack():
    found = metrics()
    for key in ("calibration", "per_view", "per_sex", "per_age_band", "per_site"):
        del found["splits"]["test"][key]
    assert not supported(found)["probabilities"] and not supported(found)["group"]
