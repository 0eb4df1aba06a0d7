"""The charts of `search.html`, each an inline SVG with its numbers in words beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from covid_cxr.report.figures import svg
from covid_cxr.report.figures.svg import BLUE, GREEN, GREY, INK, ORANGE
from covid_cxr.search.results import SearchResult, TrialRecord
from covid_cxr.search.space import ChoiceParameter, Parameter, Value

_LONGEST = 26
_MOST_WORDS = 20
_MOST_CURVES = 60


def draw(result: SearchResult) -> dict[str, str]:
    """Return SVG elements: history, and where there is enough to draw importance, parallel, curves,
    slice-1 and so on (of each parameter) and pareto (pareto-2 where two measures are minimised).
    """
    with svg.style():
        figures = {"history": _history(result)}
        if result.importance:
            figures["importance"] = _importance(result)
        if len(result.complete) > 1:
            figures["parallel"] = _parallel(result)
            for number, field in enumerate(result.search.space, start=1):
                figures[f"slice-{number}"] = _slice(result, field, f"slice-{number}")
        if any(len(trial.steps) > 1 for trial in result.trials):
            figures["curves"] = _curves(result)
        for index in range(1, len(result.value_names)):
            figures["pareto" if index == 1 else f"pareto-{index}"] = _pareto(result, index)
    return figures


def _history(result: SearchResult) -> str:
    figure = Figure(figsize=(4.8, 3.2))
    axes = figure.subplots()
    numbers = [trial.number for trial in result.complete]
    values = [trial.values[0] for trial in result.complete]
    errors = [trial.spread for trial in result.complete]
    axes.errorbar(
        numbers, values, errors, fmt="o", color=BLUE, markersize=4, elinewidth=0.8, label="trial"
    )
    axes.step(
        numbers, np.maximum.accumulate(values), where="post", color=GREEN, label="best so far"
    )
    level, dashes = result.default.values[0], (0, (4, 2))
    axes.axhline(level, color=INK, linewidth=0.9, linestyle=dashes, label="default recipe")
    axes.axhline(result.constant_prior, color=GREY, linewidth=0.9, label="constant prior")
    stopped = [trial for trial in result.trials if trial.state == "stopped early" and trial.steps]
    if stopped:
        last = [trial.steps[max(trial.steps)] for trial in stopped]
        axes.plot(
            [t.number for t in stopped], last, "x", color=GREY, markersize=4, label="stopped early"
        )
    axes.set(xlabel="trial", ylabel=result.metric)
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y")
    _legend(figure, axes)
    text = (
        f"{len(values)} trials with a score from {min(values):.3f} to {max(values):.3f}; the "
        f"default recipe {result.default.values[0]:.3f}, the constant prior "
        f"{result.constant_prior:.3f}."
    )
    return svg.to_svg(figure, "history", "Score of every trial", text)


def _importance(result: SearchResult) -> str:
    names = list(result.importance)
    shares = list(result.importance.values())
    figure = Figure(figsize=(4.8, 0.8 + 0.3 * len(names)))
    axes = figure.subplots()
    axes.barh(range(len(names)), shares, height=0.6, color=BLUE)
    svg.list_rows(axes, [svg.shorten(_short(name), _LONGEST) for name in names])
    axes.set(xlim=(0, 1), xlabel="share of the variation of the score")
    axes.grid(axis="x")
    text = ", ".join(f"{name} {share:.2f}" for name, share in result.importance.items())
    return svg.to_svg(figure, "importance", "Importance of the parameters", f"{text}.")


def _parallel(result: SearchResult) -> str:
    fields = list(result.search.space)
    figure = Figure(figsize=(max(4.8, 0.8 * (len(fields) + 1)), 3.2))
    axes = figure.subplots()
    values = np.array([trial.values[0] for trial in result.complete])
    span = max(float(np.ptp(values)), 1e-9)
    order = np.argsort(values, kind="stable")
    for index in order:
        trial = result.complete[index]
        rank = float((values[index] - values.min()) / span)
        is_best = trial.number == result.best.number
        heights = [_height(result.search.space[f], trial.parameters.get(f)) for f in fields]
        axes.plot(
            range(len(fields) + 1),
            [*heights, rank],
            color=ORANGE if is_best else BLUE,
            alpha=1.0 if is_best else 0.12 + 0.6 * rank,
            linewidth=2.0 if is_best else 1.0,
            zorder=3 if is_best else 2,
        )
    for position, field in enumerate(fields):
        _label_axis(axes, position, result.search.space[field])
    _end_labels(axes, len(fields), f"{values.min():.3f}", f"{values.max():.3f}")
    axes.vlines(range(len(fields) + 1), 0, 1, color=GREY, linewidth=0.7, zorder=1)
    names = [_wrapped(field) for field in fields]
    axes.set(xticks=range(len(fields) + 1), xticklabels=[*names, "score"], yticks=[])
    axes.set(xlim=(-0.4, len(fields) + 0.4), ylim=(-0.12, 1.12))
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)
    best = ", ".join(f"{field} {_text(v)}" for field, v in result.best.parameters.items())
    text = f"A line a trial over all parameters; the best, in orange: {best}."
    return svg.to_svg(figure, "parallel", "Parallel coordinates", text)


def _slice(result: SearchResult, field: str, name: str) -> str:
    figure = Figure(figsize=(3.0, 2.2))
    axes = figure.subplots()
    parameter = result.search.space[field]
    trials = [trial for trial in result.complete if field in trial.parameters]
    if isinstance(parameter, ChoiceParameter):
        positions = [float(parameter.values.index(t.parameters[field])) for t in trials]
        names = [svg.shorten(_text(value), 14) for value in parameter.values]
        axes.set(xticks=range(len(names)), xticklabels=names, xlim=(-0.5, len(names) - 0.5))
        if sum(map(len, names)) > 30:
            axes.tick_params(axis="x", rotation=30)
    else:
        positions = [float(str(trial.parameters[field])) for trial in trials]
        if parameter.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(numticks=5))
            axes.xaxis.set_major_formatter(FuncFormatter(_tick))
            axes.xaxis.set_minor_formatter(NullFormatter())
        margin = parameter.low, parameter.high
        axes.set_xlim(*(margin if parameter.log else (None, None)))
    heights = [trial.values[0] for trial in trials]
    axes.plot(positions, heights, "o", color=BLUE, alpha=0.6, markersize=3.5, clip_on=False)
    for trial, position in zip(trials, positions, strict=True):
        if trial.number == result.best.number:
            axes.plot(position, trial.values[0], "D", color=ORANGE, markersize=5, clip_on=False)
    axes.set_ylabel("score")
    axes.grid()
    text = ", ".join(
        f"{_text(trial.parameters[field])}: {trial.values[0]:.3f}" for trial in trials[:_MOST_WORDS]
    )
    return svg.to_svg(figure, name, f"Score against {field}", f"The first trials: {text}.")


def _curves(result: SearchResult) -> str:
    figure = Figure(figsize=(4.8, 3.2))
    axes = figure.subplots()
    trials = [trial for trial in result.trials if trial.steps][-_MOST_CURVES:]
    for trial in trials:
        is_best = trial.number == result.best.number
        colour = ORANGE if is_best else GREY if trial.state == "stopped early" else BLUE
        steps = sorted(trial.steps)
        heights = [trial.steps[step] for step in steps]
        width, alpha = (2.0, 1.0) if is_best else (1.0, 0.5)
        axes.plot(
            steps, heights, color=colour, linewidth=width, alpha=alpha, zorder=3 if is_best else 2
        )
        axes.plot(steps[-1:], heights[-1:], "o", color=colour, markersize=3)
    stopped = sum(trial.state == "stopped early" for trial in trials)
    for colour, name, count in (
        (ORANGE, "best", 1),
        (BLUE, "finished", len(trials) - stopped),
        (GREY, "stopped early", stopped),
    ):
        if count:
            axes.plot([], [], color=colour, label=name)
    kind = result.search.objective.kind
    step = {"validation": "epoch", "out-of-fold": "folds", "leave-out": "hold-outs"}[kind]
    axes.set(xlabel=step, ylabel="score so far")
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y")
    _legend(figure, axes)
    text = f"{len(trials)} trials, {stopped} of them stopped early."
    return svg.to_svg(figure, "curves", "Learning curves", text)


def _pareto(result: SearchResult, index: int) -> str:
    label = {"latency_ms": "latency, ms an image", "size_mb": "size, MB"}[result.value_names[index]]
    figure = Figure(figsize=(4.8, 3.2))
    axes = figure.subplots()
    for front, colour, name in ((False, GREY, "other trials"), (True, GREEN, "Pareto front")):
        points = [t.values for t in result.complete if t.pareto is front]
        axes.plot([p[index] for p in points], [p[0] for p in points], "o", color=colour, label=name)
    axes.plot(
        [result.default.values[index]],
        [result.default.values[0]],
        "o",
        mfc="none",
        mec=ORANGE,
        markersize=9,
        label="default recipe",
    )
    axes.set(xlabel=label, ylabel=result.metric)
    axes.grid()
    _legend(figure, axes)
    best = [trial for trial in result.complete if trial.pareto]
    text = "On the front: " + "; ".join(_point(trial, index, label) for trial in best) + "."
    name = "pareto" if index == 1 else f"pareto-{index}"
    return svg.to_svg(figure, name, f"Score against {label}", text)


def _point(trial: TrialRecord, index: int, label: str) -> str:
    return f"trial {trial.number}, score {trial.values[0]:.3f}, {label} {trial.values[index]:.1f}"


def _height(parameter: Parameter, value: Value) -> float:
    """Return where a value lies on its axis, 0 to 1; NaN leaves a gap."""
    if isinstance(parameter, ChoiceParameter):
        if value not in parameter.values:
            return math.nan
        return parameter.values.index(value) / max(1, len(parameter.values) - 1)
    if not isinstance(value, int | float):
        return math.nan
    low, high, own = float(parameter.low), float(parameter.high), float(value)
    if parameter.log:
        low, high, own = math.log(low), math.log(high), math.log(own)
    return (own - low) / (high - low) if high > low else 0.5


def _label_axis(axes: Axes, position: int, parameter: Parameter) -> None:
    if isinstance(parameter, ChoiceParameter):
        count = max(1, len(parameter.values) - 1)
        for index, value in enumerate(parameter.values):
            text = svg.shorten(_text(value), 12)
            axes.text(position + 0.05, index / count, text, va="center", fontsize=7, color=INK)
    else:
        _end_labels(axes, position, f"{parameter.low:g}", f"{parameter.high:g}")


def _end_labels(axes: Axes, position: int, low: str, high: str) -> None:
    for height, text, side in ((-0.02, low, "top"), (1.02, high, "bottom")):
        axes.text(position, height, text, ha="center", va=side, fontsize=7, color=INK)


def _legend(figure: Figure, axes: Axes) -> None:
    """Write what the marks mean above the figure, in short lines that a phone can show."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=min(3, len(names)))


def _tick(value: float, _: int) -> str:
    return f"{value:g}"


def _text(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(field: str) -> str:
    """Return a field in words, without the names of its groups.

    >>> _short("training.ridge_alpha"), _short("training.label_weights.normal")
    ('ridge alpha', 'label weights normal')
    """
    parts = field.split(".")
    kept = parts[-2:] if parts[:-1] == ["training", "label_weights"] else parts[-1:]
    return " ".join(kept).replace("_", " ")


def _wrapped(field: str) -> str:
    words: Sequence[str] = svg.shorten(_short(field), _LONGEST).split(" ")
    return "\n".join(words)
