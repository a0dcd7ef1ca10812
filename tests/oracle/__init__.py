"""A second, naive reading of the contract, for tests to compare the projector with: it never imports the projector."""
