"""Changes that make a refused layout run, or a plan in which nothing fits fit. Every fix was tried and works.

`fix.py` has the values, `text.py` is the only place that turns them into text, `ideas.py` lists what is
tried, and `suggest.py` tries it for each refused layout and for the plan as a whole.
"""
