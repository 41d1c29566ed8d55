"""The keeper of runs: training that outlives the interface and never starts by itself.

`training_manager.TrainingManager` is the room's door. Nothing is imported here, because the
keeper is started through this package and has to be small and quick.
"""
