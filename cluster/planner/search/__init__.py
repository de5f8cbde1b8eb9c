"""Search over layouts on named GPUs: enumerate, place, check the fit, rank."""
