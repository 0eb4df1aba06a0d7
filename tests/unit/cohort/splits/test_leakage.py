"""Leaks are found, all of them, and named: which images, on which side, by what link."""

import doctest
import re
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.cohort.splits import leakage as checks
from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.splits.leakage import assert_no_leak, find_leaks
from covid_cxr.errors import LeakError

_NAME = r"(i\d\.\d+)"
IMAGE = re.compile(_NAME)
PAIR = re.compile(rf"{_NAME} in (\w+) and {_NAME} in (\w+)")
LINK = re.compile(rf"{_NAME} and {_NAME} (?:share|are)")


def table(*rows: str, **columns: list[str]) -> pd.DataFrame:
    """Rows "image patient file group split"; "-" is nothing."""
    names = ["image_id", "patient_id", "sha256", "duplicate_group", "split"]
    cells = [[cell if cell != "-" else "" for cell in row.split()] for row in rows]
    return pd.DataFrame(cells, columns=names, dtype="str").assign(**columns)


def keys(draw: Callable[[list[str]], list[str]], block: str) -> pd.DataFrame:
    """Eight rows that share much, among themselves alone; `draw` picks a value a row."""
    columns = {
        "patient_id": list("pqrstuvwxyzabc"),
        "sha256": ["", "", *"123456789abcdef"],
        "duplicate_group": ["", "", "", "", "g", "h"],
        "split": ["excluded", "excluded", "train", "train", "train", "test"],
    }
    synthetic = {name: draw(values) for name, values in columns.items()}
    for name in ("patient_id", "sha256", "duplicate_group"):
        synthetic[name] = [value and f"{value}.{block}" for value in synthetic[name]]
    return pd.DataFrame({"image_id": [f"i{n}.{block}" for n in range(8)], **synthetic})


def crosses(rows: pd.DataFrame) -> bool:
    included = rows["split"] != "excluded"
    return bool((rows["split"][included].groupby(components(rows)[included]).nunique() > 1).any())


def test_doctest():
    found = doctest.testmod(checks)
    assert (found.failed, found.attempted) == (0, 1)


@settings(max_examples=15, deadline=None)
@given(draw=st.data(), seed=st.integers(0, 9))
def test_a_leak_is_found_if_and_only_if_a_component_crosses(draw: st.DataObject, seed: int):
    cohort = keys(lambda values: [draw.draw(st.sampled_from(values)) for _ in range(8)], "x")
    found = find_leaks(cohort)
    assert bool(found) == crosses(cohort)
    assert found == find_leaks(cohort.sample(frac=1, random_state=seed))


def test_of_many_cohorts_those_with_leaks_are_named_and_every_link_is_one():
    rng = np.random.default_rng(0)
    blocks = [keys(lambda values: rng.choice(values, 8).tolist(), str(n)) for n in range(400)]
    rows = pd.concat(blocks).set_index("image_id")
    lines = find_leaks(pd.concat(blocks, ignore_index=True))
    named = {image.split(".")[1] for line in lines for image in IMAGE.findall(line)}
    assert named == {str(n) for n, block in enumerate(blocks) if crosses(block)}
    assert 100 < len(named) < 300
    for line in lines:
        direct = not line.startswith("excluded images link")
        for one, side, other, another in PAIR.findall(line):
            assert (rows["split"][one], rows["split"][other]) == (side, another)
            assert side != another
            assert shares(rows.loc[one], rows.loc[other]) or not direct
        for one, other in LINK.findall(line):
            assert shares(rows.loc[one], rows.loc[other])


def shares(one: pd.Series, other: pd.Series) -> bool:
    columns = ["patient_id", "sha256", "duplicate_group"]
    return any(one[column] == other[column] != "" for column in columns)


