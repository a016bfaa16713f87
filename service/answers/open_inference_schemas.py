"""Schemas of the JSON of Open Inference Protocol v2; names and shapes are the protocol's.

Source:
    github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.answers import examples
from service.answers.examples import shown

Scalar = str | int | float | bool


class Message(BaseModel):
    """Base of requests and answers; members that are not named here are extensions."""

    model_config = ConfigDict(frozen=True, strict=True)


class TensorMetadata(Message):
    """A tensor that a model takes or gives."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 is a length that may vary.")


class ModelMetadata(Message):
    """A model, and the tensors that it takes and gives."""

    model_config = ConfigDict(json_schema_extra=shown(examples.MODEL_METADATA))

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(
        description="A request holds one of them: `pixels` in [0, 1], or `film`, whole PNG, JPEG, "
        "TIFF or DICOM files."
    )
    outputs: list[TensorMetadata]
    parameters: dict[str, Scalar] = Field(
        description="Of the model's card; lists are JSON in a string, since the protocol has none."
    )


class ServerMetadata(Message):
    """Name, version and extensions of the server."""

    model_config = ConfigDict(json_schema_extra=shown(examples.SERVER_METADATA))

    name: str
    version: str
    extensions: list[str]


class ServerLive(Message):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra=shown({"live": True}))

    live: bool


class ServerReady(Message):
    """The default model is loaded, checked against its card, and warm."""

    model_config = ConfigDict(json_schema_extra=shown({"ready": True}))

    ready: bool


class ModelReady(Message):
    """The model can be asked; one that is not loaded yet loads when it is."""

    model_config = ConfigDict(json_schema_extra=shown({"name": "chest_cnn", "ready": True}))

    name: str
    ready: bool


class TensorParameters(Message):
    """Place of a tensor's data."""

    binary_data_size: int | None = Field(
        default=None, ge=0, description="Bytes of it behind the JSON."
    )


class RequestInput(Message):
    """An input tensor; its data are in `data` or behind the JSON."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    datatype: str
    parameters: TensorParameters = TensorParameters()
    data: list[object] | None = Field(
        default=None, description="Row by row, flat or nested: numbers, or files as base64."
    )


class OutputParameters(Message):
    """Options for one output."""

    binary_data: bool | None = Field(
        default=None, description="Whether it is sent behind the JSON."
    )
    classification: int = Field(default=0, description="Not offered: 0 or left out.")
    shared_memory_region: str | None = Field(default=None, description="Not offered: left out.")


class RequestOutput(Message):
    """An output tensor that is wanted."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Message):
    """Options for outputs that have none of their own."""

    binary_data_output: bool = Field(
        default=False, description="Whether they are sent behind the JSON."
    )


class InferenceRequest(Message):
    """A request for inference."""

    model_config = ConfigDict(json_schema_extra=shown(examples.INFERENCE_REQUEST))

    id: str | None = Field(default=None, max_length=1000)
    parameters: RequestParameters = RequestParameters()
    inputs: list[RequestInput]
    outputs: Sequence[RequestOutput] = Field(default=(), description="None named is all of them.")

    def wants_binary(self, output: RequestOutput) -> bool:
        """Return whether an output is to be sent behind the JSON."""
        own = output.parameters.binary_data
        return self.parameters.binary_data_output if own is None else own


class ResponseOutput(Message):
    """An output tensor; its data are in `data` or behind the JSON."""

    name: str
    shape: Sequence[int]
    datatype: str
    parameters: TensorParameters | None = None
    data: list[float] | list[bool] | None = None


class InferenceResponse(Message):
    """The answer to a request for inference.

    The tensors are as the network gives them. Nothing is withheld of a film that is unlike the
    training films, or undecided: read `in_distribution` and `is_decided` first. `refusals` tells
    why a film is refused: a column for each reason that the model's metadata name.
    """

    model_config = ConfigDict(json_schema_extra=shown(examples.INFERENCE_RESPONSE))

    model_name: str
    model_version: str
    id: str | None = Field(default=None, description="As it was sent.")
    parameters: dict[str, Scalar] = Field(description="Scales and thresholds of the model's card.")
    outputs: list[ResponseOutput]
