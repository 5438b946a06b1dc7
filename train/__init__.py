"""Offline: photos become a trained Keras model and a run in MLflow. May import cat_model, never export."""
