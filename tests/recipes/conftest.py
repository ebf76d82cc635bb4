"""Fixtures of several files here."""

from tests.recipes.backstitch_scripts import local  # noqa: F401
