"""Views for RViz: markers, the planned chunk, the display configuration."""
