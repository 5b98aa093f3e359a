"""Following, panning and zooming, without a pixel drawn."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piker.ui.viewport import Frame, Viewport, fit_prices


def at(stop=1000, first=0, span=100.0):
    view = Viewport(span=span)
    view.extent(first, stop)
    return view


def test_follows_new_bars():
    view = at()
    before = view.right
    view.extent(0, 1003)
    assert view.right == before + 3
    assert view.left < 1002 < view.right


def test_stays_put_once_panned_away():
    view = at()
    view.pan(-50)
    before = view.left, view.right
    view.extent(0, 1010)
    view.extent(-500, 1011)
    assert (view.left, view.right) == before
    assert not view.following


def test_panning_back_to_the_edge_follows_again():
    view = at()
    view.pan(-5)
    assert not view.following
    view.pan(3)
    assert not view.following
    view.pan(10)
    assert view.following
    assert view.right == view.home


def test_even_a_small_pan_lets_go():
    view = at()
    view.pan(-0.2)
    assert not view.following


def test_zoom_while_following_keeps_the_newest_bar_in_place():
    view = at()
    share = (view.right - view.stop) / view.span
    view.zoom(0.5, at=950)
    assert view.span == 50
    assert (view.right - view.stop) / view.span == pytest.approx(share)


def test_zoom_elsewhere_keeps_the_bar_under_the_pointer():
    view = at()
    view.pan(-500)
    index = view.left + 30
    view.zoom(0.5, at=index)
    assert (index - view.left) / view.span == pytest.approx(0.3)


def test_first_all_and_live():
    view = at()
    view.go_first()
    assert view.left <= 0 < view.right
    assert not view.following
    view.show_all()
    assert view.left <= 0
    assert view.right >= 1000
    view.go_live()
    assert view.following


def test_period_change_keeps_the_moment():
    view = at(stop=100_000, span=200.0)
    view.pan(-40_000)
    middle = view.right - view.span / 2
    view.reperiod(lambda index: index / 60, 200)
    assert (view.right - view.span / 2) == pytest.approx(middle / 60)


def test_zooming_out_never_shows_fewer_bars():
    view = at(stop=10, span=200)
    view.zoom(1.25)
    assert view.span == 200
    view.zoom(0.8)
    assert view.span == 160


def test_what_a_view_lacks():
    view = at(stop=1000, span=100)
    assert view.lacking == 0
    view.pan(-780)
    assert view.left == pytest.approx(126)
    assert view.lacking == 0
    view.pan(-50)
    assert view.lacking == 24 + 50
    view.extent(-view.lacking, 1000)
    assert view.lacking == 0
    few = at(stop=20, span=100)
    assert few.lacking == pytest.approx(86 + 20 - 26 + 150 - 20, abs=100)
    assert at(stop=10**6, span=1.2e6).lacking < 400_000


@given(
    moves=st.lists(
        st.one_of(
            st.tuples(st.just('pan'), st.floats(-1e5, 1e5)),
            st.tuples(st.just('zoom'), st.floats(0.01, 100)),
            st.tuples(st.just('grow'), st.integers(1, 50)),
        ),
        max_size=30,
    ),
    count=st.integers(0, 5000),
)
def test_some_bars_are_always_in_sight(moves, count):
    first, stop = 1_000_000, 1_000_000 + count
    view = at(stop, first)
    for name, value in moves:
        if name == 'pan':
            view.pan(value)
        elif name == 'zoom':
            view.zoom(value, at=view.left + view.span / 3)
        else:
            stop += value
            view.extent(first, stop)
        assert view.span >= 12
        assert view.right >= first
        assert view.left <= stop


@given(
    low=st.floats(1e-6, 1e6),
    extra=st.floats(0, 1e5),
    tick=st.sampled_from([1e-8, 0.01, 0.25, 10]),
)
def test_fitted_prices_hold_the_bars_and_never_collapse(low, extra, tick):
    a, b = fit_prices(low, low + extra, tick)
    assert a < low
    assert b > low + extra
    assert b - a >= 12 * tick * 0.99


def test_manual_prices():
    view = at()
    view.shift_prices(5)
    assert view.prices is None
    view.rescale(2, (10, 20))
    assert view.prices == (5, 25)
    view.shift_prices(1)
    assert view.prices == (6, 26)
    view.fit()
    assert view.prices is None


@given(
    left=st.floats(0, 3e9), spacing=st.floats(1e-4, 200),
    x=st.floats(0, 3000), y=st.floats(0, 2000),
)
def test_pixels_and_back(left, spacing, x, y):
    frame = Frame(1000, 500, left, spacing, 10.0, 20.0)
    assert frame.x(frame.index(x)) == pytest.approx(x, abs=0.01 + spacing / 5)
    assert frame.y(frame.price(y)) == pytest.approx(y, abs=1e-6)
