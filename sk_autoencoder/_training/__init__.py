"""The skorch net and a training run: batches, epochs, selection of the best state."""
