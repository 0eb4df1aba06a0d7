"""How test is chosen: what a held-out hospital or a list may and may not do, and no leak in any."""

import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from covid_cxr.cohort import exclusions
from covid_cxr.cohort.splits.grouped import assign as by_lot
from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.splits.leakage import find_leaks
from covid_cxr.cohort.splits.strategies import UNLISTED, assign
from covid_cxr.config import CohortConfig
from covid_cxr.errors import CohortError, LeakError

SOURCE_OUT = CohortConfig(strategy="leave-one-source-out", held_out="a")
SITE_OUT = CohortConfig(strategy="leave-one-site-out", held_out="x")
NOWHERE = Path("nowhere")


def table(patients: list[str], **columns: list[str]) -> pd.DataFrame:
    """A table as the rules before the split leave it; one source `a`, one site `x`."""
    n = len(patients)
    plain: dict[str, list[object]] = {
        "image_id": [f"i{number:04}" for number in range(n)],
        "source": ["a"] * n,
        "site": ["x"] * n,
        "patient_id": [*patients],
        "finding": ["normal"] * n,
        "sha256": [f"{number:064x}" for number in range(n)],
        "age": [50.0] * n,
        "offset": [0.0] * n,
        "width": [10] * n,
        "height": [10] * n,
    }
    empty = ("view", "sex", "license", "duplicate_group", "exclusion", "rule")
    plain |= {name: [""] * n for name in empty}
    return pd.DataFrame(plain | columns)


@st.composite
def cohorts(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(2, 40))
    column = {
        "patient_id": st.sampled_from([f"p{number}" for number in range(30)]),
        "source": st.sampled_from("abc"),
        "site": st.sampled_from("xyz"),
        "finding": st.sampled_from(["normal", "pneumonia", "covid-19"]),
        "duplicate_group": st.sampled_from(["", "", "", "g", "h", "i"]),
        "exclusion": st.sampled_from(["", "", "", "label unknown"]),
    }
    synthetic = {
        name: draw(st.lists(what, min_size=n, max_size=n)) for name, what in column.items()
    }
    return table(synthetic.pop("patient_id"), **synthetic)


def finished(rows: pd.DataFrame, config: CohortConfig, seed: int, root: Path) -> pd.DataFrame:
    """The cohort as `build` ends it: rules on copies, then the strategy."""
    rows = rows.copy()
    exclusions.by_duplicates(rows, config)
    answer = assign(rows, config, seed, root)
    exclusions.exclude(rows, "split", answer["reason"])
    return rows.assign(split=answer["split"])


def sides(rows: pd.DataFrame, config: CohortConfig, root: Path = NOWHERE) -> list[str]:
    return assign(rows, config, 1, root)["split"].tolist()


