"""What is inpainted tells nothing any more, and what is left is left alone."""

import numpy as np
import pytest

from covid_cxr.audit import regions
from covid_cxr.audit.regions import VIEWS, Regions, dilate, inpaint, template, view_inputs
from covid_cxr.config import PreprocessSpec

SIZE = 48
RNG = np.random.default_rng(1)


@pytest.fixture
def views() -> Regions:
    lungs = np.zeros((3, SIZE, SIZE), bool)
    for row in range(3):
        lungs[row, 12 : 34 + row, 8:20] = lungs[row, 12 : 34 + row, 28:40] = True
    wide = dilate(lungs)
    images = RNG.random((3, SIZE, SIZE)).astype(np.float32)
    return Regions(images, wide, template(wide))


def changed_inside(views: Regions, where: np.ndarray) -> Regions:
    images = np.where(where, RNG.random(views.images.shape), views.images)
    return views._replace(images=images.astype(np.float32))


@pytest.mark.parametrize("name", ["lungs removed", "frame only"])
@pytest.mark.parametrize("standardise", [True, False])
def test_other_lungs_give_the_same_image(views: Regions, name: str, standardise: bool) -> None:
    """Not even the contrast of what is left may tell what the lungs were like."""
    spec = PreprocessSpec(standardise=standardise)
    other = changed_inside(views, views.lungs | views.template)
    assert np.array_equal(view_inputs(name, views, spec), view_inputs(name, other, spec))
    assert not np.array_equal(view_inputs("whole", views, spec), view_inputs("whole", other, spec))


def test_the_lungs_alone_tell_nothing_of_the_rest(views: Regions) -> None:
    other = changed_inside(views, ~views.lungs)
    spec = PreprocessSpec()
    assert np.array_equal(
        view_inputs("lungs only", views, spec), view_inputs("lungs only", other, spec)
    )


def test_the_frame_tells_nothing_of_the_middle(views: Regions) -> None:
    middle = np.zeros(views.images.shape, bool)
    middle[:, 6:-6, 6:-6] = True
    spec = PreprocessSpec()
    # the fill of lungs in the frame is a mean of its surroundings, so compare what is left
    frame = ~(middle | views.lungs | views.template)
    plain = spec.model_copy(update={"standardise": False})
    before = view_inputs("frame only", views, plain)[:, 0]
    after = view_inputs("frame only", changed_inside(views, middle), plain)[:, 0]
    assert np.array_equal(before[frame], after[frame])
    assert np.ptp(before[0][~views.template & middle[0] & ~views.lungs[0]]) < 1e-6


def test_what_is_not_hidden_is_left_bit_for_bit(views: Regions) -> None:
    covered = views.lungs
    found = inpaint(views.images, covered)
    assert np.array_equal(found[~covered], views.images[~covered])


def test_the_fill_is_a_mean_of_the_surroundings() -> None:
    images = np.full((1, SIZE, SIZE), 0.3, np.float32)
    covered = np.zeros(images.shape, bool)
    covered[0, 10:30, 10:30] = True
    images[covered] = 1.0
    assert inpaint(images, covered) == pytest.approx(0.3, abs=1e-4)
    gradient = np.broadcast_to(np.linspace(0, 1, SIZE, dtype=np.float32), images.shape).copy()
    fill = inpaint(gradient, covered)[0, 20]
    assert fill[12] < fill[20] < fill[28]


def test_lungs_are_dilated_by_a_twentieth() -> None:
    lungs = np.zeros((2, 100, 100), bool)
    lungs[0, 50, 50] = True
    wide = dilate(lungs)
    assert wide[0, 50].nonzero()[0].tolist() == list(range(45, 56))
    assert not wide[1].any()


def test_the_template_is_where_some_images_have_lungs() -> None:
    wide = np.zeros((10, 4, 4), bool)
    wide[:, 0, 0] = wide[0, 3, 3] = True
    assert template(wide)[0, 0]
    assert not template(wide)[3, 3]
    assert not template(np.zeros((2, 4, 4), bool)).any()


def test_a_recipe_that_crops_to_the_lungs_is_audited_on_crops(views: Regions) -> None:
    spec = PreprocessSpec(lung_margin=0.0)
    images, lungs = regions.crop_to_lungs(views.images.astype(np.float16), views.lungs, spec)
    assert images.shape == views.images.shape
    assert lungs.mean() > views.lungs.mean()
    assert lungs[:, 0].any(axis=1).all()  # the lungs reach the rim now


def test_every_view_is_model_input(views: Regions) -> None:
    for name in VIEWS:
        image = view_inputs(name, views, PreprocessSpec())
        assert image.shape == (3, 1, SIZE, SIZE)
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
