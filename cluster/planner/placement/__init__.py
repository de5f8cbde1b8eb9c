"""Which GPUs are usable, and how they can be grouped into replicas: survey, machines, replicas, ranks."""
