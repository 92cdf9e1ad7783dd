"""The update, its optimisers and noises, early stopping, dynamic evaluation."""
