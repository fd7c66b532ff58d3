"""What is left of unseen rows, and what decided the fixed numbers."""
