"""Why a plan is as it is, in words: decision path, comparison, what leads, what was passed over, what to do."""
