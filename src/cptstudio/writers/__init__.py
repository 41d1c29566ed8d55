"""Models that write on request: one of this machine, or one at an endpoint that the user confirmed.

What they write is kept when it comes, by a hash of all that decides it, so that whoever is killed
goes on with what is missing.
"""
