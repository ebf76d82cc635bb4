"""Fixtures of several files here."""

from tests.faults.output_place import built, copies, place  # noqa: F401
