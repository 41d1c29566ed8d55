"""Parts of `benchmarks.step_speed`."""
