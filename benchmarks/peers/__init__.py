"""The peers that CPT Studio is measured against, and how each is set up, run and measured."""
