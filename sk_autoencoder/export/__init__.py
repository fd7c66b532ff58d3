"""Fitted estimators in formats of other programs."""

from sk_autoencoder.export._onnx import to_onnx

__all__ = ["to_onnx"]
