"""The int8 graph against the float32 one that it is made from."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the `train` extra")

import onnx
import onnxruntime as ort
import torch
from conftest import HEADS
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AlbertConfig, AlbertModel

from training.base import load_base
from training.config import BaseConfig, HeadConfig
from training.export import export_onnx
from training.model import SentenceClassifier
from training.quantisation import quantize

OUTPUTS = [*HEADS, "cue"]


def texts(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 40, count)
    return [
        {
            "input_ids": generator.integers(5, 100, (1, length)),
            "attention_mask": np.ones((1, length), np.int64),
        }
        for length in lengths
    ]


@pytest.fixture(scope="module")
def graphs(tiny_base, tmp_path_factory):
    """A float32 graph with outliers like a real encoder's, and its int8 form."""
    folder = tmp_path_factory.mktemp("graphs")
    base, _ = load_base(BaseConfig(name=str(tiny_base), max_length=48))
    heads = {name: HeadConfig(**head) for name, head in HEADS.items()}
    torch.manual_seed(1)
    model = SentenceClassifier(base.encoder, heads, ["cue"], "mean", 0.0).eval()
    with torch.no_grad():
        for layer in model.encoder.encoder.layer:
            layer.attention.output.LayerNorm.weight[3] = 40.0
    export_onnx(model, list(heads), ["cue"], folder / "float32.onnx")
    quantize(folder / "float32.onnx", folder / "int8.onnx", texts(50, seed=0))
    return folder / "float32.onnx", folder / "int8.onnx"


def run(path, feeds):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [session.run(OUTPUTS, feed) for feed in feeds]


def test_outliers_do_not_cost_the_rest_its_precision(graphs, tmp_path):
    exact, small = graphs
    plain = tmp_path / "plain.onnx"
    quantize_dynamic(exact, plain, per_channel=True, weight_type=QuantType.QInt8)
    feeds = texts(50, seed=2)
    wanted = run(exact, feeds)

    def error(path) -> float:
        differences = [
            np.abs(a - b).mean()
            for told, exact_outputs in zip(run(path, feeds), wanted, strict=True)
            for a, b in zip(told, exact_outputs, strict=True)
        ]
        return float(np.mean(differences))

    assert error(small) < 0.7 * error(plain)


def test_weights_and_embeddings_are_int8_and_heads_are_not(graphs):
    _, small = graphs
    model = onnx.load(small)
    tables = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2]
    floats = {t.name for t in tables if t.data_type == onnx.TensorProto.FLOAT}
    # Signed, for which there are the fastest kernels: the embeddings, and six products a layer.
    assert sum(t.data_type == onnx.TensorProto.INT8 for t in tables) == 1 + 2 * 6
    assert any("heads" in name for name in floats)
    assert not any("word_embeddings.weight" in name for name in floats if "scale" not in name)


def test_padding_changes_nothing(graphs):
    _, small = graphs
    feed = texts(1, seed=3)[0]
    padded = {
        name: np.pad(values, ((0, 0), (0, 6)), constant_values=0) for name, values in feed.items()
    }
    [alone], [long] = run(small, [feed]), run(small, [padded])
    length = feed["input_ids"].shape[1]
    for head, a, b in zip(OUTPUTS, alone, long, strict=True):
        np.testing.assert_allclose(a, b[:, :length] if head == "cue" else b, atol=0.1)


def test_a_weight_that_layers_share_is_evened_out_for_each(tiny_base, tmp_path):
    """ALBERT has one layer, used again and again; the exporter writes its weights once."""
    heads = {name: HeadConfig(**head) for name, head in HEADS.items()}
    torch.manual_seed(1)
    size = {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    config = AlbertConfig(
        vocab_size=128, embedding_size=16, hidden_size=32, num_hidden_layers=4, **size
    )
    encoder = AlbertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        layer = encoder.encoder.albert_layer_groups[0].albert_layers[0]
        layer.attention.LayerNorm.weight[3] = 40.0
    model = SentenceClassifier(encoder, heads, ["cue"], "mean", 0.0).eval()
    export_onnx(model, list(heads), ["cue"], tmp_path / "float32.onnx")
    quantize(tmp_path / "float32.onnx", tmp_path / "int8.onnx", texts(50, seed=0))
    plain = tmp_path / "plain.onnx"
    quantize_dynamic(
        tmp_path / "float32.onnx", plain, per_channel=True, weight_type=QuantType.QInt8
    )
    feeds = texts(20, seed=2)
    exact = run(tmp_path / "float32.onnx", feeds)

    def error(path) -> float:
        told = run(path, feeds)
        return np.mean([np.abs(a[0] - b[0]).mean() for a, b in zip(told, exact, strict=True)])

    assert error(tmp_path / "int8.onnx") < 0.8 * error(plain)
