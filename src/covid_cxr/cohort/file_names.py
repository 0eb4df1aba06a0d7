"""Files that a table names in another way than the disk does.

Tables that went through a spreadsheet or another system have backslashes, absolute paths of
another machine, names without ending, in another case or another Unicode form. Such a name is
taken for the one file that it can mean; where there is none or several, the file stays missing.

Folders must agree, as far as the folder of the data set knows them: a mask often has the name of
its image. A name alone counts only where no name of the table leads to a file with its folders,
and where all files so found lie in one folder.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from covid_cxr.cohort.records import Record, pictures_below
from covid_cxr.cohort.tables import plain

logger = logging.getLogger(__name__)


def with_files(records: Sequence[Record], base: Path, source: str) -> list[Record]:
    """Return the records, those whose file is missing with the path of the one that they mean.

    Args:
        records: of one source.
        base: folder that their paths are relative to.
        source: named in the log.
    """
    missing = [record for record in records if not _exists(base / record.path)]
    if not missing:
        return list(records)
    taken = {record.path for record in records} - {record.path for record in missing}
    folder = _Folder(base, taken)
    meant = {record.path: folder.meant(record.path) for record in missing}
    if not taken and not any(meant.values()):
        meant = {path: folder.named(path) for path in meant}
        if len({PurePosixPath(file).parent for file in meant.values() if file}) > 1:
            meant = dict.fromkeys(meant)
    several = Counter(meant.values())
    chosen = {path: file for path, file in meant.items() if file and several[file] == 1}
    _report(source, base, chosen, [path for path in meant if path not in chosen], folder)
    return [replace(record, path=chosen.get(record.path, record.path)) for record in records]


class _Folder:
    """The files below a folder that no record names exactly, by what names may mean them."""

    def __init__(self, base: Path, taken: Iterable[str]) -> None:
        self._base, self._taken = base, frozenset(taken)

    @cached_property
    def _files(self) -> list[str]:
        below = (path.relative_to(self._base).as_posix() for path in pictures_below(self._base))
        return [path for path in below if path not in self._taken]

    @cached_property
    def _by_tail(self) -> Mapping[tuple[str, ...], set[str]]:
        """The last parts of paths, with and without ending -> the files that have them."""
        tails = defaultdict(set)
        for path in self._files:
            for names in _with_and_without_ending(path):
                for start in range(len(names)):
                    tails[names[start:]].add(path)
        return tails

    @cached_property
    def _whole(self) -> Mapping[tuple[str, ...], str | None]:
        """All parts of paths, with and without ending -> the one file that has them."""
        paths: dict[tuple[str, ...], str | None] = {}
        for path in self._files:
            for names in _with_and_without_ending(path):
                paths[names] = None if names in paths else path
        return paths

    def meant(self, path: str) -> str | None:
        """Return the file with the path's folders, None for none or several.

        Of a path of another machine so many of the last folders count as lead to a file, but one.
        """
        parts = _parts(path)
        if not _is_foreign(path):
            return self._whole.get(parts)
        for start in range(len(parts) - 1):
            if files := self._by_tail.get(parts[start:]):
                return next(iter(files)) if len(files) == 1 else None
        return None

    def named(self, path: str) -> str | None:
        """Return the file with the name of a path that states no folder here, None as above."""
        parts = _parts(path)
        if len(parts) > 1 and not _is_foreign(path):
            return None
        files = self._by_tail.get(parts[-1:], set())
        return next(iter(files)) if len(files) == 1 else None

    def similar(self, path: str) -> str | None:
        """Return a file whose name differs in leading zeros alone, as spreadsheets drop them."""
        name = PurePosixPath(_parts(path)[-1]).stem.lstrip("0")
        stems = ((PurePosixPath(file).stem, file) for file in self._files)
        return next((file for stem, file in stems if plain(stem).lstrip("0") == name), None)


def _with_and_without_ending(path: str) -> set[tuple[str, ...]]:
    parts = _parts(path)
    return {parts, (*parts[:-1], PurePosixPath(parts[-1]).stem)}


def _is_foreign(path: str) -> bool:
    """Whether a path is absolute, in the form of any system."""
    return path.strip().startswith(("/", "\\")) or path.strip()[1:2] == ":"


def _parts(path: str) -> tuple[str, ...]:
    """Return a path's parts for comparison, without drive and "."."""
    parts = (plain(part) for part in path.replace("\\", "/").split("/"))
    kept = tuple(part for part in parts if part not in ("", ".") and not part.endswith(":"))
    return kept or ("",)


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):  # no access, or a name that no file can have
        return True


def _report(
    source: str, base: Path, chosen: Mapping[str, str], missing: Sequence[str], folder: _Folder
) -> None:
    if chosen:
        first, file = next(iter(chosen.items()))
        logger.warning(
            "source '%s' names %d files in another way than they are, such as '%s' for '%s'",
            *(source, len(chosen), first, file),
        )
    if missing:
        near = folder.similar(missing[0])
        hint = f"; there is '{near}': were leading zeros lost in the table?" if near else ""
        logger.warning(
            "source '%s': %d files that it names are missing, such as '%s'%s",
            *(source, len(missing), base / missing[0], hint),
        )
