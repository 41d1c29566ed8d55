"""Study texts: written, checked, kept by their inputs."""
