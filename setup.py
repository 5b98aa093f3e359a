"""Package metadata and entry points; the pins live in requirements.txt."""
from pathlib import Path

from setuptools import find_packages, setup

setup(
    name='piker',
    version='0.1.0',
    description='Trading daemons as a tree of actors, with a Qt chart.',
    long_description=Path('README.rst').read_text(encoding='utf-8'),
    long_description_content_type='text/x-rst',
    license='AGPL-3.0-or-later',
    packages=find_packages(include=['piker', 'piker.*']),
    package_data={'piker': ['py.typed']},
    python_requires='>=3.11,<3.13',
    install_requires=[
        'tractor==0.1.0a5',
        'trio>=0.23,<0.24',
        'numpy',
        'pyqtgraph',
        'PyQt5',
        'pydantic>=2',
        'ib_insync',
        'asks',
        'trio-websocket',
        'click',
        'msgspec',
        'hypercorn',
        'rich',
        'rapidfuzz',
        'platformdirs',
        'psutil',
        'polars',
        'deltalake',
        'urwid',
        'h11',
    ],
    entry_points={
        'console_scripts': [
            'pikerd = piker.cli.pikerd:pikerd',
            'piker = piker.cli.main:piker',
        ],
    },
)