class TestByHand:
    def test_a_patient(self):
        cohort = table("a p 1 - train", "b p 2 - test", "c q 3 - val")
        assert find_leaks(cohort) == ["patient 'p' is in test and train: a in train and b in test"]

    def test_a_file(self):
        cohort = table("a p 0123456789abcdef - train", "b q 0123456789abcdef - external")
        assert find_leaks(cohort) == [
            "the same file (sha256 0123456789ab) is in external and train: "
            "a in train and b in external"
        ]

    def test_a_group(self):
        cohort = table("a p 1 g train", "b q 2 g val")
        assert find_leaks(cohort) == [
            "duplicate group 'g' is in train and val: a in train and b in val"
        ]

    def test_what_an_earlier_line_says_is_not_said_again(self):
        # One patient's two copies of one file, in one group: the patient's line says it all.
        cohort = table("a p 1 g train", "b p 1 g test")
        assert [line.split(" is in")[0] for line in find_leaks(cohort)] == ["patient 'p'"]
        # One file of two patients: the file's line says it, the group's would repeat it.
        cohort = table("a p 1 g train", "b q 1 g test")
        assert [line.split(" is in")[0] for line in find_leaks(cohort)] == [
            "the same file (sha256 1)"
        ]

    def test_a_group_that_reaches_further_than_its_patient_is_said(self):
        # p leaks by itself; that c is a copy of a is another leak of the same linked images.
        cohort = table("a p 1 g train", "b p 2 - test", "c q 3 g val")
        assert find_leaks(cohort) == [
            "patient 'p' is in test and train: a in train and b in test",
            "duplicate group 'g' is in train and val: a in train and c in val",
        ]

    def test_a_group_of_images_without_a_file_is_said(self):
        cohort = table("a p - g train", "b q - g test")
        assert [line.split(" is in")[0] for line in find_leaks(cohort)] == ["duplicate group 'g'"]

    def test_three_pairs_and_the_count_of_the_others(self):
        # 3 in train, 2 in test and 1 in val: 3 * 2 + 3 * 1 + 2 * 1 = 11 pairs, 3 of them named.
        splits = dict(zip("fedcba", ["train"] * 3 + ["test"] * 2 + ["val"], strict=True))
        cohort = table(*(f"{image} p {image} - {split}" for image, split in splits.items()))
        assert find_leaks(cohort) == [
            "patient 'p' is in test, train and val: a in val and b in test, a in val and c in "
            "test, a in val and d in train, 8 more pairs"
        ]

    def test_one_more_pair(self):
        # Pairs of 2 and 2: four.
        cohort = table(*(f"{image} p {image} - train" for image in "ab"))
        cohort = pd.concat([cohort, table(*(f"{image} p {image} - test" for image in "cd"))])
        assert find_leaks(cohort)[0].endswith("b in train and c in test, 1 more pair")

    def test_a_chain_tells_its_links(self):
        # p's excluded image is the file of q's excluded one, which is in the group of r's.
        cohort = table("a p 1 - train", "b p 2 - excluded", "c q 2 g excluded", "d r 4 g test")
        assert find_leaks(cohort) == [
            "excluded images link test and train: a in train and d in test (a and b share patient "
            "'p', b and c are the same file (sha256 2), c and d are copies (group 'g'))"
        ]

    def test_the_shortest_chain_is_reported(self):
        # a - b - e by way of b alone, and a - c - d - e.
        cohort = table(
            "a p 1 - train",
            *("b p 2 - excluded", "c p 3 - excluded", "d s 3 h excluded"),
            *("e q 2 h test", "f t 3 - excluded"),
        )
        assert find_leaks(cohort) == [
            "excluded images link test and train: a in train and e in test (a and b share patient "
            "'p', b and e are the same file (sha256 2))"
        ]

    def test_of_a_long_chain_both_ends_are_reported(self):
        # 20 images, 19 links: 4 at each end and 11 between.
        (line,) = find_leaks(table(*long_chain(20)))
        assert "(i000000 and i000001 share patient 'p0', i000001 and i000002 are copies" in line
        assert "i000004 are copies (group 'g2'), 11 more links, i000015 and i000016 are" in line
        assert line.endswith("i000018 and i000019 share patient 'p9')")
        nine = find_leaks(table(*long_chain(10)))[0]
        assert "i000004 are copies (group 'g2'), 1 more link, i000005 and i000006 are" in nine

    def test_a_chain_over_an_included_image_is_reported_by_its_halves(self):
        # a - b is no leak, b - c is: the line is on patient q alone, not on a and c.
        cohort = table("a p 1 g train", "b q 2 g train", "c q 3 - test")
        assert find_leaks(cohort) == ["patient 'q' is in test and train: b in train and c in test"]

    def test_excluded_images_that_join_nothing_new_are_no_line(self):
        # The excluded x of p joins images that p joins already; y joins c to d, both in train.
        cohort = table("a p 1 - train", "b p 2 - test", "x p 3 - excluded")
        assert len(find_leaks(cohort)) == 1
        cohort = table("c q 4 - train", "y q 5 g excluded", "d r 6 g train", "e r 7 h train")
        assert find_leaks(pd.concat([cohort, table("f s 8 h test")])) == [
            "duplicate group 'h' is in test and train: e in train and f in test"
        ]

    def test_a_chain_beside_a_direct_leak_is_reported_too(self):
        # Moving a and b to one side would leave d of r, a copy of p's excluded c, on another.
        cohort = table("a p 1 - train", "b p 2 - test", "c p 3 g excluded", "d r 4 g val")
        first, second = find_leaks(cohort)
        assert first == "patient 'p' is in test and train: a in train and b in test"
        assert second == (
            "excluded images link test, train and val: a in train and d in val (a and c share "
            "patient 'p', c and d are copies (group 'g')), b in test and d in val (b and c share "
            "patient 'p', c and d are copies (group 'g'))"
        )

    def test_chained_pairs_are_counted(self):
        # p has 3 in train, q 2 in test, r 1 in test: 3 * (2 + 1) = 9 pairs. A patient's first
        # image stands for the others, so that two pairs are named: a with d and a with f.
        train = [f"{image} p {image} - train" for image in "abc"]
        test = [*(f"{image} q {image} - test" for image in "de"), "f r f - test"]
        links = ["x p x g excluded", "y q y g excluded", "z r z g excluded"]
        (line,) = find_leaks(table(*train, *test, *links))
        assert line.count("(a and x share patient 'p', x and ") == 2
        assert "a in train and d in test (" in line
        assert "a in train and f in test (" in line
        assert line.endswith("), 7 more pairs")

    def test_chains_and_their_images_stand_in_one_order(self):
        # a and b of one file are touched by x, one by its group and one by its patient.
        one = ["a q 1 g train", "b p 1 - train", "x p 2 g excluded", "y r 2 - excluded"]
        two = ["e u 5 - train", "z u 6 - excluded", "zz v 6 - excluded", "i v 7 - test"]
        rows = [*one, "c r 3 - test", *two]
        first, second = find_leaks(table(*rows))
        assert "a in train and c in test (a and x are copies (group 'g'), x and y are" in first
        assert "e in train and i in test" in second
        assert find_leaks(table(*reversed(rows))) == [first, second]

    def test_nothing_links_by_being_empty(self):
        assert find_leaks(table("a p - - train", "b q - - test", "c r - - excluded")) == []

    def test_an_excluded_image_is_on_no_side(self):
        assert find_leaks(table("a p 1 - train", "b p 2 - excluded")) == []
        assert find_leaks(table("a p 1 - excluded", "b p 2 - excluded")) == []

    def test_an_empty_cohort(self):
        assert find_leaks(table()) == []

    def test_lines_stand_in_one_order(self):
        rows = ["a z 1 - train", "b z 2 - test", "c y 3 - train", "d y 4 - val"]
        named = [line.split("'")[1] for line in find_leaks(table(*rows))]
        assert named == ["y", "z"]
        assert find_leaks(table(*reversed(rows))) == find_leaks(table(*rows))

    def test_names_with_line_breaks_stay_in_one_line(self):
        cohort = table("a p 1 - train", "b p 2 - test", image_id=["one\ntwo", "Müller\udc80"])
        assert find_leaks(cohort) == [
            r"patient 'p' is in test and train: Müller\udc80 in test and one\ntwo in train"
        ]


