"""Batches, where releases before 1.0 had them."""

from funcx_core.sdk.batch import Batch

__all__ = ["Batch"]
