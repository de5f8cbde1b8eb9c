"""How long something must hold before it counts, in seconds: too long for a flicker."""

from __future__ import annotations

THROTTLE_BEGINS_S = 3.0
"""Readings come each second: about four in a row count."""
THROTTLE_ENDS_S = 10.0
"""A GPU at its temperature limit goes in and out of throttling."""
NODE_SILENT_S = 0.0
"""Whoever calls a node hung or lost has waited already."""
NODE_BACK_S = 5.0
GPU_ERROR_S = 2.0
GPU_BACK_S = 5.0
LINKS_DOWN_S = 4.0
"""Slow figures come every five seconds: the second look counts."""
LINKS_UP_S = 10.0
DEPLOYMENT_READY_S = 3.0
"""A replica that restarts in a circle is ready for a moment each time."""
