"""Whatever the bytes, `read` gives a picture or one line of an error of ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import PICTURE, REFUSAL, mutant, outcome, seeds

SHARDS, MUTANTS = 8, 2000
MAGIC = (
    *(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBPVP8 ", b"GIF89a"),
    *(b"BM", b"II*\0", b"MM\0*", b"II+\0", b"P5\n40 40\n255\n", b"\xff\x4f\xff\x51"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\0" * 128 + b"DICM", b"\x08\0\x05\0CS", b""),
)


@pytest.mark.parametrize("name", seeds())
def test_every_seed_is_a_picture_before_it_is_damaged(name: str) -> None:
    assert outcome(seeds()[name]) == PICTURE


@pytest.mark.parametrize("shard", range(SHARDS))
def test_damaged_files_are_pictures_or_refused(shard: int) -> None:
    kinds = {outcome(mutant(number)[1]) for number in range(shard, MUTANTS, SHARDS)}
    assert kinds == {PICTURE, REFUSAL}  # the damage is neither always harmless nor always deadly


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=400))
def test_any_bytes_behind_a_magic_number(magic: bytes, rest: bytes) -> None:
    assert outcome(magic + rest) in (PICTURE, REFUSAL)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(seeds())), st.data())
def test_any_cut(name: str, data: st.DataObject) -> None:
    whole = seeds()[name]
    assert outcome(whole[: data.draw(st.integers(0, len(whole)))]) in (PICTURE, REFUSAL)
