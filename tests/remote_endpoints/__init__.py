"""Endpoints of others: asked with care."""
