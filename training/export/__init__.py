"""Turn a run folder into one ONNX file with its model card."""
