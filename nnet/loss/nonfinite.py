"""The error that a minibatch without a finite objective raises, of whatever loss."""

from __future__ import annotations


class NonFiniteError(FloatingPointError):
    """Network output without a finite objective; `sequences` are the numbers in the batch."""

    def __init__(self, message: str, sequences: list[int]) -> None:
        super().__init__(message)
        self.sequences = sequences
