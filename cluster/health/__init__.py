"""Health of GPUs: findings with evidence from readings, by thresholds that are data. Pure."""
