"""Prepare films, train networks, evaluate them and export them as ONNX."""
