"""Whether a patient or a duplicate image stands on both sides of a split, and which images do.

Two images of different splits leak if they share a patient, a file or a duplicate group, or if a
chain of excluded images links them. A chain over an included image needs no search: that image is
on one side, so one half of the chain is a leak by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

import pandas as pd

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.errors import LeakError

_NAMED = 3
_MOST_LINKS = 8
_REMEDY = "rebuild the cohort or move these images to one split"
# In the order of the report: what one line says, a later one does not repeat.
_KEYS = {
    "patient_id": ("patient '{}'", "share patient '{}'"),
    "sha256": ("the same file (sha256 {:.12})", "are the same file (sha256 {:.12})"),
    "duplicate_group": ("duplicate group '{}'", "are copies (group '{}')"),
}

_Key = tuple[str, str]


class _Image(NamedTuple):
    """An image on a side; two of one `group` are no pair."""

    name: str
    side: str
    group: object


def find_leaks(cohort: pd.DataFrame) -> list[str]:
    """Return one line for each patient, duplicate or chain of both that crosses a split.

    A line names pairs of images and their splits, three at most, and counts the others; of a chain
    it names the links. Excluded rows are on no side but may be the link of a chain: patient A
    shares an image with B. The order of the rows plays no part, and the effort grows as their
    number does.
    """
    linked = cohort.assign(component=components(cohort))
    included = linked[linked["split"] != "excluded"]
    leaking = included.loc[_several(included, "component", "split"), "component"]
    rows = linked[linked["component"].isin(leaking)].sort_values("image_id", ignore_index=True)
    return [one_line(line) for line in (*_shared(rows), *_chained(rows))]


def assert_no_leak(cohort: pd.DataFrame, remedy: str = _REMEDY) -> None:
    """Raise if `find_leaks` finds anything.

    Args:
        cohort: as for `find_leaks`.
        remedy: what to do about a leak.

    Raises:
        LeakError: with the first problems and their number.
    """
    problems = find_leaks(cohort)
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        count = f"{len(problems)} leaks" if len(problems) > 1 else "1 leak"
        raise LeakError(
            f"{count} between splits: {'; '.join(problems[:_NAMED])}{more}; {one_line(remedy)}"
        )


def one_line(text: str) -> str:
    r"""Return `text` with line breaks and broken characters escaped; names may hold any.

    >>> print(one_line("an image\nof Müller"))
    an image\nof Müller
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _shared(rows: pd.DataFrame) -> Iterator[str]:
    """Return a line for each patient, file and duplicate group with included images in two splits.

    One whose images all have a patient or file in common is reported by that.
    """
    included = rows[rows["split"] != "excluded"]
    for number, (column, (name, _)) in enumerate(_KEYS.items()):
        keyed = included[included[column] != ""]
        crossing = _several(keyed, column, "split")
        for before in list(_KEYS)[:number]:
            crossing &= _several(keyed, column, before) | (keyed[before] == "")
        for key, images in _grouped(keyed[crossing], column, "image_id"):
            pairs = [_sides(*pair) for pair in _pairs(images)]
            yield f"{name.format(key)} is in {_describe(images, pairs)}"


def _chained(rows: pd.DataFrame) -> Iterator[str]:
    """Return a line for each set of linked excluded images that joins images of two splits.

    Images that are linked without them too are not joined by them: `_shared` reports these.
    """
    out = rows["split"] == "excluded"
    links = rows[out].assign(bridge=components(rows[out]))
    joined = _joined(rows[~out].assign(group=components(rows[~out])), links)
    joined = joined[_several(joined, "bridge", "split") & _several(joined, "bridge", "group")]
    links = links[links["bridge"].isin(joined["bridge"])]
    keys = _keys(pd.concat([links, joined]))
    members: dict[float, dict[_Key, list[str]]] = defaultdict(lambda: defaultdict(list))
    for bridge, image in zip(links["bridge"], links["image_id"], strict=True):
        for key in keys[image]:
            members[bridge][key].append(image)
    for bridge, images in _grouped(joined, "bridge", "group"):
        paths = [
            f"{_sides(one, other)} ({_path(one.name, other.name, keys, members[bridge])})"
            for one, other in _pairs(images)
        ]
        yield f"excluded images link {_describe(images, paths)}"