class TestAnyStrategy:
    @pytest.mark.parametrize(
        "settled",
        [
            {},
            {"strategy": "leave-one-source-out", "held_out": "a"},
            {"strategy": "leave-one-site-out", "held_out": "x"},
        ],
        ids=["random", "source", "site"],
    )
    @settings(max_examples=20, deadline=None)
    @given(cohort=cohorts(), seed=st.integers(0, 99), external=st.sampled_from([(), ("c",)]))
    def test_no_component_crosses(self, settled, cohort, seed, external):
        config = CohortConfig(**settled, external=external)
        try:
            done = finished(cohort, config, seed, NOWHERE)
        except CohortError:  # nothing held out, or nothing else: that too must not hang on order
            with pytest.raises(CohortError):
                finished(cohort.sample(frac=1, random_state=seed), config, seed, NOWHERE)
            return
        assert find_leaks(done) == []
        assert done["split"].isin(["train", "val", "test", "external", "excluded"]).all()
        assert ((done["split"] == "excluded") == (done["exclusion"] != "")).all()
        assert ((done["split"] == "external") <= done["source"].isin(external)).all()
        pd.testing.assert_frame_equal(finished(cohort, config, seed, NOWHERE), done)
        shuffled = finished(cohort.sample(frac=1, random_state=seed), config, seed, NOWHERE)
        pd.testing.assert_frame_equal(shuffled.sort_index(), done)

    @pytest.mark.parametrize(
        ("config", "column"), [(SOURCE_OUT, "source"), (SITE_OUT, "site")], ids=["source", "site"]
    )
    @settings(max_examples=20, deadline=None)
    @given(cohort=cohorts(), seed=st.integers(0, 99))
    def test_test_is_the_held_out_and_training_never_saw_it(self, config, column, cohort, seed):
        try:
            done = finished(cohort, config, seed, NOWHERE)
        except CohortError:
            assume(False)
        held = done[column] == config.held_out
        assert ((done["split"] == "test") == (held & (done["exclusion"] == ""))).all()
        linked = components(done)
        recorded = linked[done["split"].isin(["train", "val"])]
        assert not recorded.isin(linked[held]).any()

    @settings(max_examples=20, deadline=None)
    @given(cohort=cohorts(), draw=st.data())
    def test_a_list_is_followed_or_an_error_for_a_leak(self, cohort, draw, tmp_path_factory):
        root = tmp_path_factory.getbasetemp()
        exclusions.by_duplicates(cohort, CohortConfig())
        side = st.sampled_from(["train", "train", "val", "test", "external", ""])
        n = len(cohort)
        listed = pd.Series(draw.draw(st.lists(side, min_size=n, max_size=n)))
        if draw.draw(st.booleans()):  # the same for all of a component: no leak
            listed = listed.groupby(components(cohort)).transform("first")
        if not listed.any():
            listed[:] = "train"
        rows = cohort[["image_id"]].assign(split=listed)[listed != ""]
        rows.to_csv(root / "list.csv", index=False)
        included = cohort["exclusion"] == ""
        expected = listed.where(included & (listed != ""), "excluded")
        config = CohortConfig(strategy="lists", lists="list.csv")
        if find_leaks(cohort.assign(split=expected)):
            with pytest.raises(LeakError):
                assign(cohort, config, 1, root)
            return
        answer = assign(cohort, config, 1, root)
        assert answer["split"].tolist() == expected.tolist()
        unlisted = included & (listed == "")
        assert answer["reason"].tolist() == [UNLISTED if each else "" for each in unlisted]


def test_random_is_as_dealt_by_lot():
    rows = table([f"p{number}" for number in range(50)], exclusion=["blurred"] + [""] * 49)
    answer = assign(rows, CohortConfig(), 7, NOWHERE)
    assert answer["split"].equals(by_lot(rows, CohortConfig(), 7))
    assert (answer["reason"] == "").all()


