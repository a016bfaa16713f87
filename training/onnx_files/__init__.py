"""Write ONNX files, store them small, and read them back as a network."""
