"""What is counted of the photos that were judged, and whether they drift."""
