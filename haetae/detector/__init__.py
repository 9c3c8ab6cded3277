"""The audio-visual detector: model, training, prediction and its MLflow registration.

Which detector is promoted is not decided here. Nothing here imports torch until a model is built.
"""
