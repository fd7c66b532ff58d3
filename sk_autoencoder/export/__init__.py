"""Fitted estimators in formats of other programs."""

from sk_autoencoder.export._onnx import to_onnx
from sk_autoencoder.export._skl2onnx import register_skl2onnx

__all__ = ["register_skl2onnx", "to_onnx"]
