"""Why a plan is as it is, in words: the decision path, the comparison, what leads, what to do."""
