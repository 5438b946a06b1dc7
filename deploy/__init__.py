"""Puts the app where people find it.

static.py writes a site that needs no server; hub.py pushes to the Hugging Face Hub.
"""
