"""Journeys made up for tests, demonstrations and measurements; the same seed tells the same ones."""
