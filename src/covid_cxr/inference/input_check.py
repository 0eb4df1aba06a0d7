"""Tells an upright frontal chest radiograph from everything else, or says why it is none.

Judged is what the lung network's way down sees of the whole film, so that it costs next to nothing
more: features at a 32nd of the film, pooled so that left and right are alike and above and below
are not. A linear head knows turned, upside down and inverted films and pictures of other things; a
distance to the films that the limits were fitted to catches what nobody thought of (Lee et al., "A
simple unified framework for detecting out-of-distribution samples", NeurIPS 2018).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from covid_cxr.errors import BundleError
from covid_cxr.files import atomic_write
from covid_cxr.types import BoolArray, FloatArray, Lungs

TURNED, UPSIDE_DOWN, INVERTED = "turned by 90 degrees", "upside down", "grey levels inverted"
NO_CHEST = "no frontal chest radiograph"
UNLIKE = "unlike any chest film that is known"
UPRIGHT = ""  # the reason of a class that is answered
# Of what is answered but poor. Of 500 films of training fewer than one in a hundred breaks each.
FLAT, SATURATED, CUT_OFF = "hardly any contrast", "much of it black or white", "lungs cut off"
_ENDS = (1, 99)  # percentiles of grey levels
_LEAST_SPREAD = 0.3  # between them
_MOST_EXTREME = 0.3  # share of the film within 1 % of black or white
_SAMPLED = 512  # pixels of the longest side that greys are judged by: to order all takes 90 ms
_AT_EDGE = 0.4  # share of a film's edge that lungs touch


@dataclass(frozen=True)
class Gate:
    """Head, distance and limits; D pooled features become K components, judged as M classes.

    Attributes:
        mean: float32 (D,), of the features.
        components: float32 (D, K), on which they are projected.
        weights: float32 (K, M), of the linear head.
        bias: float32 (M,).
        reasons: str (M,), why a class is refused; "" for one that is answered.
        centre: float32 (K,), of upright films.
        whitening: float32 (K, K), after which distances are Mahalanobis'.
        least: float32 (2,), log-odds of an upright film below which the head's reason is given:
            where lungs were found, and where not.
        farthest: float32 (2,), distance above which a film is unlike all known: the same.
    """

    mean: FloatArray
    components: FloatArray
    weights: FloatArray
    bias: FloatArray
    reasons: NDArray[np.str_]
    centre: FloatArray
    whitening: FloatArray
    least: FloatArray
    farthest: FloatArray

    def judge(self, features: FloatArray, lungs: Sequence[Lungs | None]) -> list[str | None]:
        """Return why each of N films is refused, None where it is not.

        Args:
            features: (N, C, h, w), of the lung network.
            lungs: as the network found them on each.
        """
        unseen = np.array([each is None for each in lungs], dtype=np.bool_)
        found = self.decide(self.project(features), unseen)
        return [str(each) or None for each in found]

    def decide(self, known: FloatArray, unseen: BoolArray) -> NDArray[np.str_]:
        """Return the reasons (N,), "" where there is none.

        Args:
            known: (N, K), as `project` returns them.
            unseen: (N,), no lungs were found: both limits are stricter then.
        """
        odds, reasons = self.head(known)
        which = unseen.astype(int)
        # Asked this way round, what is no number is refused.
        is_near = self.distance(known) <= self.farthest[which]
        is_upright = odds >= self.least[which]
        refused = np.where(is_near, UPRIGHT, UNLIKE)
        return np.where(is_upright, refused, reasons).astype(np.str_)

    def project(self, features: FloatArray) -> FloatArray:
        """Return (N, K) components of features (N, C, h, w)."""
        return self.project_pooled(pooled(features))

    def project_pooled(self, features: FloatArray) -> FloatArray:
        """Return (N, K) components of pooled features (N, D)."""
        return _product(features - self.mean, self.components)

    def head(self, known: FloatArray) -> tuple[FloatArray, NDArray[np.str_]]:
        """Return of components (N, K) the log-odds of an upright film, and the next best reason."""
        logits = _product(known, self.weights) + self.bias
        upright = self.reasons == UPRIGHT
        odds = _log_sum(logits[:, upright]) - _log_sum(logits[:, ~upright])
        return odds, self.reasons[~upright][logits[:, ~upright].argmax(axis=1)]

    def distance(self, known: FloatArray) -> FloatArray:
        """Return how far components (N, K) lie from the centre of upright films."""
        away = _product(known - self.centre, self.whitening)
        return np.asarray(np.linalg.norm(away, axis=1), np.float32)

    def save(self, path: Path) -> None:
        """Write `gate.npz`; the same gate gives the same bytes."""
        content = io.BytesIO()
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        parts["components"] = parts["components"].astype(np.float16)  # the largest by far
        np.savez_compressed(content, **parts)
        atomic_write(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Gate:
        """Read `gate.npz`; nothing in it is unpickled.

        Raises:
            BundleError: it is no such file.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                gate = cls(**{f.name: _plain(found[f.name]) for f in fields(cls)})
        except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
            raise BundleError(f"'{path}' holds no gate; copy it again, whole") from error
        if not gate._fits():
            raise BundleError(f"'{path}' holds a gate whose parts do not fit; copy it again, whole")
        return gate

    def _fits(self) -> bool:
        """Tell whether all shapes belong together."""
        if self.components.ndim != 2 or self.reasons.ndim != 1:
            return False
        wide, narrow = self.components.shape
        wanted = {
            "mean": (wide,),
            "weights": (narrow, len(self.reasons)),
            "bias": (len(self.reasons),),
            "centre": (narrow,),
            "whitening": (narrow, narrow),
            "least": (2,),
            "farthest": (2,),
        }
        both = len(set((self.reasons == UPRIGHT).tolist())) == 2
        return both and all(getattr(self, name).shape == shape for name, shape in wanted.items())


