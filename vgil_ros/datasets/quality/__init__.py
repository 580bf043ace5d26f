"""Quality of a data set: what only shows when its episodes are held against each other.

One pass makes a small summary of each episode (`features`); checks are pure functions of the summaries (`checks`).
"""
