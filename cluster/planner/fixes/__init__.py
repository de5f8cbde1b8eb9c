"""What would make a refused layout run, or a plan that fits nowhere fit: every fix was tried, and held.

`fix.py` holds the values, `text.py` the only place that turns them into sentences, `ideas.py` the one list of
what is tried, `suggest.py` the two that use it: for each refused layout, and for the plan as a whole.
"""
