"""Reading weights: safely, and only when they fit the model."""