class TestHeldOut:
    def test_source_by_hand(self):
        # p of b is a copy of an image of a that was left out; r of b is a's patient.
        rows = table(
            ["p", "p", "q", "r", "r", "s"],
            source=["b", "b", "a", "a", "b", "b"],
            duplicate_group=["g", "", "g", "", "", ""],
            exclusion=["", "", "lateral view", "", "", ""],
        )
        answer = assign(rows, SOURCE_OUT, 1, NOWHERE)
        near = "patient or copy also in the held-out source"
        assert answer["reason"].tolist() == [near, near, "", "", near, ""]
        out = "excluded"
        assert answer["split"].tolist() == [out, out, out, "test", out, "train"]

    def test_site_by_hand(self):
        # One source, three sites; patient p was at x and at y, and both images of y go.
        rows = table(["p", "p", "p", "q", "r"], site=["x", "y", "y", "x", "z"])
        answer = assign(rows, SITE_OUT, 1, NOWHERE)
        near = "patient or copy also in the held-out site"
        assert answer["reason"].tolist() == ["", near, near, "", ""]
        assert answer["split"].tolist() == ["test", "excluded", "excluded", "test", "train"]

    def test_train_and_val_share_the_rest(self):
        # 0.72 / 0.8 = 0.9 and 0.08 / 0.8 = 0.1 of 100 of each finding; 20 of a are test.
        n, findings = 100, ["normal"] * 100 + ["covid-19"] * 100
        rows = table(
            [f"p{number}" for number in range(220)],
            source=["b"] * 2 * n + ["a"] * 20,
            finding=findings + ["normal"] * 10 + ["covid-19"] * 10,
        )
        split = assign(rows, SOURCE_OUT, 1, NOWHERE)["split"]
        for half in (split[:n], split[n : 2 * n]):
            assert half.value_counts().to_dict() == {"train": 90, "val": 10}
        assert set(split[2 * n :]) == {"test"}

    def test_share_of_test_plays_no_part(self):
        rows = table([f"p{n}" for n in range(41)], source=["a"] + ["b"] * 40)
        half = SOURCE_OUT.model_copy(update={"train": 0.3, "val": 0.3, "test": 0.4})
        counts = pd.Series(sides(rows, half)).value_counts().to_dict()
        assert counts == {"train": 20, "val": 20, "test": 1}

    def test_external_stays_external(self):
        # The external source has images of the held-out site too; only e's is not a patient of it.
        rows = table(["p", "q", "r", "e"], source=["a", "b", "c", "c"], site=["x", "y", "x", "x"])
        config = SITE_OUT.model_copy(update={"external": ("c",)})
        assert sides(rows, config) == ["test", "train", "external", "external"]

    def test_another_site_is_not_seen_through_an_external_image(self):
        # The external image of q was taken at x, so that q's other image is of a patient of x.
        rows = table(
            ["p", "q", "q", "r"],
            source=["a", "b", "c", "b"],
            site=["x", "y", "x", "y"],
            exclusion=["", "", "patient or copy also in a source that is trained on", ""],
        )
        config = SITE_OUT.model_copy(update={"external": ("c",)})
        assert sides(rows, config) == ["test", "excluded", "excluded", "train"]

    def test_a_copy_of_the_held_out_stays_and_not_the_other(self):
        rows = table(["p", "q", "r"], source=["a", "b", "b"], duplicate_group=["g", "g", ""])
        rows["width"] = [10, 99, 10]
        done = finished(rows, SOURCE_OUT, 1, NOWHERE)
        assert done["split"].tolist() == ["test", "excluded", "train"]
        assert done["exclusion"].tolist() == ["", "duplicate of i0000", ""]

    def test_unknown_source_lists_those_there_are(self):
        rows = table(
            ["p", "q", "r", "s", "t"],
            source=["a", "b", "b", "b", "c"],
            finding=["normal", "covid-19", "normal", "pneumonia", "covid-19"],
            exclusion=["", "", "", "", "lateral view"],
        )
        gone = SOURCE_OUT.model_copy(update={"held_out": "c"})
        with pytest.raises(CohortError) as caught:
            assign(rows, gone, 1, NOWHERE)
        assert str(caught.value) == (
            "held_out 'c' is no source with usable images to test on; there are "
            "'b' (1 covid-19, 2 others), 'a' (0 covid-19, 1 others)"
        )

    def test_unknown_site_lists_the_ten_largest_in_one_line(self):
        # Site n has n images, 1 to 12: those of 12 to 3 are named, 2 and 1 are not.
        names = [f"site {n:02}" if n != 12 else "new\nline" for n in range(13) for _ in range(n)]
        rows = table([f"p{n}" for n in range(len(names))], site=names)
        with pytest.raises(CohortError) as caught:
            assign(rows, SITE_OUT, 1, NOWHERE)
        message = str(caught.value)
        assert message.startswith("held_out 'x' is no site with usable images")
        assert r"'new\nline' (0 covid-19, 12 others), 'site 11' (0" in message
        assert message.endswith("'site 03' (0 covid-19, 3 others), 2 more")
        assert "\n" not in message

    def test_an_external_source_cannot_be_held_out_by_its_site(self):
        rows = table(["p", "q"], source=["a", "b"], site=["x", "y"])
        config = SITE_OUT.model_copy(update={"external": ("a",)})
        with pytest.raises(CohortError, match=r"there are 'y' \(0 covid-19, 1 others\)"):
            assign(rows, config, 1, NOWHERE)

    def test_nothing_left_to_train_on(self):
        rows = table(["p", "p", "q"], source=["a", "b", "a"])
        with pytest.raises(CohortError, match="'a' leaves no image to train on: 1 others share"):
            assign(rows, SOURCE_OUT, 1, NOWHERE)

    @pytest.mark.parametrize(
        ("findings", "said"),
        [
            (["covid-19", "covid-19"], "all covid-19"),
            (["normal", "pneumonia"], "none covid-19"),
            (["normal", "covid-19"], None),
        ],
    )
    def test_one_class_alone_is_said(self, findings, said, caplog):
        rows = table(["p", "q", "r"], source=["a", "a", "b"], finding=[*findings, "normal"])
        with caplog.at_level(logging.WARNING):
            assign(rows, SOURCE_OUT, 1, NOWHERE)
        expected = f"held-out source 'a' has 2 images, {said}: AUROC is undefined there"
        assert caplog.messages == ([expected] if said else [])


