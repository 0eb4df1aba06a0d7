"""Answers about the model: what it is, how it was trained and chosen, how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from covid_cxr.report.checklists.data import Answer
from covid_cxr.report.checklists.facts import Facts
from covid_cxr.types import DISCLAIMER

# Of the architectures of `covid_cxr.models.zoo`; what a plugin begins with it must say itself.
_IMAGENET = {"efficientnet-lite0", "efficientnet-lite0-stride16"}
_RANDOM = {"dcnn-resnet", "resnet18", "resnet50", "densenet121"}
_IMBALANCE = {
    "class-weights": "The loss weighs classes by their inverse frequency",
    "oversample": "Rarer classes are drawn more often",
    "focal": "Focal loss",
    "none": "No method against class imbalance",
}
_UNSEEN = "films that the model was not fitted to"
_THRESHOLDS = {
    "youden": f"the one with the highest sum of sensitivity and specificity on {_UNSEEN}",
    "sensitivity": f"the one with the highest specificity at the wanted sensitivity on {_UNSEEN}",
    "half": "0.5, whatever the data",
}


def _technology(facts: Facts) -> str | None:
    name = facts.metrics.model
    classes = ", ".join(facts.metrics.classes)
    return f"Deep learning: the network {name} tells {classes} apart on frontal chest radiographs."


def _goal(facts: Facts) -> str | None:
    if facts.headline is None:
        return None
    what = "a diagnostic model of COVID-19 on frontal chest radiographs"
    if facts.external_validation is not None:
        return f"Evaluation of {what}, bundle {facts.metrics.bundle}, on one hospital's images."
    return f"Development and evaluation of {what}."


def _intended_use(_: Facts) -> str | None:
    return (
        "Research on frontal chest radiographs of adults: comparing models and explanations, "
        f"studying shortcuts, local training and acceptance tests. {DISCLAIMER}"
    )


def _preprocessing(facts: Facts) -> str | None:
    spec = facts.manifest.get("preprocess") or facts.setting("preprocess")
    if spec is None:
        return None
    said = [
        f"Each film is decoded to grey, brought to {spec['size']} x {spec['size']} pixels",
        "burnt-in markers painted over" if spec["remove_markers"] else "markers left as they are",
        *_of_the_lungs(spec),
        "each shifted and scaled to mean 0.5 and deviation 0.2"
        if spec["standardise"]
        else "intensities not standardised",
        "unreadable files and copies left out; one function for training, evaluation and use, the "
        "same for all groups",
    ]
    return "; ".join(said) + "."


def _of_the_lungs(spec: Mapping[str, Any]) -> list[str]:
    """Return what is done to show a model the lungs, where it is."""
    margin = spec.get("lung_margin")
    cut = [] if margin is None else [f"cut to the lungs and {margin:.0%} of their extent around"]
    return cut + ["contrast equalised tile by tile"] * bool(spec.get("equalise"))


def _model(facts: Facts) -> str | None:
    found = facts.manifest
    if not found:
        return None
    size = found["preprocess"]["size"]
    graph = found["files"].get("model.onnx", "")
    return (
        f"{found['architecture']}: one grey image of {size} x {size} pixels in, logits and "
        f"probabilities of {', '.join(found['classes'])} and an embedding of "
        f"{found['embedding_size']} numbers out. All layers stand in bundle/model.onnx (sha256 "
        f"{graph}), bundle {found['id']}. {'; '.join(found['licences'])}."
    )


def _software(facts: Facts) -> str | None:
    packages = facts.environment.get("packages")
    if not packages:
        return None
    told = [f"{name} {version}" for name, version in packages.items() if version]
    python, system = (facts.environment.get(key, "") for key in ("python", "platform"))
    return f"Python {python} on {system}; {', '.join(told)}."


def _initialisation(facts: Facts) -> str | None:
    name = facts.metrics.model
    if name in _IMAGENET:
        return "Weights learned on ImageNet; the last layer at random."
    return "At random." if name in _RANDOM else None


def _training(facts: Facts) -> str | None:
    settings, changes = facts.setting("training"), facts.setting("augment")
    if settings is None or changes is None:
        return None
    if settings["method"] == "linear-probe":
        return (
            "The last layer alone, by regularised least squares on features that stay as they "
            f"are: ridge alpha {settings['ridge_alpha']:g}, "
            f"{_copies(changes)}, no chance; imbalance {settings['imbalance']}{_weights(settings)}."
        )
    used = [f"{name} {value:g}" for name, value in changes.items() if value]
    rate = settings["learning_rate"]
    return (
        f"Augmentation: {', '.join(used) or 'none'}. Batches of {settings['batch_size']}, at most "
        f"{settings['max_epochs']} epochs, learning rate "
        f"{'of the architecture' if rate is None else format(rate, 'g')}, "
        f"schedule {settings['schedule']}, weight decay {settings['weight_decay']:g}, label "
        f"smoothing {settings['label_smoothing']:g}, imbalance {settings['imbalance']}; "
        f"{settings['runs']} model(s) trained, first seed {facts.setting('seed')}."
    )


def _selection(facts: Facts) -> str | None:
    settings = facts.setting("training")
    if settings is None:
        return None
    if settings["method"] == "linear-probe":
        return f"None: the fit has one solution. {_opened(facts)}"
    seeds = f", and of {settings['runs']} seeds the best" if settings["runs"] > 1 else ""
    return (
        f"The epoch with the least validation loss{seeds}, stopping after {settings['patience']} "
        f"without a better one. {_opened(facts)}"
    )


def _building(facts: Facts) -> str | None:
    parts = [answer(facts) for answer in (_technology, _training, _selection)]
    if None in parts:
        return None
    inside = "Internal validation: a held-out split of patients"
    if facts.metrics.out_of_fold:
        inside += f", and {facts.metrics.out_of_fold.folds} folds out of fold"
    return (
        f"{' '.join(filter(None, parts))} {inside}. No hyperparameters were searched in this run."
    )


def _copies(changes: Mapping[str, Any]) -> str:
    """Say which copies of a film the closed form is fitted to beside the film itself."""
    names = {"flip": "mirror images", "jpeg": "compressed copies"}
    made = [said for key, said in names.items() if changes.get(key)]
    return f"{' and '.join(made)} as films of their own" if made else "no augmentation"


def _weights(settings: Mapping[str, Any]) -> str:
    told = [f"{name} {by:g}" for name, by in settings.get("label_weights", {}).items()]
    return f", weight within their class: {', '.join(told)}" if told else ""


def _ensembling(_: Facts) -> str | None:
    return "None: one network."


def _imbalance(facts: Facts) -> str | None:
    kind = facts.setting("training", "imbalance")
    if kind is None:
        return None
    said = f"{_IMBALANCE[kind]} in training."
    temperature = facts.metrics.temperature
    if temperature is None:
        return said
    return f"{said} Afterwards a temperature of {temperature:.3f} was fitted to {_UNSEEN}."


def _output(facts: Facts) -> str | None:
    threshold = facts.metrics.threshold
    if threshold is None:
        return None
    said = f"A probability of each class; COVID-19 is called from a threshold of {threshold:.3f} on"
    rule = facts.setting("evaluation", "threshold")
    if facts.external_validation is not None or rule is None:
        return f"{said}, which was fixed on other films."
    return f"{said}: {_THRESHOLDS[rule]}. It was fixed before test was opened."


def _calculation(facts: Facts) -> str | None:
    bundle = facts.metrics.bundle
    if not bundle:
        return None
    return (
        f"By bundle {bundle} through ONNX Runtime, from the film's file, as `covid-cxr predict` "
        "does it."
    )


def _updating(facts: Facts) -> str | None:
    if not facts.metrics.splits:
        return None
    external = facts.external_validation
    if external and external.recalibration_rejected:
        return f"None: recalibration was asked for and rejected, {external.recalibration_rejected}."
    if external is None or external.recalibration is None:
        return "None in this run: nothing was fitted to the images that were measured."
    change = external.recalibration
    return (
        f"Logistic recalibration (slope {change.slope:.3f}, shift {change.shift:.3f}) and a "
        f"local threshold ({change.threshold.before:.3f} became {change.threshold.after:.3f}), "
        f"fitted to {change.fit.n} other images of {change.fit.patients} patients. "
        f"before Brier score {change.before.brier}; after Brier score {change.after.brier}."
    )


def _fairness(_: Facts) -> str | None:
    return (
        "No method was applied in training; scores are reported by source, site, view, sex and "
        "age band where the cohort states them."
    )


def _poor_input(_: Facts) -> str | None:
    return (
        "A file that cannot be read gets a row that says why; where the system abstains it gives "
        "no probability, and a flag says why."
    )


def _interaction(_: Facts) -> str | None:
    return "None: a file goes in; probability, call and explanation come out."


def _details(facts: Facts) -> str | None:
    command = facts.metrics.command
    if not command:
        return None
    return f"config.json in the run folder; the run is repeated by “{command}”."


def _code(_: Facts) -> str | None:
    return "covid-cxr, Apache-2.0: cleaning, training, evaluation and use in one package."


def _availability(facts: Facts) -> str | None:
    if not facts.manifest:
        return None
    told = [f"Software: Apache-2.0. Model: {'; '.join(facts.manifest['licences'])}."]
    lines = [
        f"{item['source']} {', '.join(item['licenses']) or 'none stated'}"
        for item in facts.manifest["training_data"]
    ]
    return " ".join([*told, f"Images, by their licences: {'; '.join(lines)}."])


def _opened(facts: Facts) -> str:
    count = len(facts.metrics.test_evaluations)
    if not count:
        return "Test played no part."
    times = "once" if count == 1 else f"{count} times"
    return f"Test played no part; in this run it was evaluated {times}."


ANSWERS: dict[str, Answer] = {
    "technology": _technology,
    "goal": _goal,
    "intended_use": _intended_use,
    "preprocessing": _preprocessing,
    "model": _model,
    "software": _software,
    "initialisation": _initialisation,
    "training": _training,
    "selection": _selection,
    "building": _building,
    "ensembling": _ensembling,
    "imbalance": _imbalance,
    "output": _output,
    "calculation": _calculation,
    "updating": _updating,
    "fairness": _fairness,
    "poor_input": _poor_input,
    "interaction": _interaction,
    "details": _details,
    "code": _code,
    "availability": _availability,
}
