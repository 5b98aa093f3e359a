import os

import pytest
from fake_feed import FakeFlume

# Tests draw into memory, whatever display there may be.
os.environ['QT_QPA_PLATFORM'] = 'offscreen'


@pytest.fixture(scope='session')
def app():
    from piker.ui.display import open_application

    return open_application(offscreen=True)


@pytest.fixture
def make_flume():
    """Makes flumes whose segments go with the test."""
    made = []

    def make(**options):
        options.setdefault('sizes', (600, 600))
        flume = FakeFlume(**options)
        made.append(flume)
        return flume

    yield make
    for flume in made:
        flume.unlink()


@pytest.fixture
def flume(make_flume):
    return make_flume()


@pytest.fixture
def window(app):
    """A window that looks only when told to."""
    from piker.ui.window import ChartWindow

    made = ChartWindow()
    made._timer.stop()
    made.resize(1200, 700)
    made.show()
    yield made
    made.close()
    made.deleteLater()
    app.processEvents()


@pytest.fixture
def chart(window, flume, app):
    """The window with a live flume in it."""
    window.show_loading(flume.instrument.id)
    window.show_flume(flume)
    app.processEvents()
    return window
