"""Everything is in setup.cfg; older installers still ask for this file."""

from setuptools import setup

setup()
