"""A bundle that is incomplete, altered, mixed up or malicious is refused before it is run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from stance import BundleError, Predictor
from stance.bundle import manifest_digest, sha256
from stance.protobuf import has_external_data

EXAMPLE = ROOT / "data" / "example.txt"


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def rewrite(bundle: Path, change) -> None:
    """Change the manifest as an attacker, or a mistaken hand, would."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    change(manifest)
    manifest["sha256"] = manifest_digest(manifest)
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def put_model(bundle: Path, model: bytes) -> None:
    """Replace the graph and make the manifest agree."""
    (bundle / "model.onnx").write_bytes(model)
    digest = sha256(bundle / "model.onnx")
    rewrite(bundle, lambda manifest: manifest["files"].update({"model.onnx": digest}))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "bundle.json", "README.md"])
def test_a_missing_file(stance, copy, name):
    (copy / name).unlink()
    outcome = stance("predict", EXAMPLE, "--model", copy)
    assert outcome.status == 1
    assert f"{name} is missing" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md"])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_flipped_bit(copy, name, place):
    content = bytearray((copy / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match="was altered"):
        Predictor(copy)


@pytest.mark.parametrize(
    ("before", "after"), [("denied", "denies"), ('"max_length": ', '"max_length": 1')]
)
def test_an_edited_manifest(copy, before, after):
    manifest = copy / "bundle.json"
    text = manifest.read_text(encoding="utf-8")
    assert before in text
    manifest.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json was altered"):
        Predictor(copy)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file(copy, name, share):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(BundleError, match="was altered"):
        Predictor(copy)


def test_another_bundles_graph(copy):
    shutil.copy(ROOT / "artifacts" / "default" / "model.onnx", copy)
    with pytest.raises(BundleError, match="was altered"):
        Predictor(copy)


def test_a_graph_of_other_heads_though_the_digest_is_right(copy):
    import onnx

    model = onnx.load(copy / "model.onnx")
    first = model.graph.output[0]
    for node in model.graph.node:
        node.output[:] = ["mood" if name == first.name else name for name in node.output]
    first.name = "mood"
    put_model(copy, model.SerializeToString())
    with pytest.raises(BundleError, match="do not belong together"):
        Predictor(copy)


@pytest.mark.parametrize("model", [b"", b"\x00", b"no graph", b"\x08\x08" * 100])
def test_a_graph_that_is_none_though_the_digest_is_right(copy, model):
    put_model(copy, model)
    with pytest.raises(BundleError, match="cannot be loaded"):
        Predictor(copy)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname", "a/../b"])
def test_weights_outside_the_graph(copy, location):
    import onnx
    from onnx.external_data_helper import set_external_data

    model = onnx.load(copy / "model.onnx")
    tensor = model.graph.initializer[0]
    (copy / "weights.bin").write_bytes(tensor.raw_data)
    set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    put_model(copy, model.SerializeToString())
    with pytest.raises(BundleError, match="other files"):
        Predictor(copy)


def test_weights_outside_are_found_wherever_they_hide(tmp_path):
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

    def refused(model: ModelProto) -> bool:
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        return has_external_data(tmp_path / "model.onnx")

    outside = TensorProto(data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="x")
    constant = NodeProto(attribute=[AttributeProto(t=outside)])
    branch = NodeProto(attribute=[AttributeProto(g=GraphProto(node=[constant]))])
    assert refused(ModelProto(graph=GraphProto(node=[branch])))
    function = ModelProto()
    function.functions.add().node.append(constant)
    assert refused(function)
    sparse = ModelProto()
    sparse.graph.sparse_initializer.add().values.CopyFrom(outside)
    assert refused(sparse)
    # A name like the keyword refers to nothing.
    inside = TensorProto(name="location", raw_data=b"12")
    assert not refused(ModelProto(graph=GraphProto(name="location", initializer=[inside])))


def test_a_model_that_only_a_lenient_parser_can_read_is_under_suspicion(tmp_path):
    group = b"\x0b\x0c"  # a field of the old group type, which protobuf still skips
    (tmp_path / "model.onnx").write_bytes(group + b"\x0a\x08location")
    assert has_external_data(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/b", ".", "..", ""])
def test_a_listed_file_outside_the_bundle(copy, name):
    rewrite(copy, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match=r"not inside the bundle|is missing"):
        Predictor(copy)


@pytest.mark.parametrize(
    ("name", "constant"), [("model.onnx", "MAX_FILE_BYTES"), ("bundle.json", "MAX_MANIFEST_BYTES")]
)
def test_a_file_over_its_cap(copy, monkeypatch, name, constant):
    monkeypatch.setattr(f"stance.bundle.{constant}", (copy / name).stat().st_size - 1)
    with pytest.raises(BundleError, match="large"):
        Predictor(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("heads"),
        lambda m: m.pop("spans"),
        lambda m: m.update(format=99),
        lambda m: m.update(heads=[]),
        lambda m: m["heads"][0]["labels"].append("extra"),
        lambda m: m["heads"][0].update(name="other"),
        lambda m: m["heads"][0].update(temperature=0),
        lambda m: m["heads"][0].update(biases=[0.5]),
        lambda m: m["heads"][0].update(biases=[float("nan")] * len(m["heads"][0]["labels"])),
        lambda m: m.update(spans=["nothing"]),
        lambda m: m.update(max_length="long"),
        lambda m: m.update(files=[]),
        lambda m: m["files"].pop("model.onnx"),
    ],
)
def test_a_manifest_that_does_not_fit(copy, change):
    rewrite(copy, change)
    with pytest.raises(BundleError):
        Predictor(copy)


def test_a_manifest_of_the_first_format_has_no_biases(copy):
    def age(manifest):
        manifest["format"] = 1
        for head in manifest["heads"]:
            head.pop("biases")

    rewrite(copy, age)
    assert all(head.biases == () for head in Predictor(copy).bundle.heads)


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"\xff\xfe", b"", b"[" * 100_000])
def test_a_manifest_that_is_no_manifest(copy, content):
    (copy / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError):
        Predictor(copy)
