"""Why a network decided: evidence maps, and the module that is exported with them."""

import os

# ONNX Runtime reports home and keeps a device id on disk unless told not to, before it is loaded
# (microsoft/onnxruntime#27379). A service that reads patients' films must do neither.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
