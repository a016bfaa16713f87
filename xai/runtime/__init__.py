"""Run exported files: ONNX Runtime sessions, number of CPUs, check of the golden answer."""
