"""
What part of the history is on screen.

No Qt and no pixels to speak of: a window onto bar indices that follows the
newest bar until somebody pans away from it, and a price range that follows
the bars until somebody takes hold of the axis.  Bar ``i`` covers the indices
``i`` to ``i + 1`` and is drawn at ``i + 0.5``.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ['Frame', 'Viewport', 'fit_prices']

# Empty space right of the newest bar, as a share of the width.
_AHEAD = 0.06
_LEAST_SPAN = 12.0
# At least this many bars stay in sight however far one pans.
_KEEP = 3.0
# A screen, but no more than this, is kept loaded left of what is shown.
_MOST_MARGIN = 2000.0


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One picture's mapping between bars and pixels.

    The plot's origin is at its top left; ``left`` is the bar index there,
    ``spacing`` the pixels per bar, ``low`` and ``high`` the prices at its
    bottom and top edge.
    """

    width: int
    height: int
    left: float
    spacing: float
    low: float
    high: float

    @property
    def right(self) -> float:
        """Bar index at the right edge."""
        return self.left + self.width / self.spacing

    def x(self, index: float) -> float:
        return (index - self.left) * self.spacing

    def index(self, x: float) -> float:
        return self.left + x / self.spacing

    def y(self, price: float) -> float:
        return (self.high - price) / (self.high - self.low) * self.height

    def price(self, y: float) -> float:
        return self.high - y / self.height * (self.high - self.low)


def fit_prices(
    low: float,
    high: float,
    tick: float,
    *,
    above: float = 0.08,
    below: float = 0.24,
) -> tuple[float, float]:
    """
    A price range that shows ``low`` to ``high`` with room around it.

    ``above`` and ``below`` are shares of the whole height; the room below is
    where volume is drawn.  Never narrower than a dozen ticks, so that a
    market that stands still is a line and not a division by zero.
    """
    least = 12 * tick
    if high - low < least:
        middle = (high + low) / 2
        low, high = middle - least / 2, middle + least / 2
    whole = (high - low) / (1 - above - below)
    return low - whole * below, high + whole * above


@dataclass(slots=True)
class Viewport:
    """
    ``right`` is the bar index at the right edge, ``span`` the bars across.

    ``first`` and ``stop`` are the bounds of what exists.  While ``following``
    is true the right edge keeps its distance to the newest bar; ``prices``
    is the manual price range, or ``None`` while it fits itself.
    """

    span: float = 180.0
    right: float = 0.0
    first: int = 0
    stop: int = 0
    following: bool = True
    prices: tuple[float, float] | None = None

    @property
    def left(self) -> float:
        return self.right - self.span

    @property
    def home(self) -> float:
        """Where the right edge is while following."""
        return self.stop + self.span * _AHEAD

    @property
    def lacking(self) -> int:
        """Older bars it takes to have a screen of them left of this one."""
        margin = min(self.span, _MOST_MARGIN)
        lack = self.first - (self.left - margin)
        # Somewhat more at once than one step of panning needs.
        return math.ceil(lack + margin / 2) if lack > 0 else 0

    def extent(self, first: int, stop: int) -> None:
        """Take note of the bars there are: ``first <= index < stop``."""
        self.first, self.stop = first, stop
        if self.following:
            self.right = self.home
        else:
            self._clamp()

    def zoom(self, factor: float, at: float | None = None) -> None:
        """
        Show ``factor`` times as many bars.

        The bar index ``at`` stays where it is, or the right edge does while
        following; there is no zooming out past all bars.
        """
        widest = max(_LEAST_SPAN * 4, (self.stop - self.first) * 1.25)
        # A view that shows more than there is may keep doing so.
        widest = max(widest, self.span)
        span = min(max(self.span * factor, _LEAST_SPAN), widest)
        if self.following or at is None:
            self.span = span
            if self.following:
                self.right = self.home
        else:
            share = (self.right - at) / self.span
            self.right = at + share * span
            self.span = span
        self._clamp()

    def pan(self, bars: float) -> None:
        """Move by ``bars`` towards the newest; reaching it follows again."""
        self.right += bars
        self._clamp()
        self.following = bars > 0 and self.right >= self.home - 0.5
        if self.following:
            self.right = self.home

    def go_live(self) -> None:
        self.following = True
        self.right = self.home

    def go_first(self) -> None:
        """Put the oldest bar at the left edge."""
        self.following = False
        self.right = self.first + self.span * (1 - _AHEAD)
        self._clamp()

    def show_all(self) -> None:
        """Every bar there is."""
        count = max(1, self.stop - self.first)
        self.span = max(_LEAST_SPAN, count / (1 - 2 * _AHEAD))
        self.go_live()

    def rescale(self, factor: float, shown: tuple[float, float]) -> None:
        """Stretch the price range about its middle; ``shown`` is on now."""
        low, high = shown
        middle, half = (low + high) / 2, (high - low) / 2 * factor
        self.prices = (middle - half, middle + half)

    def fit(self) -> None:
        """Let the price range fit itself again."""
        self.prices = None

    def shift_prices(self, by: float) -> None:
        """Move a manual price range; a fitted one stays."""
        if self.prices:
            self.prices = (self.prices[0] + by, self.prices[1] + by)

    def reperiod(self, move: Callable[[float], float], span: float) -> None:
        """
        The same moment in bars of another period.

        ``move`` turns an index of the old period into one of the new,
        ``span`` is the bars to show.
        """
        middle = move(self.right - self.span / 2)
        self.span = span
        self.right = middle + span / 2
        self.prices = None

    def _clamp(self) -> None:
        low = self.first + min(_KEEP, self.stop - self.first)
        high = self.stop + self.span - _KEEP
        self.right = max(low, min(self.right, max(low, high)))
