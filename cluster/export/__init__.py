"""A plan as what a person pastes elsewhere: commands of an engine, or manifests of an orchestrator.

Each format is one file in `formats/`: a module that has a `FORMAT`. Pure: nothing here knows of Ray or of a
screen.
"""