class TestLists:
    config = CohortConfig(strategy="lists", lists="lists/one.csv")

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "lists").mkdir()
        return tmp_path

    def write(self, root: Path, *lines: str) -> None:
        text = "\n".join(["image_id,note,split", *lines])
        (root / "lists" / "one.csv").write_text(text, encoding="utf-8")

    def test_by_hand(self, root, caplog):
        rows = table(["p", "p", "q", "r", "s", "t"], exclusion=["", "", "", "", "", "lateral view"])
        self.write(root, "i0002,,val", "i0000,,train", "i0001,,train", "i0003,,test", "i0005,,test")
        with caplog.at_level(logging.WARNING):
            answer = assign(rows, self.config, 1, root)
        out = "excluded"
        assert answer["split"].tolist() == ["train", "train", "val", "test", out, out]
        assert answer["reason"].tolist() == ["", "", "", "", "not in the split list", ""]
        assert caplog.messages == [
            f"split list '{root / 'lists' / 'one.csv'}': 1 of its images are left out by other "
            "rules, such as 'i0005' (lateral view)"
        ]

    def test_external_and_an_absolute_path(self, root, caplog):
        self.write(root, "i0000,,train", "i0001,,external")
        config = CohortConfig(strategy="lists", lists=str(root / "lists" / "one.csv"))
        assert sides(table(["p", "q"]), config, NOWHERE) == ["train", "external"]
        assert caplog.messages == []

    def test_ids_stay_text(self, root):
        self.write(root, "007,,train", "1e3,,test")
        rows = table(["p", "q"], image_id=["007", "1e3"])
        assert sides(rows, self.config, root) == ["train", "test"]

    def test_a_leak_names_pairs_and_list(self, root):
        self.write(root, "i0000,,train", "i0001,,test", "i0002,,val")
        with pytest.raises(LeakError) as caught:
            assign(table(["p", "p", "q"]), self.config, 1, root)
        assert str(caught.value) == (
            "1 leak between splits: patient 'p' is in test and train: i0000 in train and i0001 in "
            f"test; give them one split in '{root / 'lists' / 'one.csv'}'"
        )

    def test_an_unlisted_image_links_its_patients(self, root):
        rows = table(["p", "p", "q"], duplicate_group=["", "g", "g"])
        self.write(root, "i0000,,train", "i0002,,test")
        with pytest.raises(LeakError, match=r"i0000 and i0001 share patient 'p', i0001 and i0002"):
            assign(rows, self.config, 1, root)

    def test_unknown_ids_are_named_and_counted(self, root):
        self.write(root, "i0000,,train", *(f"j{n},,test" for n in (4, 3, 2, 1)))
        with pytest.raises(CohortError, match=r"does not have: 'j1', 'j2', 'j3' and 1 more; write"):
            assign(table(["p"]), self.config, 1, root)

    def test_an_unknown_id_is_shown_in_one_line(self, root):
        self.write(root, '"two\nlines",,test')
        with pytest.raises(CohortError, match=r"does not have: 'two\\nlines'; write ids as"):
            assign(table(["p"]), self.config, 1, root)

    def test_an_image_listed_twice(self, root):
        self.write(root, "i0000,,train", "i0001,,test", "i0000,,train")
        with pytest.raises(CohortError, match="more than one line for 'i0000'; each"):
            assign(table(["p", "q"]), self.config, 1, root)

    @pytest.mark.parametrize("side", ["training", "", "excluded", " test"])
    def test_another_split(self, root, side):
        self.write(root, "i0000,,train", f"i0001,,{side}")
        expected = f"'i0001' the split '{side}', expected train, val, test, external"
        with pytest.raises(CohortError, match=expected):
            assign(table(["p", "q"]), self.config, 1, root)

    def test_no_such_file_or_column(self, root):
        with pytest.raises(CohortError, match="cannot be read"):
            assign(table(["p"]), self.config, 1, root)
        (root / "lists" / "one.csv").write_text("image_id,fold\ni0000,1\n")
        with pytest.raises(CohortError, match="lacks column split"):
            assign(table(["p"]), self.config, 1, root)
