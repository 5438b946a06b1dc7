"""The parts of the page that app.py puts together: photo box, words, looks. Imports cat_model and gradio."""
