"""Puts the app where people find it: static.py writes a site that needs no server of its own."""
