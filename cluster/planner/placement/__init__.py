"""Which GPUs there are, and how they may be grouped into replicas: survey, machines, replicas, ranks."""
