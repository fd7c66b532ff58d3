"""The recipe that won Kaggle's Porto Seguro competition."""