def pooled(features: FloatArray) -> FloatArray:
    """Return (N, D) of features (N, C, h, w): every row kept, each column with its mirror image.

    A film and its mirror image have the same pooled features.
    """
    width = features.shape[3]
    both = (features + features[..., ::-1])[..., : (width + 1) // 2] / 2
    return np.asarray(both.reshape(len(features), -1), np.float32)


def remarks(pixels: FloatArray, lungs: Lungs | None) -> tuple[str, ...]:
    """Return what a reader should know of a radiograph (H, W) that is answered all the same."""
    step = max(1, max(pixels.shape) // _SAMPLED)
    sample = pixels[::step, ::step]
    extreme = np.count_nonzero(sample <= 0.01) + np.count_nonzero(sample >= 0.99)
    found = {
        FLAT: _is_flat(sample),
        SATURATED: extreme / sample.size > _MOST_EXTREME,
        CUT_OFF: lungs is not None and _touching(lungs) > _AT_EDGE,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _is_flat(sample: FloatArray) -> bool:
    """Tell whether the 99th percentile of some greys lies too little above the first.

    To find both takes ten times as long as to count what lies below and above two greys a little
    more than the least spread apart: where either is over a hundredth, so are the percentiles.
    """
    low, high = np.percentile(sample[::8, ::8], _ENDS)  # a guess: those greys lie around its middle
    middle, half, many = float(low + high) / 2, 0.51 * _LEAST_SPREAD, 2 + sample.size // 100
    outside = (sample < middle - half, sample > middle + half)
    if all(np.count_nonzero(each) >= many for each in outside):
        return False
    first, last = np.percentile(sample, _ENDS)
    return bool(last - first < _LEAST_SPREAD)


def _touching(lungs: Lungs) -> float:
    """Return the largest share of the film's four edges that the lungs touch."""
    both = lungs.both
    return float(max(edge.mean() for edge in (both[0], both[-1], both[:, 0], both[:, -1])))


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return `left @ right` of (N, D) and (D, K), on this thread alone.

    OpenBLAS would split it, and its threads then keep their cores busy in case more follows: 60 ms
    after half a millisecond of work on four films, while the networks want those cores. Also, a
    row's product is the same here whatever stands in the others.
    """
    found: FloatArray = np.einsum("nd,dk->nk", left, right, dtype=np.float32, casting="same_kind")
    return found


def _log_sum(logits: FloatArray) -> FloatArray:
    """Return log of the sum of exp over the classes, (N,)."""
    highest = logits.max(axis=1)
    total: FloatArray = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return total


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers are kept as small as they can be, and reckoned with in float32."""
    return array if array.dtype.kind == "U" else array.astype(np.float32)
