"""Export a training run as one ONNX file with its model card."""
