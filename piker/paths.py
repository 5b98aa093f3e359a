"""
Where settings are read from and data is kept.

The XDG directories, unless ``PIKER_CONFIG_DIR`` and ``PIKER_DATA_DIR`` name
others.  Apart from `config`, so that daemons which are sent their settings
need not load what checks them.
"""
from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ['config_file', 'data_dir']


def config_file() -> Path:
    """Where the settings are read from."""
    override = os.environ.get('PIKER_CONFIG_DIR')
    base = override or platformdirs.user_config_dir('piker')
    return Path(base) / 'piker.toml'


def data_dir() -> Path:
    """Where data is kept."""
    override = os.environ.get('PIKER_DATA_DIR')
    return Path(override or platformdirs.user_data_dir('piker'))
