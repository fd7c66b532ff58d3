"""What the package promises about speed, memory and quality, measured."""
