"""Questions to nodes that run: a short-lived node that calls, listens and looks at the graph."""
