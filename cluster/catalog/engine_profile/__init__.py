"""The schema of an engine's file: nested frozen tables with units, one module per group of tables.

Every key of a table is required. A table that may be left out is typed `Table | None`: without it the engine
does not have the feature.
"""

from cluster.catalog.engine_profile.profile import EngineProfile

__all__ = ["EngineProfile"]
