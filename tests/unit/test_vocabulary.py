"""The field's terms, in names and in prose: the words that `docs/glossary.md` replaced stay out.

Identifiers are those that the project defines: modules, classes, functions, parameters, variables.
Prose is every string of the code (help texts, messages, docstrings), comments and the documents.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "research", "benchmarks")
DOCUMENTS = ("docs", "research", "src")


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


# Words that no part of a name may be (names are split at underscores and capitals).
PARTS = _words(
    """
    film films gate gated refusal refused remark remarks remarked lookalike lookalikes
    neighbour neighbours account accounts caution doubt doubts contender contenders coin
    coins tint lettering disguise disguised rigged rigging acceptance guess guesses
    guesser unlike alike judge judged ill
    """
)
# Names that are nobody's as a whole; as a part of another name they may be a plain word.
WHOLE = _words(
    """
    accept accepted answered bodies chance copies crossed draws drawn evidence facts
    flip flip_set frozen hidden how known leave_out levels linear local look looks
    material operating penalty place plate put refuse remember seen sets sheet sheets
    shown sign stable task_left_out tie told well finding_multipliers openings_of_test
    figures_of_use
    """
)
# Options of DESIGN.md and keywords of libraries that are written with such a word.
ALLOWED_NAMES = frozenset({"rigged", "flip"})  # demo --rigged; augment.flip
# Names that say nothing of the value; a few are harmless, hundreds are not.
VAGUE = frozenset({"found", "each", "held", "told"})
MOST_VAGUE = 60

PROSE = re.compile(
    r"""\b(
        films? | gates? | gated | refus(?:e|es|ed|al|als|ing) | remark(?:s|ed)? | lookalikes?
        | contenders? | lettering | tints? | tinted | coins(?!\.png) | disguise[sd]? | acceptance
        | flip\ sets? | neighbours? | doubts? | caution | contact\ sheets? | fault\ of\ ours
        | random\ draw
        | surest | for\ a\ machine | guessers? | (?<!-)(?<!")rigged(?!:) | files\ that\ lie
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)


@cache
def modules(*folders: str) -> tuple[tuple[Path, str], ...]:
    paths = (path for name in folders or CODE for path in sorted((ROOT / name).rglob("*.py")))
    return tuple((path.relative_to(ROOT), path.read_text("utf-8")) for path in paths)


def names_of(text: str) -> Iterator[tuple[str, int]]:
    """Yield every name that a module binds, and its line."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.alias(asname=str()):
                yield node.asname or "", node.lineno


def words_of(name: str) -> set[str]:
    """Return the lower-case words of a name in snake_case or CapWords.

    >>> sorted(words_of("_FilmCount_x2"))
    ['count', 'film', 'x']
    """
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def is_private(name: str) -> bool:
    bare = name.strip("_").lower()
    return bare not in ALLOWED_NAMES and (bare in WHOLE or bool(words_of(name) & PARTS))


def prose_of(text: str) -> Iterator[tuple[str, int]]:
    """Yield strings, f-strings' texts and comments of a module, with their lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string, token.start[0]


def test_no_name_is_a_private_word():
    wrong = [
        f"{path}:{line} {name}"
        for path, text in modules(*CODE, "tests")
        for name, line in [(path.stem, 1), *names_of(text)]
        if is_private(name)
    ]
    assert not wrong, "see docs/glossary.md for the field's term:\n" + "\n".join(wrong)


def test_names_say_what_the_value_is():
    vague = [
        f"{path}:{line} {name}"
        for path, text in modules()
        for name, line in names_of(text)
        if name.strip("_") in VAGUE
    ]
    assert len(vague) <= MOST_VAGUE, f"{len(vague)} names say nothing:\n" + "\n".join(vague)


def test_strings_and_comments_use_the_terms_of_the_glossary():
    wrong = [
        f"{path}:{line} {match[0]!r}"
        for path, text in modules()
        for prose, line in prose_of(text)
        for match in PROSE.finditer(prose)
    ]
    assert not wrong, "see docs/glossary.md for the field's term:\n" + "\n".join(wrong)


def documents() -> list[Path]:
    endings = {".md", ".j2", ".yaml", ".css"}
    below = [path for name in DOCUMENTS for path in (ROOT / name).rglob("*")]
    return sorted({path for path in [*below, *ROOT.glob("*.md")] if path.suffix in endings})


def test_documents_use_the_terms_of_the_glossary():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {match[0]!r}"
        for path in documents()
        for line, text in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in PROSE.finditer(text)
    ]
    assert not wrong, "see docs/glossary.md for the field's term:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "private"),
    [
        *[(name, True) for name in ("film", "FilmCount", "n_films", "told", "rigged_cohort")],
        *[(name, False) for name in ("radiograph", "rigged", "profile", "delegate")],
    ],
)
def test_a_private_word_is_noticed_in_any_spelling(name: str, private: bool):
    assert is_private(name) is private


@pytest.mark.parametrize("text", ["Two films.", "It is refused.", "the nearest neighbour"])
def test_private_prose_is_noticed(text: str):
    assert PROSE.search(text)
    assert not PROSE.search("covid-cxr demo --rigged on filmic profiles")
