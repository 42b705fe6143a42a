"""Errors of the serializer, under their documented names."""

from funcx_core.errors import DeserializationError, SerializationError

SerializerError = SerializationError

__all__ = ["DeserializationError", "SerializationError", "SerializerError"]
