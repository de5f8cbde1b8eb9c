"""Search over layouts on named GPUs: survey, enumerate, place, judge, rank."""
