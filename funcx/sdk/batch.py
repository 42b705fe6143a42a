"""Batches, under their documented name."""

from funcx_core.sdk.batch import Batch

__all__ = ["Batch"]
