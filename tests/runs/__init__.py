"""Tests of the keeper of runs."""
