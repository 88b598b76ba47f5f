"""What requests and answers look like, for OpenAPI: the examples are the model's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field

from stance.bundle import Bundle
from stance.predictor import Predictor
from stance.results import UNCERTAIN

SENTENCES = [
    "Polisi mengonfirmasi tujuh orang ditangkap di Medan.",
    "Kuasa hukum para tersangka membantah tuduhan itu.",
]
DOCUMENT = " ".join(SENTENCES)

DESCRIPTION = """\
Claim type, certainty and attribution of Indonesian news, sentence by sentence.

Offsets count characters (Unicode code points), neither bytes nor UTF-16 units. Every failure is
`{"error": "one line"}`. 503 comes with `Retry-After`, in seconds.
"""


class PredictRequest(BaseModel):
    """Sentences to label."""

    model_config = ConfigDict(extra="forbid")
    # One wrong text is enough: a report of each would cost more than the texts.
    texts: Annotated[list[str], FailFast()] = Field(
        description="One sentence each; answers come in the same order.", examples=[SENTENCES]
    )


class AnalyzeRequest(BaseModel):
    """A document to split into sentences and label."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(description="An article, as plain text.", examples=[DOCUMENT])


def predict_answers(predictor: Predictor) -> dict[int | str, dict[str, Any]]:
    """The `responses` of `/v1/predict`."""
    example = [prediction.to_dict() for prediction in predictor.predict(SENTENCES)]
    schema = prediction_schema(predictor.bundle)
    content = {"application/json": _list_of("predictions", schema, example)}
    return {200: {"description": "A prediction per text, in order.", "content": content}, **_ERRORS}


def analyze_answers(predictor: Predictor) -> dict[int | str, dict[str, Any]]:
    """The `responses` of `/v1/analyze`."""
    example = [sentence.to_dict() for sentence in predictor.analyze(DOCUMENT)]
    schema = sentence_schema(predictor.bundle)
    content = {
        "application/json": _list_of("sentences", schema, example),
        "text/html": {"schema": {"type": "string"}},
    }
    content["application/json"]["schema"]["properties"]["summary"] = {
        "type": "object",
        "description": "With `summary=true`: each source and its claims, as `stance summary`.",
    }
    return {
        200: {"description": "A prediction per sentence, with its offsets.", "content": content},
        **_ERRORS,
    }


def prediction_schema(bundle: Bundle) -> dict[str, Any]:
    """JSON Schema of `Prediction.to_dict` for a bundle's heads and spans."""
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    integer = {"type": "integer", "minimum": 0}
    span = _object(
        {"text": {"type": "string"}, "start": integer, "end": integer, "confidence": probability}
    )
    heads = {head.name: head.reported_labels for head in bundle.heads}
    label = {
        name: {"type": "string", "enum": [*labels, UNCERTAIN]} for name, labels in heads.items()
    }
    distributions = {
        name: _object(dict.fromkeys(labels, probability)) for name, labels in heads.items()
    }
    text_per_head = {"type": "object", "additionalProperties": {"type": "string"}}
    return _object(
        {
            "text": {"type": "string"},
            **label,
            "spans": _object(dict.fromkeys(bundle.spans, span), required=()),
            "fine": {**text_per_head, "description": "Finer labels, where the scheme merges them."},
            "abstained": {**text_per_head, "description": f"Why a label is {UNCERTAIN}."},
            "confidence": _object(dict.fromkeys(heads, probability)),
            "probabilities": _object(distributions),
            "truncated": {"type": "boolean", "description": "The end of the text was not read."},
        }
    )


def sentence_schema(bundle: Bundle) -> dict[str, Any]:
    """JSON Schema of `SentencePrediction.to_dict`."""
    offset = {"type": "integer", "minimum": 0}
    prediction = prediction_schema(bundle)
    return _object({"start": offset, "end": offset, **prediction["properties"]})


def _object(
    properties: dict[str, dict[str, Any]], required: Sequence[str] | None = None
) -> dict[str, Any]:
    names = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": names}


def _list_of(name: str, result: dict[str, Any], example: Any) -> dict[str, Any]:
    schema = _object({name: {"type": "array", "items": result}})
    return {"schema": schema, "example": {name: example}}


_ERRORS: dict[int | str, dict[str, Any]] = {
    int(status): {
        "description": reason,
        "content": {"application/json": {"schema": _object({"error": {"type": "string"}})}},
    }
    for status, reason in {
        HTTPStatus.BAD_REQUEST: "Not JSON, or not UTF-8.",
        HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "More text than one request may have.",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Not sent as application/json.",
        HTTPStatus.UNPROCESSABLE_ENTITY: "A field is missing, unknown or of another type.",
        HTTPStatus.SERVICE_UNAVAILABLE: "Busy; try again after `Retry-After` seconds.",
    }.items()
}
