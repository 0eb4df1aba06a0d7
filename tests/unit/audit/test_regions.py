"""What is painted over tells nothing any more, and what is left is left alone."""

import numpy as np
import pytest

from covid_cxr.audit import regions
from covid_cxr.audit.regions import VIEWS, Views, painted, shown, template, widened
from covid_cxr.config import PreprocessSpec

SIZE = 48
RNG = np.random.default_rng(1)


@pytest.fixture
def views() -> Views:
    lungs = np.zeros((3, SIZE, SIZE), bool)
    for place in range(3):
        lungs[place, 12 : 34 + place, 8:20] = lungs[place, 12 : 34 + place, 28:40] = True
    wide = widened(lungs)
    films = RNG.random((3, SIZE, SIZE)).astype(np.float32)
    return Views(films, wide, template(wide))


def changed_inside(views: Views, where: np.ndarray) -> Views:
    films = np.where(where, RNG.random(views.films.shape), views.films)
    return views._replace(films=films.astype(np.float32))


@pytest.mark.parametrize("name", ["lungs removed", "frame only"])
@pytest.mark.parametrize("standardise", [True, False])
def test_other_lungs_give_the_same_film(views: Views, name: str, standardise: bool) -> None:
    """Not even the contrast of what is left may tell what the lungs were like."""
    spec = PreprocessSpec(standardise=standardise)
    other = changed_inside(views, views.lungs | views.template)
    assert np.array_equal(shown(name, views, spec), shown(name, other, spec))
    assert not np.array_equal(shown("whole", views, spec), shown("whole", other, spec))


def test_the_lungs_alone_tell_nothing_of_the_rest(views: Views) -> None:
    other = changed_inside(views, ~views.lungs)
    spec = PreprocessSpec()
    assert np.array_equal(shown("lungs only", views, spec), shown("lungs only", other, spec))


def test_the_frame_tells_nothing_of_the_middle(views: Views) -> None:
    middle = np.zeros(views.films.shape, bool)
    middle[:, 6:-6, 6:-6] = True
    spec = PreprocessSpec()
    # the paint over lungs in the frame is mixed from its surroundings, so compare what is left
    frame = ~(middle | views.lungs | views.template)
    plain = spec.model_copy(update={"standardise": False})
    before = shown("frame only", views, plain)[:, 0]
    after = shown("frame only", changed_inside(views, middle), plain)[:, 0]
    assert np.array_equal(before[frame], after[frame])
    assert np.ptp(before[0][~views.template & middle[0] & ~views.lungs[0]]) < 1e-6


def test_what_is_not_hidden_is_left_bit_for_bit(views: Views) -> None:
    hidden = views.lungs
    found = painted(views.films, hidden)
    assert np.array_equal(found[~hidden], views.films[~hidden])


def test_paint_is_a_mean_of_what_lies_around() -> None:
    films = np.full((1, SIZE, SIZE), 0.3, np.float32)
    hidden = np.zeros(films.shape, bool)
    hidden[0, 10:30, 10:30] = True
    films[hidden] = 1.0
    assert painted(films, hidden) == pytest.approx(0.3, abs=1e-4)
    gradient = np.broadcast_to(np.linspace(0, 1, SIZE, dtype=np.float32), films.shape).copy()
    paint = painted(gradient, hidden)[0, 20]
    assert paint[12] < paint[20] < paint[28]


def test_lungs_are_made_wider_by_a_twentieth() -> None:
    lungs = np.zeros((2, 100, 100), bool)
    lungs[0, 50, 50] = True
    wide = widened(lungs)
    assert wide[0, 50].nonzero()[0].tolist() == list(range(45, 56))
    assert not wide[1].any()


def test_the_template_is_where_some_films_have_lungs() -> None:
    wide = np.zeros((10, 4, 4), bool)
    wide[:, 0, 0] = wide[0, 3, 3] = True
    assert template(wide)[0, 0]
    assert not template(wide)[3, 3]
    assert not template(np.zeros((2, 4, 4), bool)).any()


def test_a_recipe_that_cuts_to_the_lungs_is_looked_at_as_it_sees(views: Views) -> None:
    spec = PreprocessSpec(lung_margin=0.0)
    films, lungs = regions.cut_to_lungs(views.films.astype(np.float16), views.lungs, spec)
    assert films.shape == views.films.shape
    assert lungs.mean() > views.lungs.mean()
    assert lungs[:, 0].any(axis=1).all()  # the lungs reach the rim now


def test_every_view_is_model_input(views: Views) -> None:
    for name in VIEWS:
        film = shown(name, views, PreprocessSpec())
        assert film.shape == (3, 1, SIZE, SIZE)
        assert film.dtype == np.float32
        assert 0 <= film.min() <= film.max() <= 1
