"""A plan's reasons as text: the decision path, the comparison, why each layout is recommended or not."""
