"""The outlier detector around the transformers."""