class TestSummary:
    def test_shows_the_first_and_counts_the_rest(self):
        rows = [f"i{n:02} p{n // 2} {n} - {('train', 'test')[n % 2]}" for n in range(12)]
        with pytest.raises(LeakError) as caught:
            assert_no_leak(table(*rows))
        assert str(caught.value) == (
            "6 leaks between splits: "
            "patient 'p0' is in test and train: i00 in train and i01 in test; "
            "patient 'p1' is in test and train: i02 in train and i03 in test; "
            "patient 'p2' is in test and train: i04 in train and i05 in test; and 3 more; "
            "rebuild the cohort or move these images to one split"
        )

    def test_one_leak_and_another_remedy(self):
        with pytest.raises(LeakError, match=r"^1 leak between .* in test; mend\\nit$"):
            assert_no_leak(table("a p 1 - train", "b p 2 - test"), "mend\nit")

    def test_none(self):
        assert_no_leak(table("a p 1 - train", "b q 2 - test"))


def one_patient(n: int) -> list[str]:
    return [f"i{k:06} p {k} - {('train', 'test')[k % 2]}" for k in range(n)]


def many_patients(n: int) -> list[str]:
    return [f"i{k:06} p{k // 2} {k} - {('train', 'test')[k % 2]}" for k in range(n)]


def placeholder(n: int) -> list[str]:
    # Every patient has an excluded copy of one picture, the first patient the last copy.
    sides = ("train", "test")
    near_copies = [f"x{n - k:06} p{k} x{k} g excluded" for k in range(n // 2)]
    return [*near_copies, *(f"i{k:06} p{k} i{k} - {sides[k % 2]}" for k in range(n // 2))]


def long_chain(n: int) -> list[str]:
    rows = [f"i{k:06} p{k // 2} {k} g{(k + 1) // 2} excluded" for k in range(n)]
    rows[0] = rows[0].replace("excluded", "train")
    rows[-1] = rows[-1].replace("excluded", "test")
    return rows


def one_side_but_one(n: int) -> list[str]:
    # One patient leaks by itself; all others are on its first side, linked to it by a copy.
    rows = [f"i{k:06} p{k // 2} {k} {'-g'[k % 2]} {('train', 'excluded')[k % 2]}" for k in range(n)]
    large = [f"a{k:06} p0 a{k} - {('train', 'test')[k % 2]}" for k in range(n)]
    return [*large, *rows]


def steps(rows: list[str]) -> int:
    """Lines of check.py that run on a cohort."""
    cohort, count = table(*rows), 0

    def trace(frame, event, argument) -> Callable[..., object] | None:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename == checks.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert find_leaks(cohort)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "rows", [one_patient, many_patients, placeholder, long_chain, one_side_but_one]
)
def test_twice_the_rows_are_twice_the_steps_at_most(rows: Callable[[int], list[str]]):
    assert steps(rows(400)) < 2.2 * steps(rows(200))
