"""The product's own turns over simulated ports, from one seed, with faults between any two calls (contract §8)."""
