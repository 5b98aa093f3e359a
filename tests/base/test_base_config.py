"""Settings, and what is said of wrong ones."""
from __future__ import annotations

import pytest

from piker.config import Settings, load_settings
from piker.errors import ConfigError
from piker.paths import config_file, data_dir


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv('PIKER_CONFIG_DIR', str(tmp_path))
    monkeypatch.setenv('PIKER_DATA_DIR', str(tmp_path / 'data'))
    return tmp_path


def wrong(folder, text, overrides=None):
    """What is said of a file of this text."""
    file = folder / 'piker.toml'
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides=overrides)
    said = str(caught.value)
    assert str(file) in said
    return said


def test_no_file_means_the_defaults(folder):
    assert config_file() == folder / 'piker.toml'
    assert data_dir() == folder / 'data'
    settings = load_settings()
    assert settings == Settings()
    assert settings.providers.sim.port == 0
    assert settings.feed.ring == 1 << 16


def test_directories_of_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv('PIKER_CONFIG_DIR', raising=False)
    monkeypatch.delenv('PIKER_DATA_DIR', raising=False)
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path / 'c'))
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'd'))
    assert config_file() == tmp_path / 'c' / 'piker' / 'piker.toml'
    assert data_dir() == tmp_path / 'd' / 'piker'


def test_the_file_wins_over_defaults_and_overrides_over_the_file(folder):
    (folder / 'piker.toml').write_text(
        '[providers.sim]\nport = 1000\nseed = 7\n[feed]\nlinger_s = 1.5\n'
    )
    settings = load_settings(overrides={
        'providers.sim.port': 2000, 'providers.binance.trades': 'trade',
    })
    assert settings.providers.sim.port == 2000
    assert settings.providers.sim.seed == 7
    assert settings.providers.binance.trades == 'trade'
    assert settings.feed.linger_s == 1.5


def test_an_unknown_key_comes_with_the_nearest_known_one(folder):
    said = wrong(folder, '[feed]\nlingers = 3\n')
    assert 'feed.lingers is not a setting' in said
    assert "Did you mean 'linger_s'" in said
    assert 'stale_after_s' in said
    said = wrong(folder, '[provider.sim]\nport = 1\n')
    assert 'provider is not a setting' in said
    assert "Did you mean 'providers'" in said
    said = wrong(folder, '[providers.sim.deep]\nx = 1\n')
    assert 'providers.sim.deep is not a setting' in said


@pytest.mark.parametrize(('text', 'parts'), [
    ('[providers.sim]\nport = "x"', ('providers.sim.port', "'x'", 'integer')),
    ('[providers.sim]\nport = 65536', ('providers.sim.port', '65536')),
    ('[providers.sim]\nstart = "soon"', ('sim.start', "'soon'", "'manual'")),
    ('[feed]\nstale_after_s = 0', ('feed.stale_after_s = 0', 'greater')),
    ('[feed]\nlinger_s = inf', ('feed.linger_s = inf', 'finite')),
    ('[feed]\nstale_after_s = nan', ('feed.stale_after_s = nan', 'finite')),
    ('[feed]\nring = 1000', ('feed.ring = 1000', 'power of two', '1024')),
    ('feed = 3', ('feed = 3',)),
    ('[providers.sim]\nreplay = [1]', ('providers.sim.replay.0 = 1',)),
])
def test_a_wrong_value_is_named_with_its_key(folder, text, parts):
    said = wrong(folder, text)
    for part in parts:
        assert part in said


def test_every_fault_is_told_at_once(folder):
    said = wrong(folder, '[feed]\nring = 3\nhistory_1s = -1\nnope = 1\n')
    assert len(said.splitlines()) == 3


def test_what_cannot_be_read_is_named(folder):
    assert 'not valid TOML' in wrong(folder, 'feed = [\n')
    file = folder / 'piker.toml'
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(ConfigError, match=r'piker\.toml: cannot be read'):
        load_settings()
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError, match=r'piker\.toml: cannot be read'):
        load_settings()


def test_an_override_inside_a_plain_value(folder):
    (folder / 'piker.toml').write_text('feed = 3\n')
    with pytest.raises(ConfigError, match="'feed' is not a table"):
        load_settings(overrides={'feed.ring': 1024})