def _several(rows: pd.DataFrame, by: str, what: str) -> pd.Series:
    """Mark rows whose group has more than one value of `what`."""
    return rows.groupby(by)[what].transform("nunique") > 1


def _joined(included: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Return an included row once for each `bridge` that holds an image with a key of its own."""
    touching = []
    for column in _KEYS:
        # All rows with a key are linked by it, so that it is in one bridge.
        bridge = links[links[column] != ""].drop_duplicates(column).set_index(column)["bridge"]
        touching.append(included.assign(bridge=included[column].map(bridge)))
    joined = pd.concat(touching).dropna(subset="bridge")
    return joined.drop_duplicates(["image_id", "bridge"])


def _grouped(rows: pd.DataFrame, by: str, group: str) -> Iterator[tuple[Any, list[_Image]]]:
    """Return the images of each value of `by`, sorted by both."""
    rows = rows.sort_values([by, "image_id"])
    cells = zip(rows[by], rows["image_id"], rows["split"], rows[group], strict=True)
    for key, group_of in groupby(cells, key=itemgetter(0)):
        yield key, [_Image(*cell[1:]) for cell in group_of]


def _pairs(images: Sequence[_Image]) -> Iterator[tuple[_Image, _Image]]:
    """Return the first pairs of images of different groups and sides."""
    # One image stands for its group on its side, else a large group would be paired with itself.
    first = {(image.group, image.side): image for image in reversed(images)}
    several = combinations(sorted(first.values()), 2)
    pairs = ((a, b) for a, b in several if a.side != b.side and a.group != b.group)
    return islice(pairs, _NAMED)


def _describe(images: Sequence[_Image], named: Sequence[str]) -> str:
    """Return the splits, the pairs named and the number of the others."""
    sides = sorted({image.side for image in images})
    more = _number_of_pairs(images) - len(named)
    rest = [f"{more} more pair{'s' if more > 1 else ''}"] if more else []
    return f"{', '.join(sides[:-1])} and {sides[-1]}: {', '.join([*named, *rest])}"


def _number_of_pairs(images: Sequence[_Image]) -> int:
    """Return how many pairs of images are of different groups and sides."""

    def pairs(*fields: str) -> int:
        sizes = Counter(tuple(getattr(image, field) for field in fields) for image in images)
        return sum(size * (size - 1) // 2 for size in sizes.values())

    return pairs() - pairs("side") - pairs("group") + pairs("side", "group")


def _sides(one: _Image, other: _Image) -> str:
    return f"{one.name} in {one.side} and {other.name} in {other.side}"


def _keys(rows: pd.DataFrame) -> dict[str, list[_Key]]:
    """Return (column, value) of every patient, file and group of each image."""
    return {
        name: [key for key in zip(_KEYS, values, strict=True) if key[1]]
        for name, *values in rows[["image_id", *_KEYS]].itertuples(index=False)
    }


def _path(
    start: str,
    goal: str,
    keys: Mapping[str, Sequence[_Key]],
    members: Mapping[_Key, Sequence[str]],
) -> str:
    """Return the links of the shortest chain from one image to another, both ends of a long one.

    Args:
        start: an included image.
        goal: another one.
        keys: of each image.
        members: the excluded images of each key of a bridge that both touch.
    """
    onward: dict[str, tuple[str, _Key]] = {}
    queue, used = deque([goal]), set[_Key]()
    while start not in onward:
        image = queue.popleft()
        for key in keys[image]:
            if key in members and key not in used:
                used.add(key)
                ends = [start] if key in keys[start] else []
                fresh = [other for other in (*ends, *members[key]) if other not in onward]
                onward |= dict.fromkeys(fresh, (image, key))
                queue.extend(fresh)
    steps, image = [], start
    while image != goal:
        following, (column, value) = onward[image]
        steps.append(f"{image} and {following} {_KEYS[column][1].format(value)}")
        image = following
    if len(steps) > _MOST_LINKS:
        half, more = _MOST_LINKS // 2, len(steps) - _MOST_LINKS
        steps[half:-half] = [f"{more} more link{'s' if more > 1 else ''}"]
    return ", ".join(steps)
