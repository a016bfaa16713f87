"""Open ONNX Runtime sessions on the requested execution provider, without fallback to another.

ONNX Runtime by itself falls back to the CPU without an error.
"""

import json
from functools import cache
from pathlib import Path
from typing import Literal

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from xai.runtime.processors import available_cpus

Provider = Literal["cpu", "openvino", "cuda"]
Precision = Literal["float32", "bfloat16"]

PROVIDER_NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
}
HEAVY = ("Conv", "Gemm", "MatMul")
"""Parts of the names of operators that take nearly all the time, also when they are fused.

Others may run on the CPU: CUDA leaves the arithmetic on shapes to it."""

LOAD_ERRORS = (
    runtime_errors.EPFail,
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)


def check_execution(provider: Provider, precision: Precision) -> None:
    """Raise ValueError if a provider is not installed, or does not support the precision."""
    if precision == "bfloat16" and provider != "openvino":
        raise ValueError(
            f"precision bfloat16 needs provider openvino; provider {provider} computes in float32"
        )
    if provider == "openvino":
        _register_openvino()
        if not _devices("openvino"):
            raise ValueError(
                "provider openvino finds no processor that it takes (onnxruntime-ep-openvino "
                "takes Intel's only); use provider cpu"
            )
    elif PROVIDER_NAMES[provider] not in onnxruntime.get_available_providers():
        raise ValueError(
            f"provider {provider} needs another ONNX Runtime: `pip uninstall onnxruntime`, then "
            "`pip install '.[gpu]'`"
        )


def open_session(
    model: Path, *, threads: int, provider: Provider = "cpu", precision: Precision = "float32"
) -> onnxruntime.InferenceSession:
    """Return a session that several threads may run at once.

    Args:
        model: ONNX file.
        threads: CPU threads of one run.
        provider: Execution provider.
        precision: Number format of the arithmetic.

    Raises:
        ValueError: It is not an ONNX file, or the provider is missing, does not support the
            precision, or can't run the whole graph.
    """
    check_execution(provider, precision)
    options = _options(threads)
    if provider == "cpu":
        return _session(model, options, provider)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    plug_in = _devices(provider)[:1]
    if plug_in:
        own = _openvino_options(threads, precision) if provider == "openvino" else {}
        options.add_provider_for_devices(plug_in, own)
    session = _session(model, options, provider, by_name=not plug_in)
    _check_placement(session, provider)
    return session


def read_metadata(model: Path) -> dict[str, str]:
    """Return the metadata of an ONNX file, without preparing its graph.

    Raises:
        ValueError: It is not an ONNX file.
    """
    options = _options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    metadata: dict[str, str] = _session(model, options, "cpu").get_modelmeta().custom_metadata_map
    return metadata


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # Spinning threads would take the CPU from films that are being decoded.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(
    model: Path, options: onnxruntime.SessionOptions, provider: Provider, *, by_name: bool = True
) -> onnxruntime.InferenceSession:
    # A plug-in is given in the options; asked for by name, it would be ignored without an error.
    names = [PROVIDER_NAMES[provider]] if by_name else None
    try:
        return onnxruntime.InferenceSession(model, options, providers=names, enable_fallback=0)
    except LOAD_ERRORS as error:
        if provider != "cpu":
            raise ValueError(f"provider {provider} can't prepare it: {error}") from error
        raise ValueError(
            "ONNX Runtime can't load it as an ONNX file; export it again with `cxr export`"
        ) from error


def _check_placement(session: onnxruntime.InferenceSession, provider: Provider) -> None:
    """Raise ValueError if the provider does not run the graph, or leaves heavy operators out."""
    subgraphs = session.get_provider_graph_assignment_info()
    own, others = PROVIDER_NAMES[provider], set()
    for subgraph in subgraphs:
        if subgraph.ep_name != own:
            others |= {node.op_type for node in subgraph.get_nodes()}
    left = sorted(name for name in others if any(heavy in name for heavy in HEAVY))
    if left or all(subgraph.ep_name != own for subgraph in subgraphs):
        raise ValueError(
            f"provider {provider} leaves {', '.join(left) or 'the graph'} to the CPU; check its "
            "driver and libraries (ONNX Runtime's log names them), or use provider cpu"
        )


def _devices(provider: Provider) -> list[onnxruntime.OrtEpDevice]:
    """Return the devices of a provider that is a plug-in; none for one that is built in."""
    return [
        device
        for device in onnxruntime.get_ep_devices()
        if device.ep_name == PROVIDER_NAMES[provider]
        and device.device.type.name == ("CPU" if provider == "openvino" else "GPU")
    ]


def _register_openvino() -> None:
    """Register OpenVINO's plug-in with ONNX Runtime."""
    try:
        import onnxruntime_ep_openvino
    except ModuleNotFoundError as error:
        raise ValueError("provider openvino needs `pip install '.[openvino]'`") from error
    _register(PROVIDER_NAMES["openvino"], onnxruntime_ep_openvino.get_library_path())


@cache  # ONNX Runtime allows it once per process
def _register(name: str, library: str) -> None:
    onnxruntime.register_execution_provider_library(name, library)


def _openvino_options(threads: int, precision: Precision) -> dict[str, str]:
    """Return OpenVINO's own settings, with a stream for each run that the CPUs have room for.

    In one stream, runs wait for each other; with ONNX Runtime's CPU provider they do not.
    """
    streams = max(1, available_cpus() // threads)
    properties = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": streams * threads,
        "NUM_STREAMS": streams,
    }
    return {"load_config": json.dumps({"CPU": properties})}
