"""Evidence maps that explain a network's decisions; running exported models; measures of maps."""

import os

# ONNX Runtime sends telemetry and keeps a device id on disk unless this is set before it is loaded
# (microsoft/onnxruntime#27379). A service that reads patients' films must do neither.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
